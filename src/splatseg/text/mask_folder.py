"""Masks of one view that a person or another program made for prompts: <prompt>.png.

Whatever is brighter than black is inside. Prompts match whatever their case.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from splatseg.capture.resampling import resize
from splatseg.errors import SplatsegError
from splatseg.masks import read_mask
from splatseg.models.detector import Detection, plain


class MaskFolder:
    """The masks in a folder, of the one frame that is asked about."""

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise SplatsegError(
                f"there is no folder {folder}",
                expected="masks <prompt>.png in it",
            )
        self.name = folder.name
        self._files: dict[str, Path] = {}
        for path in sorted(folder.glob("*.png")):
            twin = self._files.setdefault(plain(path.stem), path)
            if twin is not path:
                raise SplatsegError(
                    f"{twin} and {path.name} are masks of one prompt",
                    remedy="remove one of them",
                )
        if not self._files:
            raise SplatsegError(
                f"{folder} has no masks",
                expected="<prompt>.png",
            )

    def find(
        self, frame: str, image: UInt8[np.ndarray, "h w 3"], prompts: Sequence[str]
    ) -> list[list[Detection]]:
        """Each prompt's mask, brought to the image's size."""
        return [self._found(prompt, image) for prompt in prompts]

    def _found(self, prompt: str, image: UInt8[np.ndarray, "h w 3"]) -> list[Detection]:
        path = self._files.get(plain(prompt))
        if path is None:
            return []
        height, width = image.shape[:2]
        drawn = read_mask(path, above=0).astype(np.uint8)
        mask = resize(drawn, width, height, nearest=True) > 0
        if not mask.any():
            return []
        y, x = np.nonzero(mask)
        box = (float(x.min()), float(y.min()), float(x.max() + 1), float(y.max() + 1))
        return [Detection(box, 1.0, prompt, mask)]
