"""The scene's own objects, as its test views show them."""

import numpy as np
from jaxtyping import Integer

from splatseg.evaluation.truth import Truth
from splatseg.evaluation.views import at_size
from splatseg.progress import Progress
from splatseg.scene import Scene
from splatseg.segmentation import render_labels


def label_maps(
    scene: Scene, truth: Truth, progress: Progress
) -> dict[str, Integer[np.ndarray, "h w"]]:
    """Each frame of `truth` with the object id at each pixel of the true map, 0 for none."""
    assert scene.labels is not None  # the protocol needs objects
    maps = {}
    for done, (name, instance_map) in enumerate(truth.maps.items()):
        progress.update("scoring views", done, len(truth.maps))
        frame = scene.frame(name)
        rendered = render_labels(scene.gaussians, scene.labels, frame).cpu().numpy()
        maps[name] = at_size(frame, instance_map.shape).lens.warp_to_photo(rendered, nearest=True)
    return maps
