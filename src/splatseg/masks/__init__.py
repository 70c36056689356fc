"""What the 2D masks tell: the segments of one view, their files, a capture's sets of them."""

from splatseg.masks.files import (
    read_label_map,
    read_mask,
    read_segments,
    write_label_map,
    write_segments,
)
from splatseg.masks.levels import LEVELS, Level, Nesting
from splatseg.masks.mask_set import MaskSet, check_size, open_masks
from splatseg.masks.segments import MAX_SEGMENTS, FlatteningOrder, Segments
from splatseg.masks.statistics import SetStatistics, mask_statistics

__all__ = [
    "LEVELS",
    "MAX_SEGMENTS",
    "FlatteningOrder",
    "Level",
    "MaskSet",
    "Nesting",
    "Segments",
    "SetStatistics",
    "check_size",
    "mask_statistics",
    "open_masks",
    "read_label_map",
    "read_mask",
    "read_segments",
    "write_label_map",
    "write_segments",
]
