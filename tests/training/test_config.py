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
    ("make", "values", "expected"),
    [
        (TrainConfig, {"iterations": 0, "max_gaussians": 0, "checkpoint_interval": 0}, AT_LEAST_1),
        (TrainConfig, {"seed": -1}, NOT_NEGATIVE),
        (AppearanceConfig, {"sh_degree": 4}, "expected 0, 1, 2 or 3"),
        (DensityConfig, {"interval": 0}, AT_LEAST_1),
        (DensityConfig, {"reset_interval": 0.0}, FRACTION),
        (DensityConfig, {"reset_interval": 1.1}, FRACTION),
        (ContrastiveConfig, {"interval": 0, "features": 0}, AT_LEAST_1),
        (ContrastiveConfig, {"weight": float("nan")}, NOT_NEGATIVE),
        (SpatialConfig, {"near_weight": -0.1, "far_weight": -0.1}, NOT_NEGATIVE),
        (SpatialConfig, {"interval": 0, "anchors": 0}, AT_LEAST_1),
        (LiftConfig, {"steps": -1}, NOT_NEGATIVE),
        (LiftConfig, {"max_masks": 0, "max_views": 0, "samples": 0}, AT_LEAST_1),
        (LiftConfig, {"temperature": 0.0}, "expected above 0"),
    ],
)
def test_a_setting_out_of_range_is_refused_by_its_whole_name(make, values, expected: str) -> None:
    group = "" if make is TrainConfig else make.__name__.removesuffix("Config").lower() + "."
    for field, value in values.items():
        with pytest.raises(SplatsegError) as caught:
            dataclasses.replace(make(), **{field: value})
        assert str(caught.value) == f"{group}{field} is {value}; {expected}"
