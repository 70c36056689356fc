import pytest
import torch
import torch.nn.functional as F

from splatseg.capture import Frame, load_capture
from splatseg.lifting.config import LiftConfig
from splatseg.lifting.features import (
    PseudoLabels,
    prototype_loss,
    spread_prototypes,
    train_features,
)

SPREAD = {2: -0.9, 5: 0.0, 50: 0.25, 200: 0.5}  # number of prototypes to the largest cosine allowed


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("count", SPREAD)
def test_prototypes_are_unit_vectors_far_apart(count: int) -> None:
    prototypes = spread_prototypes(count, 16, rng())
    torch.testing.assert_close(prototypes.norm(dim=1), torch.ones(count))
    cosines = prototypes @ prototypes.T - 2 * torch.eye(count)
    assert cosines.max() <= SPREAD[count]
    assert torch.equal(prototypes, spread_prototypes(count, 16, rng()))


def test_one_prototype_is_enough_for_a_scene_without_objects() -> None:
    assert spread_prototypes(1, 16, rng()).shape == (1, 16)


def test_the_losss_gradient() -> None:
    features = torch.randn(6, 4, generator=rng(), dtype=torch.float64, requires_grad=True)
    prototypes = F.normalize(torch.randn(3, 4, generator=rng(1), dtype=torch.float64), dim=1)
    labels = torch.tensor([0, 1, 2, 2, 1, 0])
    assert torch.autograd.gradcheck(lambda f: prototype_loss(f, labels, prototypes, 0.4), features)


def test_the_loss_does_not_see_the_length_of_a_feature() -> None:
    features = torch.randn(6, 4, generator=rng())
    prototypes = spread_prototypes(3, 4, rng())
    labels = torch.tensor([0, 1, 2, 2, 1, 0])
    short = prototype_loss(features, labels, prototypes, 0.4)
    torch.testing.assert_close(prototype_loss(5 * features, labels, prototypes, 0.4), short)


def trained(synthetic, true_scene, label_maps: list[torch.Tensor], steps: int) -> torch.Tensor:
    gaussians, _ = true_scene
    prototypes = spread_prototypes(4, 16, rng())
    return train_features(
        gaussians,
        prototypes[torch.zeros(len(gaussians), dtype=torch.long)],
        PseudoLabels(frames(synthetic), [label_map[None] for label_map in label_maps]),
        [prototypes],
        LiftConfig(steps=steps, samples=512, learning_rate=0.05),
        rng(3),
    )


def frames(synthetic) -> list[Frame]:
    return load_capture(synthetic.root).train


def true_labels(synthetic) -> list[torch.Tensor]:
    return [torch.from_numpy(synthetic.truth[f.name].astype("int16")) for f in frames(synthetic)]


def test_features_learn_the_label_maps(synthetic, true_scene) -> None:
    _, truth = true_scene
    prototypes = spread_prototypes(4, 16, rng())
    features = trained(synthetic, true_scene, true_labels(synthetic), steps=100)
    found = (F.normalize(features, dim=1) @ prototypes.T).argmax(dim=1)
    seen = truth > 0
    # Not all of a ball is seen from the cameras' side.
    assert (found == truth)[seen].float().mean() > 0.7
    assert torch.equal(features, trained(synthetic, true_scene, true_labels(synthetic), steps=100))


def test_levels_are_learned_side_by_side(synthetic, true_scene) -> None:
    gaussians, _ = true_scene
    prototypes = [spread_prototypes(count, 8, rng(count)) for count in (4, 2)]
    is_ball = [
        torch.stack([label_map, (label_map > 0).short()]) for label_map in true_labels(synthetic)
    ]

    def learn(levels: slice) -> torch.Tensor:
        chosen = prototypes[levels]
        start = torch.cat([rows[:1].expand(len(gaussians), -1) for rows in chosen], dim=1)
        pseudo_labels = PseudoLabels(frames(synthetic), [maps[levels] for maps in is_ball])
        config = LiftConfig(steps=30, samples=256, learning_rate=0.05)
        return train_features(gaussians, start, pseudo_labels, chosen, config, rng())

    both = learn(slice(0, 2))
    torch.testing.assert_close(both[:, :8], learn(slice(0, 1)))
    torch.testing.assert_close(both[:, 8:], learn(slice(1, 2)))


def test_pixels_of_unknown_label_add_nothing() -> None:
    features = torch.randn(4, 4, generator=rng())
    prototypes = spread_prototypes(3, 4, rng())
    known = prototype_loss(features[:2], torch.tensor([1, 2]), prototypes, 0.4)
    half = prototype_loss(features, torch.tensor([1, 2, -1, -1]), prototypes, 0.4)
    torch.testing.assert_close(half, known / 2)


def test_what_no_view_knows_is_not_learned(synthetic, true_scene) -> None:
    unknown = [torch.full_like(label_map, -1) for label_map in true_labels(synthetic)]
    before = trained(synthetic, true_scene, unknown, steps=0)
    assert torch.equal(trained(synthetic, true_scene, unknown, steps=20), before)
