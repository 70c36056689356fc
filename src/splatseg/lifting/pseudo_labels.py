"""Pseudo-labels by label fusion: per view, a label map in which masks and objects agree.

The rendered labels of the objects are right about what is where, but soft at the edges. A mask that
agrees with its object's rendered label has the edge of the photo, so the label map takes the edge
from it, both where the mask has more and where it has less. Masks that disagree are left out: they
join objects or show half of one. Along the edges of objects without a mask in this view the label
is unknown, and these pixels take no part in training.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Int, Int64
from scipy import ndimage
from torch import Tensor

from splatseg.geometry.gaussians import Gaussians
from splatseg.lifting.association import MaskAssociation
from splatseg.lifting.hierarchy import SceneObjects
from splatseg.lifting.views import SegmentedView
from splatseg.render import project
from splatseg.render.labels import label_image

UNKNOWN = -1  # the label of pixels that take no part in training
MIN_AGREEMENT = 0.7  # IoU of a mask with its object's rendered label
EDGE = 3  # pixels on either side of a rendered edge that are unsure


def object_masks(
    objects: SceneObjects, association: MaskAssociation
) -> list[list[tuple[int, int]]]:
    """For each view, its masks of objects as (object, segment)."""
    found: list[list[tuple[int, int]]] = [[] for _ in range(association.visible.shape[1])]
    for number, track in enumerate(objects.tracks, start=1):
        for index in track.segments:
            found[association.view[index]].append((number, int(association.segment[index])))
    return found


def pseudo_label_map(
    gaussians: Gaussians,
    labels: Int[Tensor, " n"],
    view: SegmentedView,
    masks: Sequence[tuple[int, int]],
) -> Int64[np.ndarray, "h w"]:
    """The label map of a view: object ids, 0 for none, UNKNOWN where nothing is known.

    `masks` are the view's masks of objects. Smaller objects have larger ids.
    """
    rendered = label_image(project(gaussians, view.frame.camera), labels).cpu().numpy()
    return fuse_labels(rendered, [(number, view.mask(s).cpu().numpy()) for number, s in masks])


def fuse_labels(
    rendered: Int64[np.ndarray, "h w"], masks: Sequence[tuple[int, Bool[np.ndarray, "h w"]]]
) -> Int64[np.ndarray, "h w"]:
    """The rendered label map with the edges of those (object, mask) that agree with it."""
    label_map = rendered.copy()
    unsure = dilate(label_edges(rendered), EDGE)
    for number, mask in agreeing_masks(rendered, masks):
        lost = (label_map == number) & ~mask
        if lost.any() and not (label_map == number).all():
            label_map[lost] = replace_with_nearest(label_map, number)[lost]
        smaller_elsewhere = (label_map > number) & (rendered != number)
        label_map[mask & ~smaller_elsewhere] = number
        window = window_around(mask, 2 * EDGE)
        unsure[window] &= ~outline_band(mask[window])
    label_map[unsure] = UNKNOWN
    return label_map


def agreeing_masks(
    rendered: Int64[np.ndarray, "h w"], masks: Sequence[tuple[int, Bool[np.ndarray, "h w"]]]
) -> list[tuple[int, Bool[np.ndarray, "h w"]]]:
    """Each object's best mask, where that agrees with the rendered labels; larger objects first.

    Smaller objects in front of an object are left out of the comparison.
    """
    best: dict[int, tuple[float, Bool[np.ndarray, "h w"]]] = {}
    for number, mask in masks:
        shown, bare = rendered == number, mask & (rendered <= number)
        union = np.count_nonzero(shown | bare)
        agreement = np.count_nonzero(shown & bare) / union if union else 0.0
        if agreement >= MIN_AGREEMENT and agreement > best.get(number, (0.0, mask))[0]:
            best[number] = (agreement, mask)
    return [(number, best[number][1]) for number in sorted(best)]


def label_edges(label_map: Int64[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """Pixels beside one of another label."""
    found = np.zeros(label_map.shape, dtype=bool)
    across, down = label_map[:, 1:] != label_map[:, :-1], label_map[1:] != label_map[:-1]
    found[:, 1:] |= across
    found[:, :-1] |= across
    found[1:] |= down
    found[:-1] |= down
    return found


def replace_with_nearest(
    label_map: Int64[np.ndarray, "h w"], number: int
) -> Int64[np.ndarray, "h w"]:
    """The label map with the nearest other label at pixels of `number`; some pixel has another."""
    filled = label_map.copy()
    window = window_around(label_map == number, 1)  # what surrounds the label is all in there
    inside = label_map[window] == number
    nearest = ndimage.distance_transform_edt(inside, return_distances=False, return_indices=True)
    filled[window] = label_map[window][tuple(np.asarray(nearest))]
    return filled


def outline_band(mask: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """EDGE + 1 pixels on either side of a mask's outline."""
    return dilate(mask, EDGE + 1) & dilate(~mask, EDGE + 1)


def dilate(mask: Bool[np.ndarray, "h w"], pixels: int) -> Bool[np.ndarray, "h w"]:
    """Grown by so many pixels, to the four sides in each step."""
    grown = np.empty_like(mask)
    ndimage.binary_dilation(mask, iterations=pixels, output=grown)
    return grown


def window_around(mask: Bool[np.ndarray, "h w"], margin: int) -> tuple[slice, slice]:
    """The window that holds a mask of any pixels and `margin` more on every side."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return (
        slice(max(rows[0] - margin, 0), rows[-1] + margin + 1),
        slice(max(columns[0] - margin, 0), columns[-1] + margin + 1),
    )
