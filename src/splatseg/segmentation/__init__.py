"""Queries on a trained scene: pick objects, find all of them."""

from splatseg.segmentation.clustering import cluster_gaussians, render_labels
from splatseg.segmentation.feature_maps import (
    FeatureMap,
    feature_map,
    similarity_map,
    view_similarity,
)
from splatseg.segmentation.picking import (
    QUERY_RADIUS,
    THRESHOLD,
    Click,
    Selection3D,
    on_photo,
    photo_masks,
    photo_similarity,
    query_features,
    select_gaussians,
    select_objects,
)

__all__ = [
    "QUERY_RADIUS",
    "THRESHOLD",
    "Click",
    "FeatureMap",
    "Selection3D",
    "cluster_gaussians",
    "feature_map",
    "on_photo",
    "photo_masks",
    "photo_similarity",
    "query_features",
    "render_labels",
    "select_gaussians",
    "select_objects",
    "similarity_map",
    "view_similarity",
]
