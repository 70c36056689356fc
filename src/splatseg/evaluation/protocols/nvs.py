"""`nvs/1`: new views against held-out photos.

PSNR and SSIM of the rendered test photos, with colors clipped to [0, 1] first; means over photos.
"""

from dataclasses import asdict, dataclass
from statistics import fmean

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from splatseg.capture import Capture
from splatseg.errors import SplatsegError
from splatseg.evaluation.metrics import psnr
from splatseg.evaluation.protocol import Evaluation, EvaluationOptions, Protocol
from splatseg.losses.photometric import ssim
from splatseg.progress import Progress
from splatseg.render import render
from splatseg.scene import Scene


@dataclass(frozen=True)
class FrameScore:
    """One rendered photo."""

    frame: str
    psnr: float
    ssim: float


def score_photo(
    frame: str, rendered: Float[Tensor, "h w 3"], photo: Float[Tensor, "h w 3"]
) -> FrameScore:
    """PSNR in dB and SSIM of a rendering, clipped to [0, 1]; the photo's colors are in [0, 1]."""
    image = rendered.clamp(0, 1)
    return FrameScore(frame, psnr(image, photo), ssim(image, photo).item())


def _measure(
    scene: Scene, capture: Capture, options: EvaluationOptions, progress: Progress
) -> Evaluation:
    """`psnr` and `ssim`, and the same of each of `frames`."""
    scores = []
    for done, frame in enumerate(scene.test):
        progress.update("scoring views", done, len(scene.test))
        photo = torch.from_numpy(capture.image(frame).astype(np.float32) / 255)
        with torch.no_grad():
            rendered = render(scene.gaussians, frame.camera).image.cpu()
        scores.append(score_photo(frame.name, rendered, photo))
    if not scores:
        raise SplatsegError("the capture holds out no photo for testing: nothing to score")
    return Evaluation(
        {
            "psnr": fmean(score.psnr for score in scores),
            "ssim": fmean(score.ssim for score in scores),
            "frames": [asdict(score) for score in scores],
        }
    )


PROTOCOL = Protocol(
    name="nvs",
    version=1,
    needs=frozenset({"photos"}),
    headlines=("psnr", "ssim"),
    measure=_measure,
)
