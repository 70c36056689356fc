"""Masks of one view that a person or another program made for prompts: <prompt>.png.

Whatever is brighter than black is inside. Prompts match whatever their case.
"""

from pathlib import Path

import numpy as np
from jaxtyping import Bool

from splatseg.errors import SplatsegError
from splatseg.masks import read_mask
from splatseg.text.detection import plain


class MaskFolder:
    """The masks in a folder."""

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise SplatsegError(f"there is no folder {folder}; expected masks <prompt>.png in it")
        self._files: dict[str, Path] = {}
        for path in sorted(folder.glob("*.png")):
            twin = self._files.setdefault(plain(path.stem), path)
            if twin is not path:
                raise SplatsegError(
                    f"{twin} and {path.name} are masks of one prompt; remove one of them"
                )
        if not self._files:
            raise SplatsegError(f"{folder} has no masks; expected <prompt>.png")

    @property
    def prompts(self) -> tuple[str, ...]:
        """Every prompt that has a mask, in plain form."""
        return tuple(sorted(self._files))

    def mask(self, prompt: str) -> Bool[np.ndarray, "h w"] | None:
        """The mask, of any size, shows the whole view; None if the prompt has none."""
        path = self._files.get(plain(prompt))
        return None if path is None else read_mask(path, above=0)
