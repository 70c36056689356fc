"""Which detector finds what a prompt means: a folder, or a model of the Hugging Face hub."""

from pathlib import Path

import torch

from splatseg.errors import SplatsegError
from splatseg.models.detector import Detector
from splatseg.models.grounding_dino import GroundingDino
from splatseg.models.hf_detectors import model_folder, read_config
from splatseg.models.hub import CONFIG
from splatseg.models.owlv2 import Owlv2
from splatseg.models.sam3 import Sam3

DEFAULT_DETECTOR = "IDEA-Research/grounding-dino-base"  # the paper's; -tiny is quicker
KINDS = {"grounding-dino": GroundingDino, "owlv2": Owlv2, "sam3": Sam3, "sam3_video": Sam3}
"""By `model_type`."""


def load_detector(model: str, *, device: torch.device, min_score: float | None = None) -> Detector:
    """The detector in a folder or on the hub; `min_score` replaces the model's usual one."""
    folder = model_folder(model)
    kind = read_config(folder).get("model_type")
    if kind not in KINDS:
        raise SplatsegError(
            f"{folder / CONFIG} is of a model of type {kind}",
            expected=f"one that finds what words mean: {', '.join(KINDS)}",
        )
    settings = {} if min_score is None else {"min_score": min_score}
    name = folder.resolve().name if Path(model).expanduser().is_dir() else model
    return KINDS[kind](folder, name, device, **settings)
