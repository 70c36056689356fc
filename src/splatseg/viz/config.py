"""Choices of what a scene is rendered as; nothing heavy is imported here."""

from typing import Literal

RenderKind = Literal["photo", "color", "features", "clusters", "pick"]
"""The undistorted photo, the rendered scene, its features, its objects, or the masks of a pick."""

FrameSet = Literal["test", "train", "all"]
"""The views held out (all where none is), those trained on, or all."""
