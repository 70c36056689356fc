"""The object that each Gaussian belongs to, as an array or as a PLY in which objects have colors.

Rows are those of scene.ply. Ids are as `splatseg cluster` gives them: 0 = no object, -1 = floater.
"""

import io
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from splatseg.files import write_bytes
from splatseg.geometry import SH_DC, Gaussians
from splatseg.masks.config import Level
from splatseg.scene import write_ply
from splatseg.viz.labels import label_palette


def write_ids(
    path: Path | str,
    labels: Int[Tensor, " n"],
    parts: Mapping[Level, Int[Tensor, " n"]] | None = None,
) -> None:
    """Write a compressed NPZ: "ids" [n] int32 and, of finer levels, "ids.part", "ids.subpart".

    Args:
        path: the file.
        labels: the object id of each Gaussian, 0 for none, -1 for floaters.
        parts: the same of finer levels.

    Raises:
        SplatsegError: the file cannot be written.
    """
    arrays = {"ids": labels} | {f"ids.{level}": ids for level, ids in (parts or {}).items()}
    content = io.BytesIO()
    np.savez_compressed(
        content, allow_pickle=False, **{name: _int32(ids) for name, ids in arrays.items()}
    )
    write_bytes(Path(path), content.getvalue())


def write_ids_ply(path: Path | str, gaussians: Gaussians, labels: Int[Tensor, " n"]) -> None:
    """Write a standard PLY of SH degree 0, each object in the color that `cluster` paints it in.

    Args:
        path: the file.
        gaussians: at least one.
        labels: the object id of each; those of no object are dark.

    Raises:
        SplatsegError: there is no Gaussian, or the file cannot be written.
    """
    ids = labels.clamp_min(0).cpu()
    palette = torch.from_numpy(label_palette(int(ids.max()))) / 255
    coefficients = (palette[ids] - 0.5) / SH_DC
    write_ply(Path(path), replace(gaussians, sh=coefficients[:, None].to(gaussians.sh)))


def _int32(ids: Int[Tensor, " n"]) -> np.ndarray:
    return ids.cpu().numpy().astype(np.int32)
