"""What the 2D masks tell: the segments of one view, their files, a capture's sets of them."""

from splatseg.masks.files import (
    read_label_map,
    read_segments,
    write_label_map,
    write_segments,
)
from splatseg.masks.mask_set import MaskSet, check_size, open_masks
from splatseg.masks.segments import MAX_SEGMENTS, FlatteningOrder, Segments

__all__ = [
    "MAX_SEGMENTS",
    "FlatteningOrder",
    "MaskSet",
    "Segments",
    "check_size",
    "open_masks",
    "read_label_map",
    "read_segments",
    "write_label_map",
    "write_segments",
]
