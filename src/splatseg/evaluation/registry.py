"""Where each protocol is; its module is imported when it is asked for.

A new protocol is a file in protocols/ that ends with `PROTOCOL = Protocol(...)`, a line here, and
its name in config.py.
"""

from importlib import import_module

from splatseg.evaluation.config import ProtocolName
from splatseg.evaluation.protocol import Protocol

MODULES: dict[ProtocolName, str] = {
    "nvs": "nvs",
    "click": "click",
    "click3": "click3",
    "random-click": "random_click",
    "click3d": "click3d",
    "ceiling": "ceiling",
    "clusters": "clusters",
    "objects": "objects",
    "text": "text",
    "3d-ovs": "ovs3d",
}


def find_protocol(name: ProtocolName) -> Protocol:
    """The protocol of that name."""
    return import_module(f"splatseg.evaluation.protocols.{MODULES[name]}").PROTOCOL
