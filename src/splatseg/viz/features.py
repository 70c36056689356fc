"""Feature maps as colors."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from splatseg.images import RGB, to_uint8
from splatseg.segmentation import FeatureMap
from splatseg.segmentation.grouping import group_similar
from splatseg.viz.labels import BACKGROUND, label_palette

COLOR_GROUPS = 24  # of similar features, that get colors of their own
COLOR_SIMILARITY = 0.8  # cosine, within a group
COLOR_RIDGE = 1e-2  # keeps what lies between groups from colors far outside the range


@dataclass(frozen=True)
class FeatureColors:
    """A fixed linear map from unit features to RGB: what has another feature has another color.

    Principal axes would show three dimensions of sixteen: objects whose features differ in the
    others would look alike.
    """

    weights: Float[Tensor, "f 3"]
    bias: Float[Tensor, " 3"]

    @staticmethod
    def fit(samples: Float[Tensor, "n f"]) -> "FeatureColors":
        """The map that gives groups of similar unit `samples` distinct colors."""
        exact = samples.double().cpu()
        groups = group_similar(exact, COLOR_SIMILARITY, COLOR_GROUPS)
        if len(groups) == 0:
            return FeatureColors(samples.new_zeros(samples.shape[1], 3), samples.new_zeros(3))
        centers = torch.stack([exact[group].mean(dim=0) for group in groups])
        colors = torch.from_numpy(label_palette(len(centers))[1:] / 255)
        mean = centers.mean(dim=0)
        ridge = COLOR_RIDGE * torch.eye(len(mean), dtype=torch.float64)
        around = centers - mean
        weights = torch.linalg.solve(around.T @ around + ridge, around.T @ colors)
        bias = colors.mean(dim=0) - mean @ weights
        return FeatureColors(weights.to(samples), bias.to(samples))

    def paint(self, features: FeatureMap) -> RGB:
        """The feature map in colors, background dark."""
        image = to_uint8(features.features @ self.weights + self.bias)
        image[~features.covered.cpu().numpy()] = BACKGROUND
        return image
