"""New views against held-out photos (`nvs`)."""

from collections.abc import Iterable
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from splatseg.errors import SplatsegError
from splatseg.evaluation.metrics import psnr
from splatseg.losses.photometric import ssim


@dataclass(frozen=True)
class FrameScore:
    """One rendered photo."""

    frame: str
    psnr: float
    ssim: float


def score_nvs(
    frames: Iterable[tuple[str, Float[Tensor, "h w 3"], Float[Tensor, "h w 3"]]],
) -> list[FrameScore]:
    """Score (frame, rendered photo, photo) of the test views."""
    scores = []
    for frame, rendered, photo in frames:
        image = rendered.clamp(0, 1)
        scores.append(FrameScore(frame, psnr(image, photo), ssim(image, photo).item()))
    if not scores:
        raise SplatsegError("the capture holds out no photo for testing: nothing to score")
    return scores
