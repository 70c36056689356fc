"""Benchmark protocols, one file each: what is asked of a scene, and how the answers are scored.

What is asked uses training views, what is scored uses test views; the scene decides which are
which. Pixel coordinates of a click are those of the photo as shipped; (0.5, 0.5) is a pixel's
center. Sizes are (width, height).

Masks are scored by IoU (`miou`), by Boundary IoU at 2 % of the image diagonal (`mbiou`), and by
Boundary IoU at 2 pixels (`biou2`). No answer scores 0.
"""
