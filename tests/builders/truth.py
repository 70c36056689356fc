"""Hand-made ground truth: small instance maps with squares."""

import numpy as np

from splatseg.evaluation import Truth


def square(top: int, left: int, side: int, label: int = 1) -> np.ndarray:
    """A 40x60 instance map with one square object."""
    instance_map = np.zeros((40, 60), dtype=np.uint8)
    instance_map[top : top + side, left : left + side] = label
    return instance_map


def truth_of(**maps: np.ndarray) -> Truth:
    """Truth of a cup, object 1, and a can, object 2."""
    return Truth(names={1: "cup", 2: "can"}, maps=maps)
