"""Grounding DINO (arXiv:2303.05499) through transformers: boxes for a phrase.

Prompts are asked one by one, as LERF-Mask's authors do: asked together, they change each other's
scores, and a box may belong to words of several.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8

from splatseg.models.detector import Detection, best_first, clipped, corners, plain
from splatseg.models.hf_detectors import load_image_processor, load_model, load_tokenizer, tokens

# The model's score for its surest word, from which it means a box: LERF-Mask's authors' choice.
MIN_SCORE = 0.3


class GroundingDino:
    """The model in `folder`, on `device`; see `Detector`."""

    def __init__(
        self, folder: Path, name: str, device: torch.device, min_score: float = MIN_SCORE
    ) -> None:
        self.name = name
        self.min_score = min_score
        self._processor = load_image_processor(folder, "GroundingDinoImageProcessor")
        self._tokenizer = load_tokenizer(folder, "BertTokenizerFast")
        self._model = load_model(folder, "GroundingDinoForObjectDetection").to(device)
        self._device = device

    @torch.inference_mode()
    def detect(
        self, image: UInt8[np.ndarray, "h w 3"], prompts: Sequence[str]
    ) -> list[list[Detection]]:
        """See `Detector`."""
        captions = [caption(prompt) for prompt in prompts]
        pixels = self._processor(image, return_tensors="pt")
        answers = []
        for prompt, text in zip(prompts, captions, strict=True):
            words = tokens(self._tokenizer, [text], self._model.config.max_text_len, padded=False)
            inputs = {name: t.to(self._device) for name, t in {**pixels, **words}.items()}
            answers.append(self._found(self._model(**inputs), prompt, image))
        return answers

    def _found(
        self, answer: Any, prompt: str, image: UInt8[np.ndarray, "h w 3"]
    ) -> list[Detection]:
        """Boxes are centers and sizes in shares of the image; each has a logit for every token."""
        scores = answer.logits[0].sigmoid().amax(dim=-1).cpu().numpy()
        kept = best_first(scores, self.min_score)
        height, width = image.shape[:2]
        boxes = corners(answer.pred_boxes[0].cpu().numpy()[kept]) * (width, height, width, height)
        return [
            Detection(box, float(score), prompt)
            for box, score in zip(clipped(boxes, width, height), scores[kept], strict=True)
        ]


def caption(prompt: str) -> str:
    """A prompt as the model was trained on phrases: in lower case, closed by a dot."""
    return f"{plain(prompt).rstrip('. ')}."
