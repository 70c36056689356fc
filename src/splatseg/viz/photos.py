"""A scene's photos as pictures."""

import numpy as np
from jaxtyping import Bool
from PIL import Image

from splatseg.scene import Scene
from splatseg.scene.photos import photo_or_render
from splatseg.viz.pictures import highlight


def picture(scene: Scene, frame: str, mask: Bool[np.ndarray, "h w"] | None = None) -> Image.Image:
    """The photo of a frame, or its rendering, dimmed outside a mask of its size.

    Notebooks show it where it is made.
    """
    image = photo_or_render(scene, scene.frame(frame))
    return Image.fromarray(image if mask is None else highlight(image, mask))
