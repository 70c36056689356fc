"""Photos that show the same are matched with each other; the rest of the pairs are saved."""

import numpy as np
import pytest

from splatseg.sfm import pairs
from splatseg.sfm.pairs import (
    NEIGHBORS,
    SAMPLE,
    SIMILAR,
    learn_words,
    neighbor_pairs,
    sample_rows,
    similar_pairs,
    vlad,
)

UNIT = 1e-5  # float32


def descriptors(place: int, count: int) -> np.ndarray:
    """What photos of one place have: noise around the place's own features."""
    own = np.random.default_rng(place).integers(0, 256, (50, 128))
    random = np.random.default_rng([place, count])
    rows = own[random.integers(0, 50, count)] + random.normal(0, 10, (count, 128))
    return np.clip(rows, 0, 255).astype(np.uint8)


def test_neighbors_follow_each_other_in_their_folder() -> None:
    photos = [f"a/{i}.jpg" for i in range(10)] + ["b/0.jpg", "b/1.jpg"]
    expected = {(i, j) for i in range(10) for j in range(i + 1, 10) if j - i <= NEIGHBORS}
    assert neighbor_pairs(photos) == expected | {(10, 11)}


def test_photos_of_one_place_are_similar_and_those_without_features_like_none() -> None:
    photos = [descriptors(place, 60 + 5 * i) for i in range(4) for place in (1, 2, 3)]
    words = learn_words([sample_rows(rows) for rows in photos])
    vectors = np.stack([vlad(rows, words) for rows in photos])
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=UNIT)
    similarity = vectors @ vectors.T
    for i in range(12):
        others = np.argsort(-similarity[i])[1:4]
        assert all(other % 3 == i % 3 for other in others)
    empty = np.zeros((0, 128), np.uint8)
    for each in (words, learn_words([sample_rows(empty)] * 2)):
        assert not vlad(empty, each).any()


def test_similar_pairs_are_the_nearest_of_either(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = np.random.default_rng(0).normal(size=(40, 8)).astype(np.float32)
    expected = set()
    for i in range(40):
        order = sorted(set(range(40)) - {i}, key=lambda j: -float(vectors[i] @ vectors[j]))
        expected |= {(min(i, j), max(i, j)) for j in order[:SIMILAR]}
    assert similar_pairs(vectors) == expected
    monkeypatch.setattr(pairs, "SIMILAR", 50)
    assert len(similar_pairs(vectors)) == 40 * 39 / 2


@pytest.mark.parametrize("count", [0, 1, SAMPLE - 1, SAMPLE, 10 * SAMPLE])
def test_the_sample_is_spread(count: int) -> None:
    rows = np.repeat(np.arange(count)[:, None] % 251, 128, axis=1).astype(np.uint8)
    sample = sample_rows(rows)
    assert len(sample) == min(count, SAMPLE)
    assert (sample[:1] == rows[:1]).all() and (sample[-1:] == rows[-1:]).all()
