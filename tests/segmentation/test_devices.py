"""Queries compute where the Gaussians are. Without a GPU, that a tensor is made on the right device
is seen by making torch's default device `meta`, on which nothing can be computed together with the
CPU."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from splatseg.render import BACKENDS, gsplat
from splatseg.scene import Scene
from splatseg.segmentation import Picker, PointPrompt, cluster_gaussians, render_labels

VIEWS = 2  # of the scene: plain torch is slow
MIN_AGREEMENT = 0.99  # of Gaussians or pixels between two devices

Query = Callable[[Scene], Tensor]


def pick(scene: Scene) -> Tensor:
    """The Gaussians of what shows in the middle of a photo."""
    click = PointPrompt(scene.frames[0].name, 48.5, 36.5)
    few = replace(scene, frames=scene.frames[:VIEWS])
    return Picker(few).pick([click], is_exact=True).selected


def cluster(scene: Scene) -> Tensor:
    """The object of each Gaussian."""
    return cluster_gaussians(scene.gaussians, scene.frames[:VIEWS])


def label_map(scene: Scene) -> Tensor:
    """What each pixel shows, of 40 labels given by position: more than are blended at once."""
    labels = scene.gaussians.means[:, 0].argsort().argsort() * 40 // len(scene.gaussians)
    return render_labels(scene.gaussians, labels, scene.frames[0])


@pytest.mark.parametrize("query", [pick, cluster, label_map])
def test_no_tensor_is_made_elsewhere(query, trained, monkeypatch) -> None:
    monkeypatch.setattr("splatseg.render.default_backend", lambda _: BACKENDS["reference"])
    with torch.device("meta"):
        found = query(trained)
    assert found.device.type == "cpu" and bool(found.any())


@pytest.mark.parametrize("query", [pick, cluster, label_map])
def test_a_gpu_answers_as_the_cpu(query: Query, trained: Scene) -> None:
    if not (torch.cuda.is_available() and gsplat.is_installed()):
        pytest.skip("torch finds no GPU, or gsplat is not installed")
    found = query(trained.to(torch.device("cuda")))
    assert found.device.type == "cuda"
    assert (found.cpu() == query(trained)).float().mean() > MIN_AGREEMENT
