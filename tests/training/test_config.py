import dataclasses

import pytest

from splatseg.errors import SplatsegError
from splatseg.lifting.config import LiftConfig
from splatseg.training.config import (
    AppearanceConfig,
    ContrastiveConfig,
    DensityConfig,
    SpatialConfig,
    TrainConfig,
)

AT_LEAST_1, NOT_NEGATIVE = "expected at least 1", "expected 0 or more"
FRACTION = "expected a fraction of all iterations, above 0 and at most 1"


@pytest.mark.parametrize(
    ("group", "make", "field", "value", "expected"),
    [
        ("", TrainConfig, "iterations", 0, AT_LEAST_1),
        ("", TrainConfig, "seed", -1, NOT_NEGATIVE),
        ("", TrainConfig, "max_gaussians", 0, AT_LEAST_1),
        ("", TrainConfig, "checkpoint_interval", 0, AT_LEAST_1),
        ("appearance.", AppearanceConfig, "sh_degree", 4, "expected 0, 1, 2 or 3"),
        ("density.", DensityConfig, "interval", 0, AT_LEAST_1),
        ("density.", DensityConfig, "reset_interval", 0.0, FRACTION),
        ("density.", DensityConfig, "reset_interval", 1.1, FRACTION),
        ("contrastive.", ContrastiveConfig, "interval", 0, AT_LEAST_1),
        ("contrastive.", ContrastiveConfig, "features", 0, AT_LEAST_1),
        ("contrastive.", ContrastiveConfig, "weight", float("nan"), NOT_NEGATIVE),
        ("spatial.", SpatialConfig, "near_weight", -0.1, NOT_NEGATIVE),
        ("spatial.", SpatialConfig, "far_weight", -0.1, NOT_NEGATIVE),
        ("spatial.", SpatialConfig, "interval", 0, AT_LEAST_1),
        ("spatial.", SpatialConfig, "anchors", 0, AT_LEAST_1),
        ("lift.", LiftConfig, "steps", -1, NOT_NEGATIVE),
        ("lift.", LiftConfig, "max_masks", 0, AT_LEAST_1),
        ("lift.", LiftConfig, "max_views", 0, AT_LEAST_1),
        ("lift.", LiftConfig, "samples", 0, AT_LEAST_1),
        ("lift.", LiftConfig, "temperature", 0.0, "expected above 0"),
    ],
)
def test_a_setting_out_of_range_is_refused_by_its_whole_name(
    group: str, make: type, field: str, value: float, expected: str
) -> None:
    with pytest.raises(SplatsegError) as caught:
        dataclasses.replace(make(), **{field: value})
    assert str(caught.value) == f"{group}{field} is {value}; {expected}"
