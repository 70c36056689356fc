"""A scene's photos as pictures."""

import numpy as np
from jaxtyping import Bool
from PIL import Image

from splatseg.scene import Scene
from splatseg.scene.photos import photo_or_render
from splatseg.viz.pictures import highlight


def picture(scene: Scene, frame: str, mask: Bool[np.ndarray, "h w"] | None = None) -> Image.Image:
    """The photo of a frame, or its rendering where the photo is gone, dimmed outside a mask.

    Notebooks show it where it is made.

    Args:
        scene: a scene.
        frame: a frame's name.
        mask: of the photo's size; None dims nothing.

    Returns:
        An RGB image of the photo's size.

    Raises:
        SplatsegError: there is no such frame, or its photo cannot be read.
    """
    image = photo_or_render(scene, scene.frame(frame))
    return Image.fromarray(image if mask is None else highlight(image, mask))
