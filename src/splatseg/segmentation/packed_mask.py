"""Masks in little memory: a photo has millions of pixels, and a capture hundreds of photos."""

import zlib

import numpy as np
from jaxtyping import Bool


class PackedMask:
    """A mask as compressed bits."""

    def __init__(self, mask: Bool[np.ndarray, "h w"]) -> None:
        self.shape = mask.shape
        self.area = int(mask.sum())
        """Pixels inside."""
        self._bits = zlib.compress(np.packbits(mask).tobytes(), level=1)

    def unpack(self) -> Bool[np.ndarray, "h w"]:
        """The mask."""
        bits = np.frombuffer(zlib.decompress(self._bits), dtype=np.uint8)
        size = self.shape[0] * self.shape[1]
        return np.unpackbits(bits, count=size).astype(bool).reshape(self.shape)
