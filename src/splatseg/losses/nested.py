"""Contrastive clustering of rendered features under overlapping masks: ours, after Eq. 3.

Eq. 3 needs one segment a pixel. Here a pixel is pulled towards every segment that holds it, the
part and the whole, and pushed from the segments that have nothing to do with those: a segment that
shares more with one of them than `MAX_SHARED` is neither friend nor foe. So a mask that joins two
objects in one view leaves them apart if other views part them, and nothing has to be flattened.

For pixel q, its segments P(q), unit feature f and the segments' unit mean features c:
-1/|P| Σ_{p in P} log exp(f·c_p / tau) / (exp(f·c_p / tau) + Σ_{s foe of q} exp(f·c_s / tau)),
the mean over the pixels.
"""

import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

TEMPERATURE = 0.2
MAX_SHARED = 0.15  # of a segment's pixels that lie in one of the pixel's own, for it to be a foe
NO_FOE = -1e4  # a logit that adds nothing to a sum of exponentials, and has a finite gradient
MIN_SAMPLES = 2  # of a segment: the mean of a single pixel is that pixel


def foes(membership: Bool[Tensor, "r s"], pixels: Int[Tensor, " r"]) -> Bool[Tensor, "r s"]:
    """The segments that each region is pushed from; `pixels` are the regions' sizes."""
    inside = membership.float()
    shared = inside.T @ (inside * pixels[:, None])
    related = shared > MAX_SHARED * shared.diagonal()  # [a, b]: much of b lies in a
    return (inside @ related.float()) == 0


def nested_contrastive_loss(
    features: Float[Tensor, "p f"],
    membership: Bool[Tensor, "p s"],
    is_foe: Bool[Tensor, "p s"],
) -> Float[Tensor, ""]:
    """The loss of sampled pixels, each with the segments that hold it and its foes.

    `features` as rendered, any length. 0 without a pixel that lies in a segment.
    """
    inside = membership.to(features.dtype)
    usable = inside.sum(dim=0) >= MIN_SAMPLES
    inside, is_foe = inside[:, usable], is_foe[:, usable]
    count = inside.sum(dim=1)
    if not bool((count > 0).any()):
        return features.sum() * 0.0
    unit = F.normalize(features, dim=1)
    centres = F.normalize(inside.T @ unit, dim=1)
    logits = unit @ centres.T / TEMPERATURE
    against = logits.masked_fill(~is_foe, NO_FOE).logsumexp(dim=1, keepdim=True)
    losses = (F.softplus(against - logits) * inside).sum(dim=1) / count.clamp_min(1)
    return losses.sum() / (count > 0).sum()
