"""Names of protocols, where they are, and what they are called with."""

import subprocess
import sys
from typing import get_args

from splatseg.evaluation import PROTOCOLS, ProtocolName, find_protocol
from splatseg.evaluation.registry import MODULES


def test_every_protocol_is_defined_in_its_file():
    assert list(get_args(ProtocolName)) == list(PROTOCOLS) == list(MODULES)
    for name in get_args(ProtocolName):
        protocol = find_protocol(name)
        assert protocol.versioned == f"{name}/{2 if name in ('text', '3d-ovs') else 1}"
        definition = sys.modules[protocol.measure.__module__].__doc__ or ""
        assert definition.startswith(f"`{protocol.versioned}`: ")
    report = {"miou": 0.5, "outside": None, "psnr": 20.0}
    assert find_protocol("click3d").headline(report) == {"miou": 0.5}


def test_names_are_listed_without_torch():
    code = "import sys, splatseg.evaluation.config; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
