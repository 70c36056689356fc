"""Feature maps: unit vectors, coverage, and similarities against a slow loop."""

import pytest
import torch

from splatseg.render import project, rasterize
from splatseg.scene import Scene
from splatseg.segmentation import FeatureMap, feature_map, similarity_map
from splatseg.segmentation.feature_maps import MIN_COVERAGE

UNIT_TOLERANCE = 1e-5  # float32 lengths


def test_a_feature_map_is_unit_where_something_is(trained: Scene) -> None:
    view = project(trained.gaussians, trained.frames[0].camera)
    features = feature_map(trained.gaussians, view)
    alpha = rasterize(view, view.colors).alpha
    assert torch.equal(features.covered, alpha >= MIN_COVERAGE)
    assert 0 < features.covered.sum() < features.covered.numel()
    lengths = features.features.norm(dim=-1)
    assert lengths[features.covered].sub(1).abs().max() < UNIT_TOLERANCE
    assert not features.features[alpha == 0].any()


def test_features_are_not_divided_by_alpha_but_by_their_length(trained: Scene) -> None:
    view = project(trained.gaussians, trained.frames[0].camera)
    rendered = rasterize(view, trained.gaussians.features)
    features = feature_map(trained.gaussians, view)
    row, column = features.covered.nonzero()[100].tolist()
    blended = rendered.image[row, column]
    assert torch.allclose(features.features[row, column], blended / blended.norm(), atol=1e-6)


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
