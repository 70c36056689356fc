"""Choices that all workflows share; nothing heavy is imported here."""

from typing import Literal

Device = Literal["auto", "cpu", "cuda"]
"""auto: the GPU if torch finds one and gsplat is installed, else the CPU."""
