"""Folders of masks, named after their prompts."""

import numpy as np
import pytest
from PIL import Image

from splatseg.errors import SplatsegError
from splatseg.text import MaskFolder


def image(width, height):
    return np.zeros((height, width, 3), dtype=np.uint8)


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
    mugs, *others = masks.find("a", image(8, 6), ["red  MUG", "book", "lamp", "../masks/book"])
    assert np.array_equal(mugs[0].mask, mask)
    assert others == [[], [], []]  # an empty mask is of nothing


def test_a_mask_of_another_size_shows_the_whole_image(tmp_path):
    write_mask(tmp_path, "mug.png", np.array([[0, 1, 1, 0], [0, 1, 0, 0]], dtype=bool))
    [[found]] = MaskFolder(tmp_path).find("a", image(8, 4), ["mug"])
    assert found.box == (2.0, 0.0, 6.0, 4.0)
    assert found.mask[:2, 2:6].all() and found.mask[2:, 2:4].all() and found.mask.sum() == 12


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
        MaskFolder(tmp_path).find("a", image(2, 2), ["mug"])
