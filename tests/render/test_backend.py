"""The contract of a backend: a new one is a class and a line in the registry."""

from dataclasses import replace

import pytest
import torch
from builders.rendering import REFERENCE

from splatseg import render
from splatseg.engine import library as engine
from splatseg.errors import SplatsegError
from splatseg.render.backend import Backend
from splatseg.render.labels import label_image, rasterize_labels

LIGHT = 0.7


class DimBackend:
    """Draws what the reference does, in less light."""

    name = "dim"

    def renders_on(self, device: torch.device) -> bool:
        return False  # never the default

    def project(self, gaussians, camera, sh_degree, window, buffers):
        return replace(REFERENCE.project(gaussians, camera, sh_degree, window), backend=self)

    def rasterize(self, projected, attributes, pixels):
        image, alpha = REFERENCE.rasterize(projected, attributes, pixels)
        return LIGHT * image, LIGHT * alpha

    def backproject(self, projected, values, pixels):
        return LIGHT * REFERENCE.backproject(projected, values, pixels)

    def rasterize_labels(self, projected, labels):
        return rasterize_labels(projected, labels)


@pytest.fixture
def dim(monkeypatch: pytest.MonkeyPatch) -> DimBackend:
    backend = DimBackend()
    monkeypatch.setitem(render.BACKENDS, backend.name, backend)
    return backend


def test_a_backend_that_is_registered_renders(dim: DimBackend, make_gaussians, make_camera):
    gaussians, camera = make_gaussians(30).to(torch.float32), make_camera()
    views = [render.project(gaussians, camera, backend=name) for name in ("dim", "reference")]
    assert views[0].backend is dim
    for pixels in (None, torch.tensor([[3, 4], [18, 14]])):
        dimmed, whole = (render.rasterize(v, v.colors, pixels, depth=True) for v in views)
        assert torch.equal(dimmed.image, LIGHT * whole.image)
        assert torch.equal(dimmed.alpha, LIGHT * whole.alpha)
        torch.testing.assert_close(dimmed.depth, whole.depth)
        votes, whole_votes = (render.backproject(v, whole.image, pixels) for v in views)
        assert torch.equal(votes, LIGHT * whole_votes)
    labels = torch.arange(30) + 1
    shown, whole = (label_image(v, labels) for v in views)
    assert torch.equal(shown[shown > 0], whole[shown > 0])
    assert 0 < (shown > 0).sum() < (whole > 0).sum()  # less light covers less


def test_registered_backends_keep_the_contract(dim: DimBackend):
    assert len(render.BACKENDS) == 4
    for name, backend in render.BACKENDS.items():
        assert isinstance(backend, Backend) and backend.name == name
    assert not isinstance(object(), Backend)


def test_an_unknown_backend_is_refused(make_gaussians, make_camera):
    expected = "there is no backend dim; expected one of gsplat, native, reference"
    with pytest.raises(SplatsegError, match=expected):
        render.project(make_gaussians(), make_camera(), backend="dim")


@pytest.mark.parametrize(
    ("device", "is_built", "expected"),
    [
        ("cuda", True, "gsplat"),
        (torch.device("cuda", 1), True, "gsplat"),
        ("cpu", True, "native"),
        ("cpu", False, "reference"),
        ("meta", True, "reference"),
    ],
    ids=str,
)
def test_the_default_backend_is_that_of_the_device(device, is_built, expected, monkeypatch):
    monkeypatch.setattr(engine, "is_available", lambda: is_built)
    assert render.default_backend(device) is render.BACKENDS[expected]
