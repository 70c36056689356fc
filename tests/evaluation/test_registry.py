"""Names of protocols, where they are, and what they are called with."""

import subprocess
import sys
from typing import get_args

import pytest

from splatseg.evaluation import PROTOCOLS, ProtocolName, find_protocol
from splatseg.evaluation.registry import MODULES


def test_the_registry_and_the_names_agree() -> None:
    assert list(get_args(ProtocolName)) == list(PROTOCOLS) == list(MODULES)


@pytest.mark.parametrize("name", get_args(ProtocolName))
def test_a_protocol_is_defined_in_its_file(name: ProtocolName) -> None:
    protocol = find_protocol(name)
    assert protocol.name == name
    assert protocol.versioned == f"{name}/{2 if name in ('text', '3d-ovs') else 1}"
    definition = sys.modules[protocol.measure.__module__].__doc__ or ""
    assert definition.startswith(f"`{protocol.versioned}`: ")


def test_names_are_listed_without_torch() -> None:
    code = "import sys, splatseg.evaluation.config; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_headlines_are_what_is_known_of_them() -> None:
    report = {"miou": 0.5, "outside": None, "psnr": 20.0}
    assert find_protocol("click3d").headline(report) == {"miou": 0.5}
