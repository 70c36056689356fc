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


@pytest.mark.parametrize(
    ("files", "scene", "prompts", "views"),
    [
        # As in teatime, whose second view has no masks, and no folder: numbers count test frames.
        (
            ("0/green apple.png", "0/bag.png", "2/bag.png"),
            SCENE,
            ("bag", "green apple"),
            {"cam0/0003": ["0/bag.png", "0/green apple.png"], "cam1/0005": ["2/bag.png"]},
        ),
        # An empty folder is a view without masks; prompts are grounded in it all the same.
        (
            ("0/", "1/bag.png", "2/", ".ipynb_checkpoints/", "notes.txt"),
            SCENE,
            ("bag",),
            {"cam0/0003": [], "cam0/0005": ["1/bag.png"], "cam1/0005": []},
        ),
        # A view is named like its frame, or like the last part of it.
        (
            ("cam1/0005/a.png", "0003/b.png", "0001/a.png"),
            SCENE,
            ("a", "b"),
            {
                "cam0/0001": ["0001/a.png"],
                "cam0/0003": ["0003/b.png"],
                "cam1/0005": ["cam1/0005/a.png"],
            },
        ),
        # Numbers that are frames are names.
        (
            ("1/a.png", "3/a.png"),
            frames("0", "1", "2", "3"),
            ("a",),
            {"1": ["1/a.png"], "3": ["3/a.png"]},
        ),
    ],
)
def test_views_of_lerf_mask(tmp_path, files, scene, prompts, views):
    truth = open_lerf_mask(write(tmp_path, *files), scene)
    assert truth.prompts == prompts
    assert {frame: list(named.values()) for frame, named in truth.views.items()} == {
        frame: [tmp_path / file for file in files] for frame, files in views.items()
    }
    assert all(path.stem == name for named in truth.views.values() for name, path in named.items())
    if scene is SCENE and "0001/a.png" not in files:
        assert truth.reference == "cam0/0003"


def test_classes_in_the_order_of_their_file(tmp_path, caplog):
    root = write(tmp_path, "classes.txt", "0004/b.png", "0004/a.png", "0004/d.png", "0001/a.png")
    with caplog.at_level(logging.WARNING):
        truth = open_3d_ovs(root, SCENE)
    assert truth.prompts == ("a", "b")
    assert {frame: list(files.items()) for frame, files in truth.views.items()} == {
        "cam0/0001": [("a", root / "0001/a.png")],
        "cam0/0004": [("a", root / "0004/a.png"), ("b", root / "0004/b.png")],
    }
    assert "left out, for classes.txt does not name it: d" in caplog.text
    assert "left out, for no view has a mask of it: c" in caplog.text


@pytest.mark.parametrize(
    ("opener", "files", "reason"),
    [
        (open_lerf_mask, (), "holds no true masks; expected <view>/<prompt>.png"),
        (open_lerf_mask, ("0/", "1/"), "holds no true masks"),
        (open_lerf_mask, ("a.png",), "holds no true masks"),
        (open_lerf_mask, ("0/a.png", "1/a.png"), "numbers its views up to 1, but .* out 3 frames"),
        (open_lerf_mask, ("0/a.png", "3/a.png"), "numbers its views up to 3, but .* out 3 frames"),
        (open_lerf_mask, ("0003/a.png", "4/a.png"), "4 is named like no frame .*expected .*/0001"),
        (open_lerf_mask, ("first/a.png",), "first is named like no frame of the scene"),
        (open_lerf_mask, ("0005/a.png",), "0005 is one of several .* that are called 0005"),
        (open_lerf_mask, ("0003/a.png", "cam0/0003/a.png"), "called 0003; give each .* whole name"),
        (open_3d_ovs, ("0004/a.png",), r"classes\.txt cannot be read"),
        (open_3d_ovs, ("classes.txt", "0004/d.png"), r"none of the classes.* as <frame>/a\.png"),
        (open_3d_ovs, ("classes.txt",), r"no true masks; expected classes\.txt and <frame>"),
        (open_3d_ovs, ("classes.txt", "0/a.png"), "0 is named like no frame"),  # LERF-Mask's
        (open_3d_ovs, None, r"there is no folder .*nowhere; .*`truth`"),
    ],
)
def test_folders_that_hold_no_truth(tmp_path, opener, files, reason):
    root = tmp_path / "nowhere" if files is None else write(tmp_path, *files)
    with pytest.raises(SplatsegError, match=reason):
        opener(root, SCENE)


def test_a_file_that_names_no_class(tmp_path):
    write(tmp_path, "0004/a.png")
    (tmp_path / "classes.txt").write_text("\n \n")
    with pytest.raises(SplatsegError, match="names no class"):
        open_3d_ovs(tmp_path, SCENE)


def test_inside_is_above_the_level_in_gray(tmp_path):
    def read(values: object, above: int = 128) -> list:
        Image.fromarray(np.array([values], dtype=np.uint8)).save(tmp_path / "a.png")
        return read_mask(tmp_path / "a.png", above=above)[0].tolist()

    assert read([0, 128, 129, 255]) == [False, False, True, True]
    assert read([0, 128, 129, 255], above=0) == [False, True, True, True]
    assert read([[0, 0, 0], [255, 255, 255]]) == [False, True]
    assert read([0, 0]) == [False, False]
    with pytest.raises(SplatsegError, match=r"a\.png is at most 1 bright and .*with 255 inside"):
        read([0, 1])
    (tmp_path / "a.png").write_bytes(b"no picture")
    with pytest.raises(SplatsegError, match=r"a\.png cannot be read as PNG"):
        read_mask(tmp_path / "a.png", above=128)
