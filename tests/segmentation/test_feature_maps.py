"""Feature maps: unit vectors, coverage, and similarities against a slow loop."""

import pytest
import torch

from splatseg.render import project, rasterize
from splatseg.scene import Scene
from splatseg.segmentation import FeatureMap, feature_map, similarity_map
from splatseg.segmentation.feature_maps import MIN_COVERAGE


def test_features_are_divided_by_their_length_where_something_is(trained: Scene) -> None:
    view = project(trained.gaussians, trained.frames[0].camera)
    features = feature_map(trained.gaussians, view)
    blended = rasterize(view, trained.gaussians.features)
    assert torch.equal(features.covered, blended.alpha >= MIN_COVERAGE)
    assert 0 < features.covered.sum() < features.covered.numel()
    unit = torch.nn.functional.normalize(blended.image[features.covered], dim=-1)
    assert torch.allclose(features.features[features.covered], unit, atol=1e-6)
    assert not features.features[blended.alpha == 0].any()


@pytest.mark.parametrize("count", [1, 2, 5])
def test_similarity_is_the_best_cosine(count: int) -> None:
    random = torch.Generator().manual_seed(count)
    unit = torch.nn.functional.normalize(torch.randn(4, 3, 8, generator=random), dim=-1)
    queries = torch.nn.functional.normalize(torch.randn(count, 8, generator=random), dim=-1)
    covered = torch.rand(4, 3, generator=random) > 0.3
    similarity = similarity_map(FeatureMap(unit, covered), queries)
    for row in range(4):
        for column in range(3):
            best = max(float(unit[row, column] @ query) for query in queries)
            expected = best if covered[row, column] else -1.0
            assert similarity[row, column].item() == pytest.approx(expected, abs=1e-6)
