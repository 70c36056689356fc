"""Tiny models of transformers with random weights."""

from builders.tiny_hf_models import copy_of, folders, image  # noqa: F401, fixtures
