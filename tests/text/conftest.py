"""Tiny detectors with random weights."""

from builders.tiny_detectors import copy_of, folders, image  # noqa: F401, fixtures
