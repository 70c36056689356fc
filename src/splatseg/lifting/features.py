"""Features that render to the prototypes of a scene's objects.

Every object has a prototype, a unit vector; prototypes are spread over the sphere, so that the
similarity between two objects is far below Eq. 6's threshold whatever their number. With fixed
prototypes the contrastive loss (Eq. 3) needs no means of segments: it is the cross entropy of the
pixel's label under the softmax of its cosines. Where two objects blend, the cosine to either falls
below 0.7 about where both have the same weight, so Eq. 6's mask ends at the edge.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from splatseg.capture import Frame
from splatseg.engine.adam import Moments, adam_steps
from splatseg.geometry.gaussians import Gaussians
from splatseg.lifting.config import LiftConfig
from splatseg.lifting.pseudo_labels import UNKNOWN
from splatseg.progress import SILENT, Progress
from splatseg.render import project, rasterize

SPREAD_STEPS = 300
SPREAD_RATE = 0.05  # Adam's
SHARPNESS = 20.0  # of the soft maximum that is minimized when prototypes are spread


def spread_prototypes(
    count: int, dimensions: int, generator: torch.Generator
) -> Float[Tensor, "c f"]:
    """Unit vectors whose largest cosine is small (the Tammes problem, solved by descent)."""
    free = torch.randn(count, dimensions, generator=generator).requires_grad_()
    optimizer = torch.optim.Adam([free], SPREAD_RATE)
    itself = 2 * torch.eye(count)
    for _ in range(SPREAD_STEPS):
        unit = F.normalize(free, dim=1)
        crowding = ((unit @ unit.T - itself) * SHARPNESS).flatten().logsumexp(dim=0)
        optimizer.zero_grad()
        crowding.backward()
        optimizer.step()
    return F.normalize(free.detach(), dim=1)


def prototype_loss(
    features: Float[Tensor, "p f"],
    labels: Int[Tensor, " p"],
    prototypes: Float[Tensor, "c f"],
    temperature: float,
) -> Float[Tensor, ""]:
    """Cross entropy of the labels under the softmax of cosines over the temperature.

    The mean over pixels; those whose label is UNKNOWN add nothing.
    """
    logits = F.normalize(features, dim=1) @ prototypes.T / temperature
    total = F.cross_entropy(logits, labels, ignore_index=UNKNOWN, reduction="sum")
    return total / len(labels)


@dataclass(frozen=True, eq=False)
class PseudoLabels:
    """Views with their label maps, to draw pixels from."""

    frames: Sequence[Frame]
    maps: Sequence[Int[Tensor, "l h w"]]
    """Of each frame, the label map at each level; UNKNOWN where nothing is known."""

    def known_pixels(self) -> dict[int, Int[Tensor, " _"]]:
        """By frame, the pixels, counted row by row, that have a known label at the first level."""
        known = [(maps[0].flatten() != UNKNOWN).nonzero()[:, 0] for maps in self.maps]
        return {index: pixels for index, pixels in enumerate(known) if len(pixels) > 0}


def train_features(
    gaussians: Gaussians,
    features: Float[Tensor, "n columns"],
    pseudo_labels: PseudoLabels,
    prototypes: Sequence[Float[Tensor, "_ f"]],
    config: LiftConfig,
    generator: torch.Generator,
    progress: Progress = SILENT,
) -> Float[Tensor, "n columns"]:
    """`features` after `config.steps` of Adam, each on pixels of one view with a known label.

    All levels are learned from the same renderings; each has its own prototypes and, one after the
    other, its own columns of `features`. Pixels are drawn where the label of the first level is
    known. The learning rate falls to 0 over the steps. The stage is "training features".
    """
    features = features.clone()
    moments = Moments.zeros_like(features)
    known = pseudo_labels.known_pixels()
    views = list(known)
    order: list[int] = []
    for step in range(config.steps if known else 0):
        progress.update("training features", step, config.steps)
        if not order:
            order = torch.randperm(len(views), generator=generator).tolist()
        index = views[order.pop()]
        drawn = torch.randint(len(known[index]), (config.samples,), generator=generator)
        maps, chosen = pseudo_labels.maps[index], known[index][drawn]
        width = maps.shape[2]
        pixels = torch.stack([chosen % width, chosen // width], dim=1).int().to(features.device)
        labels = maps.flatten(1)[:, chosen].long().to(features.device)
        with torch.no_grad():  # kept views of all frames would take gigabytes
            projected = project(gaussians, pseudo_labels.frames[index].camera)
        leaf = features.requires_grad_()
        rendered = rasterize(projected, leaf, pixels).image.chunk(len(prototypes), dim=1)
        losses = [
            prototype_loss(*of_level, config.temperature)
            for of_level in zip(rendered, labels, prototypes, strict=True)
        ]
        torch.stack(losses).sum().backward()
        gradient, features = leaf.grad, leaf.detach()
        rates = torch.full((features.shape[1],), config.learning_rate * (1 - step / config.steps))
        adam_steps(features, gradient, moments, rates, step + 1)
    return features
