"""LERF-Mask's and 3D-OVS's folders, and every way they can be wrong."""

import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from splatseg.capture import Frame, Lens
from splatseg.errors import SplatsegError
from splatseg.evaluation import open_3d_ovs, open_lerf_mask
from splatseg.geometry.camera import Camera
from splatseg.masks import read_mask

TEST = {"cam0/0003", "cam0/0005", "cam1/0005"}


def frames(*names: str) -> list[Frame]:
    """Frames of a scene, those in TEST held out."""
    camera = Camera(torch.eye(4, dtype=torch.float64), 8.0, 8.0, 4.0, 3.0, 8, 6)
    lens = Lens("PINHOLE", 8, 6, (8.0, 8.0, 4.0, 3.0))
    return [Frame(name, f"images/{name}.png", camera, lens, name in TEST) for name in names]


SCENE = frames("cam0/0001", "cam0/0003", "cam0/0004", "cam0/0005", "cam1/0005")


def write(root: Path, *files: str) -> Path:
    """Masks, all inside; names that end in / are empty folders, and classes.txt names a, b, c."""
    for file in files:
        path = root / file
        (path if file.endswith("/") else path.parent).mkdir(parents=True, exist_ok=True)
        if path.suffix == ".png":
            Image.fromarray(np.full((6, 8), 255, dtype=np.uint8)).save(path)
        elif path.suffix == ".txt":
            path.write_text("a\nb\n\nc\n")
    return root


def views(root: Path, truth) -> dict[str, dict[str, str]]:
    """Frame to prompt to file, as text."""
    return {
        frame: {prompt: path.relative_to(root).as_posix() for prompt, path in files.items()}
        for frame, files in truth.views.items()
    }


def test_numbered_views_are_the_test_frames_in_order(tmp_path):
    """As in teatime, whose second view has no masks, and no folder."""
    root = write(tmp_path, "0/green apple.png", "0/bag.png", "2/bag.png")
    truth = open_lerf_mask(root, SCENE)
    assert truth.prompts == ("bag", "green apple")
    assert truth.reference == "cam0/0003"
    assert views(root, truth) == {
        "cam0/0003": {"bag": "0/bag.png", "green apple": "0/green apple.png"},
        "cam1/0005": {"bag": "2/bag.png"},
    }


def test_an_empty_folder_is_a_view_without_masks(tmp_path):
    root = write(tmp_path, "0/", "1/bag.png", "2/", ".ipynb_checkpoints/", "notes.txt")
    truth = open_lerf_mask(root, SCENE)
    assert views(root, truth) == {
        "cam0/0003": {},
        "cam0/0005": {"bag": "1/bag.png"},
        "cam1/0005": {},
    }
    assert truth.reference == "cam0/0003"  # where the prompts are grounded all the same


def test_views_are_named_like_frames_or_their_last_part(tmp_path):
    root = write(tmp_path, "cam1/0005/a.png", "0003/b.png", "0001/a.png")
    truth = open_lerf_mask(root, SCENE)
    assert views(root, truth) == {
        "cam0/0001": {"a": "0001/a.png"},
        "cam0/0003": {"b": "0003/b.png"},
        "cam1/0005": {"a": "cam1/0005/a.png"},
    }


def test_numbers_that_are_frames_are_names(tmp_path):
    root = write(tmp_path, "1/a.png", "3/a.png")
    truth = open_lerf_mask(root, frames("0", "1", "2", "3"))
    assert list(truth.views) == ["1", "3"]


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ((), "holds no true masks; expected <view>/<prompt>.png"),
        (("0/", "1/"), "holds no true masks"),
        (("a.png",), "holds no true masks"),
        (("0/a.png", "1/a.png"), "numbers its views up to 1, but the scene holds out 3 frames"),
        (("0/a.png", "3/a.png"), "numbers its views up to 3, but the scene holds out 3 frames"),
        (("0003/a.png", "4/a.png"), "4 is named like no frame of the scene; expected .*cam0/0001"),
        (("first/a.png",), "first is named like no frame of the scene"),
        (("0005/a.png",), "0005 is one of several folders or frames that are called 0005"),
        (("0003/a.png", "cam0/0003/a.png"), "called 0003; give each folder its frame's whole name"),
    ],
)
def test_folders_that_are_no_views(tmp_path, files, reason):
    with pytest.raises(SplatsegError, match=reason):
        open_lerf_mask(write(tmp_path, *files), SCENE)


@pytest.mark.parametrize("opener", [open_lerf_mask, open_3d_ovs])
def test_a_folder_that_is_not_there(tmp_path, opener):
    with pytest.raises(SplatsegError, match=r"there is no folder .*nowhere; .*`truth`"):
        opener(tmp_path / "nowhere", SCENE)


def test_classes_in_the_order_of_their_file(tmp_path, caplog):
    root = write(tmp_path, "classes.txt", "0004/b.png", "0004/a.png", "0004/d.png", "0001/a.png")
    with caplog.at_level(logging.WARNING):
        truth = open_3d_ovs(root, SCENE)
    assert truth.prompts == ("a", "b")
    assert views(root, truth) == {
        "cam0/0001": {"a": "0001/a.png"},
        "cam0/0004": {"a": "0004/a.png", "b": "0004/b.png"},
    }
    assert "left out, for classes.txt does not name it: d" in caplog.text
    assert "left out, for no view has a mask of it: c" in caplog.text


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        (("0004/a.png",), r"classes\.txt cannot be read"),
        (("classes.txt", "0004/d.png"), r"mask of none of the classes.*such as <frame>/a\.png"),
        (("classes.txt",), r"holds no true masks; expected classes\.txt and <frame>"),
        (("classes.txt", "0/a.png"), "0 is named like no frame"),  # numbers are LERF-Mask's
    ],
)
def test_classes_that_are_none(tmp_path, files, reason):
    with pytest.raises(SplatsegError, match=reason):
        open_3d_ovs(write(tmp_path, *files), SCENE)


def test_a_file_that_names_no_class(tmp_path):
    write(tmp_path, "0004/a.png")
    (tmp_path / "classes.txt").write_text("\n \n")
    with pytest.raises(SplatsegError, match="names no class"):
        open_3d_ovs(tmp_path, SCENE)


def test_inside_is_above_the_level_in_gray(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(np.array([[0, 128, 129, 255]], dtype=np.uint8)).save(path)
    assert read_mask(path, above=128).tolist() == [[False, False, True, True]]
    assert read_mask(path, above=0).tolist() == [[False, True, True, True]]
    Image.fromarray(np.array([[[0, 0, 0], [255, 255, 255]]], dtype=np.uint8)).save(path)
    assert read_mask(path, above=128).tolist() == [[False, True]]
    Image.fromarray(np.zeros((1, 2), dtype=np.uint8)).save(path)
    assert not read_mask(path, above=128).any()


def test_masks_that_are_none(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(np.array([[0, 1]], dtype=np.uint8)).save(path)
    with pytest.raises(SplatsegError, match=r"a\.png is at most 1 bright and .*with 255 inside"):
        read_mask(path, above=128)
    path.write_bytes(b"no picture")
    with pytest.raises(SplatsegError, match=r"a\.png cannot be read as PNG"):
        read_mask(path, above=128)
