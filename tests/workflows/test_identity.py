import dataclasses
import json
from typing import Any

import pytest

from splatseg.errors import SplatsegError
from splatseg.workflows.identity import check_identity

IDENTITY = {"iterations": 60, "contrastive": {"interval": 7}, "masks": None}


@pytest.mark.parametrize(
    ("there", "named"),
    [
        ({"contrastive": {"interval": 9}}, "contrastive.interval was 9, now 7"),
        ({"masks": "sam", "iterations": 50}, "iterations was 50, now 60"),  # the first of them
        ({"new": 1}, "new was 1, now None"),  # a setting of a later version
        ({"contrastive": {}}, "contrastive.interval was None, now 7"),
    ],
)
def test_the_first_setting_that_differs_is_named(there: dict[str, Any], named: str, config) -> None:
    with pytest.raises(SplatsegError) as caught:
        check_identity(IDENTITY | there, IDENTITY, "scene holds a run")
    assert str(caught.value).startswith(f"scene holds a run with other settings ({named});")
    stored = dataclasses.asdict(config())
    check_identity(json.loads(json.dumps(stored)), stored, "it outlives JSON")
