"""Objects as connected components in space.

Gaussians are linked to those of their nearest neighbors that they touch, or nearly. A large
component is an object: two duplicates that features confuse are two. A small component belongs to
the object of its label that it is close to; else it is a floater.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Int64
from scipy import sparse
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree
from torch import Tensor

from splatseg.geometry.gaussians import Gaussians

FLOATER = -1  # the label of Gaussians away from all objects
NEIGHBORS = 10
REACH = 3.0  # spacings, between the edges of two linked Gaussians
SPACING_RANK = 5  # the spacing of an object is the median distance to the neighbor of this rank
MIN_COMPONENT = 0.1  # the fraction of its label's footprint that makes a component an object
MIN_GAUSSIANS = 50  # of a component; fewer that nothing is linked to float
NEAR = 0.1  # of an object's diagonal: a small component as near to it belongs to it


def split_components(labels: Int[Tensor, " n"], gaussians: Gaussians) -> Int[Tensor, " n"]:
    """`labels` with one for each connected component that is an object, and FLOATER.

    Args:
        labels: an object id for each Gaussian, from 1; 0 is none.

    Returns:
        The largest component of a label keeps it, others get new ids; 0 stays, but for floaters.
    """
    if len(labels) <= NEIGHBORS:
        return labels
    before = labels.cpu().numpy()
    cloud = _Cloud(
        means=gaussians.means.detach().cpu().numpy(),
        extents=gaussians.scales.detach().amax(dim=1).cpu().numpy(),
        weights=gaussians.footprints.detach().cpu().numpy(),
    )
    links = _links(cloud, before)
    after = before.copy()
    components = _components(links, len(before), before[links[0]] == before[links[1]])
    for label in np.unique(before[before > 0]).tolist():
        members = np.flatnonzero(before == label)
        objects = _objects(components[members], cloud.at(members))
        first = int(after.max()) + 1
        fresh = np.array([label, *range(first, first + objects.max())])
        after[members] = np.where(objects == FLOATER, FLOATER, fresh[objects.clip(0)])
    alone = _components(links, len(before), np.ones(links.shape[1], dtype=bool))
    after[np.bincount(alone)[alone] < MIN_GAUSSIANS] = FLOATER
    return torch.from_numpy(after).to(labels.device)


@dataclass(frozen=True, eq=False)
class _Cloud:
    means: Float[np.ndarray, "n 3"]
    extents: Float[np.ndarray, " n"]
    """The largest standard deviation."""
    weights: Float[np.ndarray, " n"]

    def at(self, index: Int64[np.ndarray, " m"] | Bool[np.ndarray, " n"]) -> "_Cloud":
        """The Gaussians at `index`."""
        return _Cloud(self.means[index], self.extents[index], self.weights[index])

    def gaps(self, points: "_Cloud") -> Float[np.ndarray, " p"]:
        """The space between each of `points` and its nearest here; below 0 where they overlap."""
        distances, nearest = KDTree(self.means).query(points.means, workers=-1)
        return distances - self.extents[nearest] - points.extents

    def spacing(self) -> float:
        """The median distance to the neighbor of SPACING_RANK."""
        rank = min(SPACING_RANK, len(self.means) - 1)
        distances, _ = KDTree(self.means).query(self.means, k=rank + 1, workers=-1)
        return float(np.median(np.reshape(distances, (len(self.means), -1))[:, rank]))

    def diagonal(self) -> float:
        """Of the box around it."""
        return float(np.linalg.norm(np.ptp(self.means, axis=0)))


def _links(cloud: _Cloud, labels: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, "2 l"]:
    """Pairs of Gaussians, near neighbors, that touch, or nearly."""
    found, nearest = KDTree(cloud.means).query(cloud.means, k=NEIGHBORS + 1, workers=-1)
    distances, neighbors = np.asarray(found), np.asarray(nearest)
    spacing = np.zeros(int(labels.max()) + 1)
    for label in np.unique(labels[labels >= 0]).tolist():
        spacing[label] = np.median(distances[labels == label, SPACING_RANK])
    first = np.repeat(np.arange(len(labels)), NEIGHBORS)
    second = neighbors[:, 1:].ravel()
    gap = distances[:, 1:].ravel() - cloud.extents[first] - cloud.extents[second]
    linked = gap <= REACH * spacing[labels.clip(0)][first]
    return np.stack([first[linked], second[linked]])


def _components(
    links: Int64[np.ndarray, "2 l"], count: int, kept: Bool[np.ndarray, " l"]
) -> Int64[np.ndarray, " n"]:
    """The connected component of each of `count` Gaussians, by the `kept` links."""
    ends = links[:, kept]
    graph = sparse.coo_array((np.ones(ends.shape[1]), (ends[0], ends[1])), shape=(count, count))
    return connected_components(graph, directed=False)[1].astype(np.int64)


def _objects(components: Int64[np.ndarray, " m"], members: _Cloud) -> Int64[np.ndarray, " m"]:
    """Which object each member of a label is in, by its component: from 0, or FLOATER."""
    _, index = np.unique(components, return_inverse=True)
    sizes, counts = np.bincount(index, members.weights), np.bincount(index)
    is_large = (sizes >= MIN_COMPONENT * sizes.sum()) & (counts >= MIN_GAUSSIANS)
    is_large[sizes.argmax()] = True
    reach = REACH * members.spacing()
    objects: list[Bool[np.ndarray, " m"]] = []
    for component in np.argsort(-sizes, kind="stable"):
        if is_large[component]:
            # All neighbors of a Gaussian may be in its component, so all pairs are compared here.
            inside = index == component
            near = [o for o in objects if members.at(o).gaps(members.at(inside)).min() <= reach]
            if near:
                near[0] |= inside
            else:
                objects.append(inside)
    labels = np.full(len(index), FLOATER)
    rest = ~is_large[index]
    for number, inside in reversed(list(enumerate(objects))):
        cloud = members.at(inside)
        close = np.zeros(len(sizes), dtype=bool)
        if rest.any():
            close[index[rest][cloud.gaps(members.at(rest)) <= NEAR * cloud.diagonal()]] = True
        labels[close[index] & rest] = number
        labels[inside] = number
    return labels
