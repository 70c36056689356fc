"""SAM 3 through transformers: boxes and masks for a phrase.

transformers' image processor of SAM 3 needs torchvision, so the image is laid on the model's square
here, as for clicks. It is looked at once for all prompts.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8

from splatseg.models.detector import Detection, best_first, clipped, plain
from splatseg.models.hf_detectors import load_model, load_tokenizer, tokens
from splatseg.models.input_transform import InputTransform
from splatseg.models.logit_mapping import on_image

MIN_SCORE = 0.5  # as in transformers' own examples
MIDDLE = 127.5  # 0 to 255 becomes -1 to 1


class Sam3:
    """The model in `folder`, on `device`, a checkpoint for videos too; see `Detector`."""

    def __init__(
        self, folder: Path, name: str, device: torch.device, min_score: float = MIN_SCORE
    ) -> None:
        self.name = name
        self.min_score = min_score
        self._tokenizer = load_tokenizer(folder, "CLIPTokenizerFast")
        self._model = load_model(folder, "Sam3Model").to(device)
        self._input_transform = InputTransform(
            self._model.config.vision_config.image_size, is_squashed=True
        )
        self._device = device

    @torch.inference_mode()
    def detect(
        self, image: UInt8[np.ndarray, "h w 3"], prompts: Sequence[str]
    ) -> list[list[Detection]]:
        """See `Detector`."""
        max_tokens = self._model.config.text_config.max_position_embeddings
        words = [tokens(self._tokenizer, [plain(prompt)], max_tokens) for prompt in prompts]
        pixels = (self._input_transform.resize(image).astype(np.float32) - MIDDLE) / MIDDLE
        planes = torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))[None]
        seen = self._model.get_vision_features(planes.to(self._device))
        answers = []
        for prompt, of_prompt in zip(prompts, words, strict=True):
            inputs = {name: t.to(self._device) for name, t in of_prompt.items()}
            answers.append(self._found(self._model(vision_embeds=seen, **inputs), prompt, image))
        return answers

    def _found(
        self, answer: Any, prompt: str, image: UInt8[np.ndarray, "h w 3"]
    ) -> list[Detection]:
        """Boxes are corners in shares of the image; a score is for when the thing is there at all,
        which has one of its own.
        """
        is_there = answer.presence_logits.sigmoid()
        scores = (answer.pred_logits.sigmoid() * is_there)[0].cpu().numpy()
        kept = best_first(scores, self.min_score)
        height, width = image.shape[:2]
        shares = answer.pred_boxes[0].cpu().numpy()[kept]
        boxes = clipped(shares * (width, height, width, height), width, height)
        logits = answer.pred_masks[0].cpu().numpy()[kept]
        encoded = self._input_transform.encoded(height, width, logits.shape[-1], None)
        return [
            Detection(box, float(score), prompt, mask)
            for box, score, mask in zip(boxes, scores[kept], on_image(encoded, logits), strict=True)
        ]
