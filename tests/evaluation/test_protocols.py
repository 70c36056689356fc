"""Names and versions of the protocols."""

from typing import get_args

import pytest

from splatseg.evaluation import Protocol, protocols, versioned


@pytest.mark.parametrize("protocol", get_args(Protocol))
def test_every_protocol_is_defined_where_its_name_is(protocol: Protocol):
    assert protocols.__doc__ is not None
    assert f"\n`{versioned(protocol)}`" in protocols.__doc__
    assert versioned(protocol).startswith(f"{protocol}/")
