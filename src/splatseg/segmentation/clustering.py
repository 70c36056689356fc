"""The whole scene as objects, without a prompt.

The paper clusters Gaussians by their features and names no algorithm. A Gaussian's own feature is
noisy (see picking.py), rendered ones are not; and a cluster algorithm on samples of pixels starves
small objects. So each view's feature map is first cut into regions of one feature, which weigh the
same whatever their size:

1. regions: connected pixels between the edges of the feature map; each gives one mean feature;
2. HDBSCAN over the regions of all training views; a cluster's prototype is its mean, and
   prototypes so similar that a click on one would select the other (Eq. 6) are one object;
3. every Gaussian takes the prototype nearest to its view-aggregated feature;
4. objects are split into connected components: see connected_components.py.

Label 0 is "no object": similar to no prototype, or seen by no view. FLOATER (-1) are Gaussians away
from all objects.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from scipy import ndimage
from scipy.cluster.hierarchy import fcluster, linkage
from torch import Tensor

from splatseg.capture import Frame
from splatseg.errors import SplatsegError
from splatseg.geometry.gaussians import Gaussians
from splatseg.progress import SILENT, Progress
from splatseg.render import project
from splatseg.render.labels import label_image
from splatseg.segmentation.config import THRESHOLD
from splatseg.segmentation.connected_components import split_components
from splatseg.segmentation.feature_maps import (
    FeatureMap,
    require_features,
    view_aggregated_features,
)

# Blending softens edges over a few pixels, along which neighbors are all similar: so pixels this
# far apart are compared, and those less similar lie on an edge.
EDGE_STEP = 2
# At several strictnesses: soft features leak through edges at the lower ones, thin objects keep no
# interior at the higher ones.
EDGE_SIMILARITIES = (0.99, 0.95, 0.9)
MIN_REGION_PIXELS = 30
MIN_VIEW_FRACTION = 0.15  # a cluster has regions in at least about this fraction of the views
MIN_CLUSTER_REGIONS = 3
MIN_SAMPLES = 3  # HDBSCAN's density estimate


def cluster_gaussians(
    gaussians: Gaussians, frames: Sequence[Frame], progress: Progress = SILENT
) -> Int[Tensor, " n"]:
    """An object id for every Gaussian.

    Args:
        gaussians: with features [n, f].
        frames: the views whose rendered features are clustered, usually those trained on.
        progress: told of the stage "clustering", a step for each view.

    Returns:
        Ids from 1 by decreasing number of Gaussians; 0 is none, FLOATER a floater.

    Raises:
        SplatsegError: the scene has no features, or they form no cluster.
    """
    require_features(gaussians)
    regions: list[Float[Tensor, "_ f"]] = []
    seen = view_aggregated_features(
        gaussians,
        frames,
        progress,
        stage="clustering",
        visit=lambda features: regions.append(region_features(features)),
    )
    prototypes = find_prototypes(torch.cat(regions).cpu(), views=len(frames)).to(seen.device)
    similarity, nearest = (seen @ prototypes.T).max(dim=1)
    labels = torch.where(similarity >= THRESHOLD, nearest + 1, 0)
    return renumbered(split_components(labels, gaussians))


def region_features(features: FeatureMap) -> Float[Tensor, "r f"]:
    """Mean unit feature of every region of a feature map, at each of EDGE_SIMILARITIES."""
    return torch.cat([regions_between_edges(features, edge) for edge in EDGE_SIMILARITIES])


def regions_between_edges(features: FeatureMap, similarity: float) -> Float[Tensor, "r f"]:
    """Mean unit feature of every connected region between the edges of a feature map.

    An edge is where pixels EDGE_STEP apart have a cosine below `similarity`.
    """
    unit, interior = features.features, features.covered.clone()
    step = EDGE_STEP
    across = (unit[:, step:] * unit[:, :-step]).sum(dim=-1) >= similarity
    down = (unit[step:] * unit[:-step]).sum(dim=-1) >= similarity
    interior[:, step:] &= across
    interior[:, :-step] &= across
    interior[step:] &= down
    interior[:-step] &= down
    regions = np.empty(interior.shape, dtype=np.int64)
    ndimage.label(interior.cpu().numpy(), output=regions)
    index, count = torch.from_numpy(regions).flatten().to(unit.device), int(regions.max())
    sizes = torch.bincount(index, minlength=count + 1)
    sums = unit.new_zeros(count + 1, unit.shape[2]).index_add(0, index, unit.flatten(0, 1))
    large = sizes >= MIN_REGION_PIXELS
    large[0] = False  # everything that is no region
    return F.normalize(sums[large], dim=1)


def find_prototypes(regions: Float[Tensor, "r f"], views: int) -> Float[Tensor, "c f"]:
    """The unit mean of every cluster of region features."""
    smallest = max(MIN_CLUSTER_REGIONS, round(MIN_VIEW_FRACTION * views))
    if len(regions) < smallest:
        raise SplatsegError(
            f"the views show only {len(regions)} regions of one feature, too few to find objects",
            remedy="were the features trained long enough?",
        )
    labels = torch.from_numpy(_hdbscan_labels(regions.numpy(), smallest))
    count = int(labels.max()) + 1
    if count == 0:
        raise SplatsegError(
            f"the {len(regions)} regions of the views form no cluster of {smallest} or more",
            remedy="were the features trained long enough?",
        )
    kept = labels >= 0
    sums = regions.new_zeros(count, regions.shape[1]).index_add(0, labels[kept], regions[kept])
    return merge_similar(F.normalize(sums, dim=1))


def merge_similar(prototypes: Float[Tensor, "c f"]) -> Float[Tensor, "m f"]:
    """One prototype for each group whose mean cosine is at least THRESHOLD."""
    if len(prototypes) < 2:
        return prototypes
    tree = linkage(prototypes.numpy(), method="average", metric="cosine")
    groups = torch.from_numpy(fcluster(tree, 1 - THRESHOLD, criterion="distance") - 1).long()
    sums = prototypes.new_zeros(int(groups.max()) + 1, prototypes.shape[1])
    return F.normalize(sums.index_add(0, groups, prototypes), dim=1)


def _hdbscan_labels(regions: Float[np.ndarray, "r f"], smallest: int) -> Int[np.ndarray, " r"]:
    """A cluster for each region, -1 for none."""
    from sklearn.cluster import HDBSCAN  # takes as long to import as torch

    copy: Any = True  # the default changes in scikit-learn 1.10, whose stubs call it a string
    model = HDBSCAN(min_cluster_size=smallest, min_samples=MIN_SAMPLES, copy=copy)
    return model.fit_predict(regions)


def renumbered(labels: Int[Tensor, " n"]) -> Int[Tensor, " n"]:
    """Ids from 1 by decreasing size, without gaps; those up to 0 stay."""
    sizes = torch.bincount(labels.clamp_min(0), minlength=1)
    sizes[0] = 0
    order = torch.argsort(sizes, descending=True, stable=True)[: int((sizes > 0).sum())]
    new_id = torch.zeros_like(sizes)
    new_id[order] = torch.arange(1, len(order) + 1, device=order.device)
    return torch.where(labels > 0, new_id[labels.clamp_min(0)], labels)


def render_labels(
    gaussians: Gaussians, labels: Int[Tensor, " n"], frame: Frame
) -> Int[Tensor, "h w"]:
    """Which object each pixel of the undistorted image shows: the label with most blending weight.

    0 on background, and where Gaussians without an object, or floaters, prevail.
    """
    return label_image(project(gaussians, frame.camera, sh_degree=0), labels.clamp_min(0))
