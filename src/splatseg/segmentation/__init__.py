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
    BoxPrompt,
    GaussianPrompt,
    MaskPrompt,
    NothingCovered,
    PointPrompt,
    Prompt,
    ScribblePrompt,
)
from splatseg.segmentation.selection import (
    Operation,
    Selection,
    combine,
    grow,
    load_selection,
    save_selection,
)

__all__ = [
    "QUERY_RADIUS",
    "THRESHOLD",
    "BoxPrompt",
    "FeatureMap",
    "GaussianPrompt",
    "MaskPrompt",
    "NothingCovered",
    "Operation",
    "Picker",
    "PointPrompt",
    "Prompt",
    "ScribblePrompt",
    "Selection",
    "Selection3D",
    "cluster_gaussians",
    "combine",
    "feature_map",
    "grow",
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
