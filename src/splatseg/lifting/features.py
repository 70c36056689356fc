"""Features that render to the prototypes of a scene's objects.

Every object has a prototype, a unit vector; prototypes are spread over the sphere, so that the
similarity between two objects is far below Eq. 6's threshold whatever their number. With fixed
prototypes the contrastive loss (Eq. 3) needs no means of segments: it is the cross entropy of the
pixel's label under the softmax of its cosines. Where two objects blend, the cosine to either falls
through 0.7 about where both have the same weight, so Eq. 6's mask ends at the edge.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from splatseg.capture import Frame
from splatseg.engine.adam import Moments, adam_steps
from splatseg.geometry.gaussians import Gaussians
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


def train_features(
    gaussians: Gaussians,
    features: Float[Tensor, "n columns"],
    frames: Sequence[Frame],
    pseudo_labels: Sequence[Int[Tensor, "l h w"]],
    prototypes: Sequence[Float[Tensor, "_ f"]],
    *,
    steps: int,
    samples: int,
    temperature: float,
    learning_rate: float,
    generator: torch.Generator,
    progress: Progress = SILENT,
) -> Float[Tensor, "n columns"]:
    """`features` after `steps` of Adam, each on `samples` pixels of one view with a known label.

    All levels are learned from the same renderings; each has its own prototypes and, one after the
    other, its own columns of `features`. `targets` are the frames' label maps at each level; pixels
    are drawn where the first is known. The learning rate falls to 0 over the steps.
    """
    features = features.clone()
    moments = Moments.zeros_like(features)
    known = [
        (pseudo_label_map[0].flatten() != UNKNOWN).nonzero()[:, 0]
        for pseudo_label_map in pseudo_labels
    ]
    asked = [index for index, pixels in enumerate(known) if len(pixels) > 0]
    order: list[int] = []
    for step in range(steps if asked else 0):
        progress.update("training features", step, steps)
        if not order:
            order = torch.randperm(len(asked), generator=generator).tolist()
        index = asked[order.pop()]
        chosen = known[index][torch.randint(len(known[index]), (samples,), generator=generator)]
        width = pseudo_labels[index].shape[2]
        pixels = torch.stack([chosen % width, chosen // width], dim=1).int().to(features.device)
        labels = pseudo_labels[index].flatten(1)[:, chosen].long().to(features.device)
        with torch.no_grad():  # kept views of all frames would take gigabytes
            view = project(gaussians, frames[index].camera)
        leaf = features.requires_grad_()
        rendered = rasterize(view, leaf, pixels).image.chunk(len(prototypes), dim=1)
        losses = [
            prototype_loss(*of_level, temperature)
            for of_level in zip(rendered, labels, prototypes, strict=True)
        ]
        torch.stack(losses).sum().backward()
        gradient, features = leaf.grad, leaf.detach()
        rate = learning_rate * (1 - step / steps)
        adam_steps(features, gradient, moments, torch.full((features.shape[1],), rate), step + 1)
    return features
