"""Which mask of a view is part of which, and what people call its level.

The visible regions of two objects do not overlap: where most of one mask lies in another, it is a
part of what the other shows. `contains[a, b]` says that b is part of a; it is a strict partial
order. A mask's parent is the smallest mask that contains it, -1 for none, and its depth the number
of its ancestors. Scene-sized masks are nobody's parent: they hold whatever stands in the room.
`intersections[a, b]` are the pixels that a and b share, its diagonal the masks' areas.

Depth 0 is a whole, 1 a part, 2 and more a subpart. So a whole is what no mask but a scene-sized one
contains. One view cannot tell a stack of books from a laptop of screen and keyboard: a mask that
joins several objects is a whole here, and the objects are its parts.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int64, Num

from splatseg.masks.config import LEVELS, Level

# The fraction of a part that lies in its whole. In real SAM masks the pairs part here: for 25
# masks that lie in a larger one by more than 0.8, one does so by 0.5 to 0.8. A bound of 0.9 would
# lose parts with ragged outlines (1 in 25 of real ones, 1 in 7 of simulated ones that are hard) and
# rid them of hardly any mask of another object.
MIN_INSIDE = 0.8
# A part's size as a fraction of the whole's, at most. Masks more similar than that are two outlines
# of one object, of one level: only such masks can have an IoU above this.
MAX_PART = 0.8
# A mask with more of the photo than this is the scene's, not an object's: nobody could walk around
# an object that fills half of the photo. SAM gives such masks to floor, table and walls in one,
# with what stands there.
SCENE_FRACTION = 0.5


@dataclass(frozen=True, eq=False)
class Nesting:
    """How the masks of one view lie in each other."""

    contains: Bool[np.ndarray, "n n"]
    """[a, b]: b is part of a, scene-sized masks included."""
    parent: Int64[np.ndarray, " n"]
    """The smallest mask that contains this one, scene-sized ones left out; -1 for none."""
    depth: Int64[np.ndarray, " n"]
    """The number of ancestors: 0 for a whole."""

    def children(self, index: int) -> Int64[np.ndarray, " c"]:
        """The masks whose parent is `index`."""
        return np.flatnonzero(self.parent == index)

    def at(self, level: Level) -> Bool[np.ndarray, " n"]:
        """Which masks are of `level`; whatever is deeper than a subpart is one too."""
        return np.minimum(self.depth, len(LEVELS) - 1) == LEVELS.index(level)

    def down_to(self, level: Level) -> Bool[np.ndarray, " n"]:
        """Which masks are of `level` or a coarser one; all are down to subparts."""
        return np.minimum(self.depth, len(LEVELS) - 1) <= LEVELS.index(level)


def nest(intersections: Int64[np.ndarray, "n n"], photo_area: int) -> Nesting:
    """The nesting of masks that share so many pixels; empty masks are wholes."""
    areas = intersections.diagonal()
    contains = containment(intersections)
    is_scene = areas > SCENE_FRACTION * photo_area
    parent = smallest_container(contains & ~is_scene[:, None], areas)
    return Nesting(contains, parent, depths(parent))


def containment(intersections: Int64[np.ndarray, "n n"]) -> Bool[np.ndarray, "n n"]:
    """[a, b]: most of b lies in a, which is clearly larger, or b is part of a part of a.

    A strict partial order: a part is smaller than what contains it, and a part's part is a part.
    """
    containers = lies_in(intersections).T.copy()  # a row for each part
    for part in np.argsort(
        -intersections.diagonal(), kind="stable"
    ):  # what contains it is larger, so complete
        containers[part] |= containers[containers[part]].any(axis=0)
    return containers.T


def lies_in(shared: Num[np.ndarray, "n n"]) -> Bool[np.ndarray, "n n"]:
    """[a, b]: most of b lies in a, which is clearly larger; nothing empty lies anywhere.

    `shared[a, b]` is the size of what a and b share, its diagonal their own sizes.
    """
    sizes = shared.diagonal()
    return (shared >= MIN_INSIDE * sizes) & (sizes <= MAX_PART * sizes[:, None]) & (sizes > 0)


def overlap_share(intersections: Int64[np.ndarray, "n n"]) -> Float[np.ndarray, "n n"]:
    """[a, b]: the share of b's pixels that lie in a; 0 for an empty b."""
    return intersections / np.maximum(intersections.diagonal(), 1)


def smallest_container(
    contains: Bool[np.ndarray, "n n"], sizes: Num[np.ndarray, " n"]
) -> Int64[np.ndarray, " n"]:
    """For each b the smallest a with `contains[a, b]`, -1 for none; among equal sizes the last."""
    by_size = np.argsort(-sizes, kind="stable")
    place = np.where(contains[by_size], np.arange(len(sizes))[:, None], -1).max(axis=0, initial=-1)
    return np.where(place >= 0, by_size[place], -1)


def depths(parent: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
    """The number of ancestors; `parent` is -1 for none."""
    depth = np.zeros_like(parent)
    ancestor = parent
    while (ancestor >= 0).any():
        depth += ancestor >= 0
        ancestor = np.where(ancestor >= 0, parent[ancestor], -1)
    return depth
