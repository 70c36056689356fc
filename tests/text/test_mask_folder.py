"""Folders of masks, named after their prompts."""

import numpy as np
import pytest
from PIL import Image

from splatseg.errors import SplatsegError
from splatseg.text import MaskFolder


def write_mask(folder, name, mask):
    folder.mkdir(exist_ok=True)
    Image.fromarray(np.where(mask, np.uint8(255), np.uint8(0))).save(folder / name)


def test_masks_by_prompt(tmp_path):
    folder = tmp_path / "masks"
    mask = np.random.default_rng(0).random((6, 8)) < 0.5
    write_mask(folder, "Red mug.png", mask)
    write_mask(folder, "book.png", np.zeros((3, 4)))
    (folder / "notes.txt").write_text("not a mask")
    masks = MaskFolder(folder)
    assert masks.prompts == ("book", "red mug")
    assert np.array_equal(masks.mask("red  MUG"), mask)
    assert not masks.mask("book").any()
    assert masks.mask("lamp") is None
    assert masks.mask("../masks/book") is None


def test_folders_that_hold_no_masks(tmp_path):
    with pytest.raises(SplatsegError, match=r"there is no folder .*none; expected masks <prompt>"):
        MaskFolder(tmp_path / "none")
    with pytest.raises(SplatsegError, match=r"has no masks; expected <prompt>\.png"):
        MaskFolder(tmp_path)


def test_two_masks_of_one_prompt(tmp_path):
    for name in ("Red mug.png", "red  mug.png"):
        write_mask(tmp_path, name, np.ones((2, 2)))
    with pytest.raises(SplatsegError, match=r"red  mug\.png are masks of one prompt; remove one"):
        MaskFolder(tmp_path)


def test_a_file_that_is_no_png(tmp_path):
    (tmp_path / "mug.png").write_bytes(b"GIF89a")
    with pytest.raises(SplatsegError, match=r"mug\.png cannot be read as PNG"):
        MaskFolder(tmp_path).mask("mug")
