"""OmniSeg3D's patches and their correlation, and the masks that they come from."""

import numpy as np
import pytest
from builders.mask_files import omniseg3d, patches
from hypothesis import given, settings
from hypothesis import strategies as st

from splatseg.errors import SplatsegError
from splatseg.masks.formats import read_masks
from splatseg.masks.formats.omniseg3d import masks_of_patches

repeatable = settings(derandomize=True, deadline=None, max_examples=60)


def test_masks_that_cover_every_pixel_come_back(tmp_path, photos, masks, as_set):
    masks = np.concatenate([masks, ~masks.any(axis=0)[None]])
    omniseg3d(tmp_path, masks)
    [(_, segments)] = read_masks(tmp_path, photos)
    assert len(segments) == 4 and as_set(segments) == as_set(masks)


def test_neighbors_that_share_a_sliver_stay_apart(tmp_path, photos, as_set):
    """Neither their union nor what they share is taken for a mask, in a larger one or not."""
    masks = np.zeros((3, 6, 8), dtype=bool)
    masks[0] = True
    masks[1, :, 0:4] = True
    masks[2, :, 3:6] = True
    for count in (3, 2):
        chosen = masks[-count:]
        omniseg3d(tmp_path, chosen)
        [(_, segments)] = read_masks(tmp_path, photos)
        assert len(segments) == count and as_set(segments) == as_set(chosen)


@st.composite
def nested_masks(draw):
    """Boxes in boxes, side by side: intervals of one row split at random."""
    masks = []

    def split(start, end, depth):
        if end - start < 1 or depth == 0:
            return
        masks.append((start, end))
        for _ in range(draw(st.integers(0, 2))):
            middle = draw(st.integers(start, end))
            split(start, middle, depth - 1)
            start = middle

    split(0, draw(st.integers(1, 24)), 4)
    stack = np.zeros((len(masks), 1, 24), dtype=bool)
    for mask, (start, end) in zip(stack, masks, strict=True):
        mask[0, start:end] = True
    return stack


@repeatable
@given(nested_masks())
def test_nested_masks_come_back_exactly(masks):
    arrays = patches(masks)
    found = masks_of_patches(arrays["correlation"])[:, arrays["indices"]]
    assert {mask.tobytes() for mask in found} == {mask.tobytes() for mask in masks}
    assert len(found) == len({mask.tobytes() for mask in masks})


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"indices": np.zeros((6, 8))}, r"indices is float64 \[6, 8\], not a table of whole"),
        ({"indices": np.zeros(8, int)}, r"indices is int64 \[8\]"),
        ({"indices": np.zeros((0, 8), int)}, r"indices is int64 \[0, 8\]"),
        ({"indices": np.full((6, 8), -1)}, "indices goes from -1 to -1 for 4 patches"),
        ({"indices": np.full((6, 8), 4)}, "indices goes from 4 to 4 for 4 patches"),
        ({"correlation": np.zeros((4, 3), int)}, r"correlation \[4, 3\] is not square"),
        (
            {"correlation": np.triu(np.ones((4, 4), int))},
            r"correlation \[4, 4\] is not square and symmetric",
        ),
        ({"correlation": np.array(["a"])}, "correlation is <U1"),
    ],
)
def test_other_arrays_are_refused_by_name(tmp_path, photos, masks, changes, reason):
    np.savez(tmp_path / "0001.npz", **(patches(masks) | changes))
    with pytest.raises(SplatsegError, match=rf"0001\.npz is not OmniSeg3D's: {reason}"):
        list(read_masks(tmp_path, photos))


def test_another_npz_says_what_it_holds(tmp_path, photos):
    np.savez(tmp_path / "0001.npz", points=np.zeros(3), indices=np.zeros(3))
    with pytest.raises(SplatsegError, match=r"0001\.npz holds points, indices; expected indices"):
        list(read_masks(tmp_path, photos))


def test_objects_are_not_unpickled(tmp_path, photos):
    objects = np.array([{"a": 1}], dtype=object)
    np.savez(tmp_path / "0001.npz", indices=objects, correlation=objects)
    with pytest.raises(SplatsegError, match=r"0001\.npz holds Python objects, .* numpy\.savez"):
        list(read_masks(tmp_path, photos))


def test_a_damaged_npz_is_refused(tmp_path, photos, masks):
    path = omniseg3d(tmp_path, masks)
    damaged = bytearray(path.read_bytes())
    damaged[60:90] = bytes(30)
    path.write_bytes(damaged)
    with pytest.raises(SplatsegError, match=r"0001\.npz"):
        list(read_masks(tmp_path, photos))
