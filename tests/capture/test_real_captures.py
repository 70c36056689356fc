"""Captures beside the project: real photos, and one scene in both formats."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from splatseg.capture import load_capture

BESIDE = Path(__file__).parents[2].parent / "shared"
CAPTURES = Path(os.environ.get("SPLATSEG_SHARED", BESIDE)) / "captures"
POSE_TOLERANCE = 1e-6  # the two files of a scene are rounded to different digits


def capture_folder(name):
    folder = CAPTURES / name
    if not folder.is_dir():
        pytest.skip(f"{folder} is not here; set SPLATSEG_SHARED to the folder of shared material")
    return folder


def test_shrunk_photos_and_a_model_at_full_size():
    capture = load_capture(capture_folder("real/desk"))
    assert (len(capture.train), len(capture.test), capture.downscale) == (23, 6, 2)
    frame = capture.frames[0]
    assert (frame.lens.width, frame.camera.width, frame.camera.height) == (1906, 953, 535)
    assert capture.image(frame).shape == (535, 953, 3)


def test_distorted_photos_without_points():
    capture = load_capture(capture_folder("real/box"), downscale=1)
    assert len(capture.frames) == 48 and len(capture.points) > 1000
    assert {frame.lens.model for frame in capture.frames} == {"OPENCV"}


@pytest.mark.parametrize("scene", ["desk", "kitchen", "toys", "demo"])
def test_both_formats_of_a_scene_agree(scene):
    folder = capture_folder(f"tabletop/{scene}")
    colmap = load_capture(folder)
    transforms = load_capture(folder, poses=folder / "transforms.json")
    for a, b in zip(colmap.frames, transforms.frames, strict=True):
        assert (a.name, a.is_test) == (b.name, b.is_test)
        torch.testing.assert_close(
            a.camera.cam_from_world, b.camera.cam_from_world, rtol=0, atol=POSE_TOLERANCE
        )
        np.testing.assert_allclose(a.lens.params, b.lens.params, atol=POSE_TOLERANCE)
