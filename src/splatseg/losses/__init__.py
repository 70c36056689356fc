"""Losses: pure functions of tensors."""

from splatseg.losses.contrastive import contrastive_loss
from splatseg.losses.photometric import rendering_loss, ssim
from splatseg.losses.spatial import spatial_similarity, spatial_similarity_loss

__all__ = [
    "contrastive_loss",
    "rendering_loss",
    "spatial_similarity",
    "spatial_similarity_loss",
    "ssim",
]
