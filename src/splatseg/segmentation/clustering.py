"""The whole scene as objects, without a prompt.

The paper clusters Gaussians by their features and names no algorithm. A Gaussian's own feature is
noisy (see picking.py), rendered ones are not; and a cluster algorithm on samples of pixels starves
small objects. So each view's feature map is first cut into regions of one feature, which weigh the
same whatever their size:

1. regions: connected pixels between the edges of the feature map; each gives one mean feature;
2. HDBSCAN over the regions of all training views; a cluster's prototype is its mean, and
   prototypes so alike that a click on one would select the other (Eq. 6) are one object;
3. every pixel takes its nearest prototype, and the pixels vote: each Gaussian gets the label that
   it is seen most under, weighted by its blending weight.

Label 0 is "no object": similar to no prototype, or seen by no view.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from scipy import ndimage
from scipy.cluster.hierarchy import fcluster, linkage
from sklearn.cluster import HDBSCAN
from torch import Tensor

from splatseg.capture import Frame
from splatseg.errors import SplatsegError
from splatseg.gaussians import Gaussians
from splatseg.render import project
from splatseg.render.labels import label_image, splat_labels
from splatseg.segmentation.feature_maps import FeatureMap, feature_map

# Blending softens edges over a few pixels, along which neighbours are all alike: so pixels this far
# apart are compared, and those less alike lie on an edge.
EDGE_STEP = 2
# At several strictnesses: soft features leak through edges at the lower ones, thin things keep no
# interior at the higher ones.
EDGE_SIMILARITIES = (0.99, 0.95, 0.9)
MIN_REGION_PIXELS = 30
MIN_VIEW_SHARE = 0.15  # a cluster has regions in about this share of the views, at least
MIN_CLUSTER_REGIONS = 3
MIN_SAMPLES = 3  # HDBSCAN's density estimate
SAME_OBJECT = 0.7  # Eq. 6's threshold, between prototypes and from a pixel to its prototype


def cluster_gaussians(
    gaussians: Gaussians,
    frames: Sequence[Frame],
    report: Callable[[str, int, int], None] = lambda stage, done, total: None,
) -> Int[Tensor, " n"]:
    """An object id for every Gaussian, from 1 by decreasing number of Gaussians; 0 = none.

    `frames` are the views that vote. `report(stage, done, total)` is told of every view.

    Raises:
        SplatsegError: the scene has no features, or they form no cluster.
    """
    if gaussians.features.shape[1] == 0:
        raise SplatsegError("the scene has no segmentation features; train it with masks first")
    regions = []
    for done, frame in enumerate(frames):
        report("finding regions", done, len(frames))
        regions.append(region_features(feature_map(gaussians, project(gaussians, frame.camera))))
    device = gaussians.means.device
    prototypes = find_prototypes(torch.cat(regions).cpu(), views=len(frames)).to(device)
    votes = torch.zeros(len(gaussians), len(prototypes) + 1, device=device)
    for done, frame in enumerate(frames):
        report("voting", done, len(frames))
        view = project(gaussians, frame.camera)
        labels = nearest_prototypes(feature_map(gaussians, view), prototypes)
        votes += splat_labels(view, labels, votes.shape[1])
    labels = votes.argmax(dim=1)  # no votes at all: label 0
    return renumbered(labels)


def region_features(features: FeatureMap) -> Float[Tensor, "r f"]:
    """Mean unit feature of every region of a feature map, at each of EDGE_SIMILARITIES."""
    return torch.cat([regions_between_edges(features, alike) for alike in EDGE_SIMILARITIES])


def regions_between_edges(features: FeatureMap, alike: float) -> Float[Tensor, "r f"]:
    """Mean unit feature of every connected region between the edges of a feature map.

    An edge is where pixels EDGE_STEP apart have a cosine below `alike`.
    """
    unit, interior = features.features, features.covered.clone()
    step = EDGE_STEP
    alike_across = (unit[:, step:] * unit[:, :-step]).sum(dim=-1) >= alike
    alike_down = (unit[step:] * unit[:-step]).sum(dim=-1) >= alike
    interior[:, step:] &= alike_across
    interior[:, :-step] &= alike_across
    interior[step:] &= alike_down
    interior[:-step] &= alike_down
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
    smallest = max(MIN_CLUSTER_REGIONS, round(MIN_VIEW_SHARE * views))
    if len(regions) < smallest:
        raise SplatsegError(
            f"the views show only {len(regions)} regions of one feature, too few to find objects; "
            "were the features trained long enough?"
        )
    labels = torch.from_numpy(_hdbscan(smallest).fit_predict(regions.numpy()))
    count = int(labels.max()) + 1
    if count == 0:
        raise SplatsegError(
            f"the {len(regions)} regions of the views form no cluster of {smallest} or more; "
            "were the features trained long enough?"
        )
    kept = labels >= 0
    sums = regions.new_zeros(count, regions.shape[1]).index_add(0, labels[kept], regions[kept])
    return merge_alike(F.normalize(sums, dim=1))


def merge_alike(prototypes: Float[Tensor, "c f"]) -> Float[Tensor, "m f"]:
    """One prototype for each group whose mean cosine is at least SAME_OBJECT."""
    if len(prototypes) < 2:
        return prototypes
    tree = linkage(prototypes.numpy(), method="average", metric="cosine")
    groups = torch.from_numpy(fcluster(tree, 1 - SAME_OBJECT, criterion="distance") - 1).long()
    sums = prototypes.new_zeros(int(groups.max()) + 1, prototypes.shape[1])
    return F.normalize(sums.index_add(0, groups, prototypes), dim=1)


def _hdbscan(smallest: int) -> HDBSCAN:
    copy: Any = True  # the default changes in scikit-learn 1.10, whose stubs call it a string
    return HDBSCAN(min_cluster_size=smallest, min_samples=MIN_SAMPLES, copy=copy)


def nearest_prototypes(
    features: FeatureMap, prototypes: Float[Tensor, "c f"]
) -> Int[Tensor, "h w"]:
    """Each pixel's prototype, counted from 1; 0 on background and where none is similar."""
    planar = features.features.permute(2, 0, 1).flatten(1)
    similarity, index = (prototypes @ planar).max(dim=0)
    index = torch.where(similarity >= SAME_OBJECT, index + 1, 0)
    return torch.where(features.covered, index.unflatten(0, features.covered.shape), 0)


def renumbered(labels: Int[Tensor, " n"]) -> Int[Tensor, " n"]:
    """Ids from 1 by decreasing size, without gaps; 0 stays 0."""
    sizes = torch.bincount(labels, minlength=1)
    sizes[0] = 0
    order = torch.argsort(sizes, descending=True, stable=True)[: int((sizes > 0).sum())]
    new_id = torch.zeros_like(sizes)
    new_id[order] = torch.arange(1, len(order) + 1, device=order.device)
    return new_id[labels]


def render_labels(
    gaussians: Gaussians, labels: Int[Tensor, " n"], frame: Frame
) -> Int[Tensor, "h w"]:
    """Which object each pixel of the working image shows: the label with most blending weight.

    0 on background, and where Gaussians without an object prevail.
    """
    return label_image(project(gaussians, frame.camera), labels)
