"""A segmenter whose answers are known."""

import numpy as np

from splatseg.models.segmenter import EncodedPhoto, Prediction


class BoxSegmenter:
    """Draws the box that it is asked for, on a logit grid of `scale` times the image's resolution.

    Of the masks that it gives for a box the last is the one it believes in.
    """

    name = "boxes"

    def __init__(
        self, masks: int = 2, scale: float = 0.5, *, has_hole: bool = False, is_blind: bool = False
    ) -> None:
        self.masks, self.scale, self.has_hole, self.is_blind = masks, scale, has_hole, is_blind
        self.encoded = 0
        self.asked: list[tuple] = []

    def encode(self, photo):
        self.encoded += 1
        return EncodedPhoto(*photo.shape[:2], self.scale, self.scale, None)

    def predict(self, photo, points, labels, boxes=None, *, levels=True):
        self.asked.append((points.shape, labels.shape, levels))
        shape = round(photo.height * self.scale), round(photo.width * self.scale)
        logits = np.full((len(boxes), self.masks, *shape), -8, dtype=np.float32)
        corners = (boxes * self.scale).astype(int)
        for of_box, (x0, y0, x1, y1) in zip(logits[:, -1], corners, strict=True):
            of_box[y0:y1, x0:x1] = -8 if self.is_blind else 8
            if self.has_hole:
                of_box[(y0 + y1) // 2, (x0 + x1) // 2] = -8
        quality = np.linspace(0.5, 0.9, self.masks, dtype=np.float32)
        return Prediction(logits, np.tile(quality, (len(boxes), 1)))
