"""Cameras, Gaussians, rotations and spherical harmonics: tensors in, tensors out, no files."""

from splatseg.geometry.camera import Camera, PixelProjection
from splatseg.geometry.gaussians import Gaussians, concatenate
from splatseg.geometry.rotations import quat_product, rotation_matrices
from splatseg.geometry.spherical_harmonics import SH_DC, rotate_sh, sh_basis, view_colors

__all__ = [
    "SH_DC",
    "Camera",
    "Gaussians",
    "PixelProjection",
    "concatenate",
    "quat_product",
    "rotate_sh",
    "rotation_matrices",
    "sh_basis",
    "view_colors",
]
