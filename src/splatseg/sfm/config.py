"""How photos without poses are taken; nothing heavy is imported here."""

from typing import Literal

CameraSharing = Literal["auto", "folder", "photo"]
"""Which photos one camera took: those of one size and EXIF lens, of one folder, or each alone."""
