"""Queries on a trained scene: pick objects, find all of them."""

from splatseg.segmentation.clustering import cluster_gaussians, render_labels
from splatseg.segmentation.feature_maps import (
    FeatureMap,
    feature_map,
    similarity_map,
    view_similarity,
)
from splatseg.segmentation.picker import Picker
from splatseg.segmentation.picking import (
    QUERY_RADIUS,
    Selection3D,
    on_photo,
    photo_masks,
    photo_similarity,
    query_features,
    select_gaussians,
    select_objects,
)
from splatseg.segmentation.prompts import (
    THRESHOLD,
    Box,
    Click,
    GaussianId,
    Mask,
    NothingCovered,
    Prompt,
    Scribble,
)
from splatseg.segmentation.selection import (
    Operation,
    Selection,
    combined,
    grown,
    load_selection,
    save_selection,
)

__all__ = [
    "QUERY_RADIUS",
    "THRESHOLD",
    "Box",
    "Click",
    "FeatureMap",
    "GaussianId",
    "Mask",
    "NothingCovered",
    "Operation",
    "Picker",
    "Prompt",
    "Scribble",
    "Selection",
    "Selection3D",
    "cluster_gaussians",
    "combined",
    "feature_map",
    "grown",
    "load_selection",
    "on_photo",
    "photo_masks",
    "photo_similarity",
    "query_features",
    "render_labels",
    "save_selection",
    "select_gaussians",
    "select_objects",
    "similarity_map",
    "view_similarity",
]
