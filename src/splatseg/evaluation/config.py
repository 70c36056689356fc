"""The names of the protocols, and what each measures; nothing heavy is imported here."""

from typing import Literal

ProtocolName = Literal[
    "nvs",
    "click",
    "click3",
    "random-click",
    "click3d",
    "ceiling",
    "clusters",
    "objects",
    "text",
    "3d-ovs",
]

PROTOCOLS: dict[ProtocolName, str] = {
    "nvs": "held-out photos, against their renderings",
    "click": "masks from one click per object",
    "click3": "masks from the three clicks per object that the capture lists",
    "random-click": "masks from five random clicks per object",
    "click3d": "the Gaussians that the clicks of click select",
    "ceiling": "masks from votes of the truth: what the geometry allows",
    "clusters": "all objects, without a prompt",
    "objects": "the same, and what is wrong with them (panoptic quality)",
    "text": "masks from words, on LERF-Mask's files",
    "3d-ovs": "masks from words, on 3D-OVS's files",
}
