"""What the photos tell: frames with cameras, lenses, a train/test split, and points."""

from splatseg.capture.capture import Capture, load_capture
from splatseg.capture.frame import Frame
from splatseg.capture.lens import Lens

__all__ = ["Capture", "Frame", "Lens", "load_capture"]
