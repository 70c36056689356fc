import pytest
import torch
import torch.nn.functional as F

from splatseg.capture import load_capture
from splatseg.lifting.config import LiftConfig
from splatseg.lifting.features import (
    PseudoLabels,
    prototype_loss,
    spread_prototypes,
    train_features,
)

# Number of prototypes to the largest cosine allowed.
SPREAD = {1: -0.9, 2: -0.9, 5: 0.0, 50: 0.25, 200: 0.5}


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("count", SPREAD)
def test_prototypes_are_unit_vectors_far_apart(count: int) -> None:
    prototypes = spread_prototypes(count, 16, rng())
    torch.testing.assert_close(prototypes.norm(dim=1), torch.ones(count))
    cosines = prototypes @ prototypes.T - 2 * torch.eye(count)
    assert cosines.max() <= SPREAD[count]
    assert torch.equal(prototypes, spread_prototypes(count, 16, rng()))


def test_the_loss_has_the_right_gradient_and_sees_known_directions_alone() -> None:
    features = torch.randn(6, 4, generator=rng(), dtype=torch.float64, requires_grad=True)
    prototypes = F.normalize(torch.randn(3, 4, generator=rng(1), dtype=torch.float64), dim=1)
    labels = torch.tensor([0, 1, 2, 2, 1, 0])

    def loss(features: torch.Tensor, labels: torch.Tensor = labels) -> torch.Tensor:
        return prototype_loss(features, labels, prototypes, 0.4)

    assert torch.autograd.gradcheck(loss, features)
    torch.testing.assert_close(loss(5 * features), loss(features))
    half = labels.where(torch.arange(6) < 3, -1)  # unknown pixels add nothing
    torch.testing.assert_close(loss(features, half), loss(features[:3], labels[:3]) / 2)


@pytest.fixture
def true_labels(synthetic) -> PseudoLabels:
    frames = load_capture(synthetic.root).train
    maps = [torch.from_numpy(synthetic.truth[f.name].astype("int16"))[None] for f in frames]
    return PseudoLabels(frames, maps)


def learn(true_scene, labels: PseudoLabels, prototypes: list[torch.Tensor], steps: int):
    start = torch.cat([rows[:1].expand(len(true_scene[0]), -1) for rows in prototypes], dim=1)
    config = LiftConfig(steps=steps, samples=512, learning_rate=0.05)
    return train_features(true_scene[0], start, labels, prototypes, config, rng(3))


def test_features_learn_the_label_maps(true_labels, true_scene) -> None:
    truth, prototypes = true_scene[1], spread_prototypes(4, 16, rng())
    features = learn(true_scene, true_labels, [prototypes], 100)
    found = (F.normalize(features, dim=1) @ prototypes.T).argmax(dim=1)
    # Not all of a ball is seen from the cameras' side.
    assert (found == truth)[truth > 0].float().mean() > 0.7
    unknown = PseudoLabels(true_labels.frames, [maps * 0 - 1 for maps in true_labels.maps])
    start = prototypes[:1].expand(len(truth), -1)
    assert torch.equal(learn(true_scene, unknown, [prototypes], 20), start)


def test_levels_are_learned_side_by_side_and_again_the_same(true_labels, true_scene) -> None:
    prototypes = [spread_prototypes(count, 8, rng(count)) for count in (4, 2)]
    both = [torch.cat([maps, (maps > 0).short()]) for maps in true_labels.maps]

    def level(which: slice) -> torch.Tensor:
        labels = PseudoLabels(true_labels.frames, [maps[which] for maps in both])
        return learn(true_scene, labels, prototypes[which], 30)

    together, first = level(slice(0, 2)), level(slice(0, 1))
    torch.testing.assert_close(together[:, :8], first)
    torch.testing.assert_close(together[:, 8:], level(slice(1, 2)))
    assert torch.equal(first, level(slice(0, 1)))
