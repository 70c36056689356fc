"""splatseg: segment 3D Gaussian scenes from photos and inconsistent 2D masks."""
