"""Groups of similar features."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def group_similar(
    features: Float[Tensor, "n f"], threshold: float, most: int | None = None
) -> Bool[Tensor, "k n"]:
    """Which of `features` each group has, the largest group first.

    The feature with the most similar ones (a cosine of `threshold` or more; all are unit vectors)
    and these are the first group; of what is left, the next, until nothing is left or there are
    `most` groups. Takes memory for n x n similarities.

    Args:
        threshold: a cosine in [-1, 1].
        most: groups, at least 1; None for no limit.
    """
    similar = features @ features.T >= threshold
    similar.fill_diagonal_(True)  # rounding must not keep a feature from its own group
    left = torch.ones(len(features), dtype=torch.bool, device=features.device)
    groups = []
    while bool(left.any()) and (most is None or len(groups) < most):
        counts = torch.where(left, (similar & left).sum(dim=1), 0)
        members = similar[counts.argmax()] & left
        groups.append(members)
        left &= ~members
    return torch.stack(groups) if groups else left.new_zeros(0, len(features))
