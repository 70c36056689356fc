"""Contrastive clustering of rendered features under overlapping masks: ours, after Eq. 3.

Eq. 3 needs one segment a pixel. Here a pixel is pulled towards every segment that holds it, the
part and the whole, each against its own foes: the segments that have nothing to do with it. A
segment that lies in it by more than `MAX_SHARED` is neither friend nor foe. So a mask that joins
two objects pulls them together with the strength of one mask, and the masks that part them, or
other views, pull them apart; nothing has to be flattened.

For a pixel with unit feature f in the segments P, with the segments' unit mean features c:
-1/|P| Σ_{p in P} log exp(f·c_p / tau) / (exp(f·c_p / tau) + Σ_{s foe of p} exp(f·c_s / tau)),
the mean over the pixels.
"""

import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

TEMPERATURE = 0.2
MAX_SHARED = 0.15  # of a segment's pixels that lie in another, for it to be a foe of that
NO_FOE = 1e-6  # stands in for an empty sum of exponentials, each at least exp(-5), in a logarithm
MIN_SAMPLES = 2  # of a segment: the mean of a single pixel is that pixel


def foes(membership: Bool[Tensor, "r s"], pixels: Int[Tensor, " r"]) -> Bool[Tensor, "s s"]:
    """[p, s]: whether s is a foe of p; `pixels` are the sizes of the regions."""
    inside = membership.float()
    shared = inside.T @ (inside * pixels[:, None])
    return shared <= MAX_SHARED * shared.diagonal()


def nested_contrastive_loss(
    features: Float[Tensor, "p f"],
    membership: Bool[Tensor, "p s"],
    is_foe: Bool[Tensor, "s s"],
) -> Float[Tensor, ""]:
    """The loss of sampled pixels, of which `membership` says the segments that hold them.

    `features` as rendered, any length. 0 without a pixel that lies in a segment.
    """
    inside = membership.to(features.dtype)
    usable = inside.sum(dim=0) >= MIN_SAMPLES
    inside, is_foe = inside[:, usable], is_foe[usable][:, usable]
    count = inside.sum(dim=1)
    if not bool((count > 0).any()):
        return features.sum() * 0.0
    unit = F.normalize(features, dim=1)
    centres = F.normalize(inside.T @ unit, dim=1)
    logits = unit @ centres.T / TEMPERATURE
    against = logits.exp() @ is_foe.T.to(logits.dtype)
    margins = (against + NO_FOE).log() - logits
    losses = (F.softplus(margins) * inside).sum(dim=1) / count.clamp_min(1)
    return losses.sum() / (count > 0).sum()
