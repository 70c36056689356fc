"""Folders of masks, named after their prompts."""

import numpy as np
import pytest
from PIL import Image

from splatseg.errors import SplatsegError
from splatseg.text import MaskFolder

IMAGE = np.zeros((6, 8, 3), dtype=np.uint8)


def write_mask(folder, name, mask):
    Image.fromarray(np.where(mask, np.uint8(255), np.uint8(0))).save(folder / name)


def test_masks_by_prompt(tmp_path):
    """A mask of another size shows the whole image, an empty one nothing."""
    mask = np.random.default_rng(0).random((6, 8)) < 0.5
    write_mask(tmp_path, "Red mug.png", mask)
    write_mask(tmp_path, "book.png", np.zeros((3, 4)))
    write_mask(tmp_path, "pen.png", np.array([[0, 1, 1, 0], [0, 1, 0, 0], [0, 0, 0, 0]]))
    (tmp_path / "notes.txt").write_text("not a mask")
    prompts = ["red  MUG", "pen", "book", "lamp", "../masks/book"]
    mugs, pens, *others = MaskFolder(tmp_path).find("a", IMAGE, prompts)
    assert np.array_equal(mugs[0].mask, mask)
    assert others == [[], [], []]
    assert pens[0].box == (2.0, 0.0, 6.0, 4.0) and pens[0].mask.sum() == 12
    assert pens[0].mask[:2, 2:6].all() and pens[0].mask[2:4, 2:4].all()


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (None, r"there is no folder .*none; expected masks <prompt>"),
        ([], r"has no masks; expected <prompt>\.png"),
        (["Red mug.png", "red  mug.png"], r"red  mug\.png are masks of one prompt; remove one"),
        (["mug.png"], r"mug\.png cannot be read as PNG"),
    ],
)
def test_a_folder_is_refused(tmp_path, names, sentence):
    for name in names or ():
        (tmp_path / name).write_bytes(b"GIF89a")
    with pytest.raises(SplatsegError, match=sentence):
        MaskFolder(tmp_path / "none" if names is None else tmp_path).find("a", IMAGE, ["mug"])
