"""Masks that a segmenter proposed, at its own low resolution, and the choice among them.

A mask's stability is the IoU of its logits cut a little above and a little below 0 (Segment
Anything, appendix B): a mask whose outline depends on where one cuts is a guess.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Float16, Float32, Int64

from splatseg.models.segmenter import Prediction

STABILITY_OFFSET = 1.0  # as in SAM's own generator
MIN_LOGIT_PIXELS = 12  # a mask needs more: below, its outline is the interpolation's


@dataclass(frozen=True, eq=False)
class Candidates:
    """n masks on one window's logit grid."""

    logits: Float16[np.ndarray, "n rows columns"]
    predicted_iou: Float32[np.ndarray, " n"]
    stability: Float32[np.ndarray, " n"]
    prompt: Int64[np.ndarray, " n"]
    """The number of the prompt that each answers."""

    def __len__(self) -> int:
        return len(self.logits)

    def __getitem__(self, rows: Int64[np.ndarray, " m"] | Bool[np.ndarray, " n"]) -> "Candidates":
        return Candidates(
            self.logits[rows], self.predicted_iou[rows], self.stability[rows], self.prompt[rows]
        )

    @property
    def score(self) -> Float32[np.ndarray, " n"]:
        """The better of two outlines of one thing has the higher one."""
        return self.predicted_iou * self.stability

    @property
    def masks(self) -> Bool[np.ndarray, "n rows columns"]:
        """On the logit grid."""
        return self.logits > 0


def concatenated(parts: Sequence[Candidates]) -> Candidates:
    """All candidates of one window; there is at least one part."""
    return Candidates(
        *(
            np.concatenate([getattr(part, name) for part in parts])
            for name in ("logits", "predicted_iou", "stability", "prompt")
        )
    )


def no_candidates(shape: tuple[int, int]) -> Candidates:
    """None at all, on logit grids of that shape."""
    nothing = np.zeros(0, dtype=np.float32)
    return Candidates(
        np.zeros((0, *shape), dtype=np.float16), nothing, nothing, np.zeros(0, dtype=np.int64)
    )


def good_candidates(
    prediction: Prediction, first_prompt: int, min_predicted_iou: float, min_stability: float
) -> Candidates:
    """The masks of a prediction that are good enough; `first_prompt` numbers its first prompt."""
    n, levels = prediction.predicted_iou.shape
    logits = prediction.logits.reshape(n * levels, *prediction.logits.shape[2:])
    predicted_iou = prediction.predicted_iou.reshape(-1)
    prompt = first_prompt + np.repeat(np.arange(n), levels)
    likely = np.flatnonzero(predicted_iou >= min_predicted_iou)
    logits, predicted_iou, prompt = logits[likely], predicted_iou[likely], prompt[likely]
    pixels, stability = _stability(logits)
    good = (stability >= min_stability) & (pixels >= MIN_LOGIT_PIXELS)
    kept = logits[good].astype(np.float16)
    return Candidates(kept, predicted_iou[good], stability[good], prompt[good])


def without_duplicates(
    masks: Bool[np.ndarray, "n *shape"], score: Float[np.ndarray, " n"], max_iou: float
) -> Int64[np.ndarray, " m"]:
    """Non-maximum suppression: the best mask of those that agree, best first."""
    order = np.argsort(-score, kind="stable")
    flat = torch.from_numpy(masks[order]).flatten(1).float()
    shared = (flat @ flat.T).numpy()
    areas = shared.diagonal()
    union = areas + areas[:, None] - shared
    alike = shared > max_iou * union
    is_kept = np.ones(len(order), dtype=bool)
    for i in range(len(order)):
        if is_kept[i]:
            is_kept[i + 1 :] &= ~alike[i, i + 1 :]
    return order[is_kept]


def _stability(
    logits: Float32[np.ndarray, "n rows columns"],
) -> tuple[Int64[np.ndarray, " n"], Float32[np.ndarray, " n"]]:
    """Pixels inside, and the stability, of each mask."""
    inner, middle, outer = (
        np.count_nonzero(logits > cut, axis=(1, 2))
        for cut in (STABILITY_OFFSET, 0, -STABILITY_OFFSET)
    )
    return middle, (inner / np.maximum(outer, 1)).astype(np.float32)
