"""OWLv2 (arXiv:2306.09683) through transformers: boxes for a phrase.

The model finds boxes first and then says how well each agrees with each prompt, so all prompts are
asked at once. The image lies in the top left of a square.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8

from splatseg.models.detector import Detection, best_first, clipped, corners, plain
from splatseg.models.hf_detectors import load_image_processor, load_model, load_tokenizer, tokens

MIN_SCORE = 0.1  # as in transformers: OWLv2's scores are low, and one of 0.3 is a sure thing


class Owlv2:
    """The model in `folder`, on `device`; see `Detector`."""

    def __init__(
        self, folder: Path, name: str, device: torch.device, min_score: float = MIN_SCORE
    ) -> None:
        self.name = name
        self.min_score = min_score
        self._processor = load_image_processor(folder, "Owlv2ImageProcessor")
        self._tokenizer = load_tokenizer(folder, "CLIPTokenizerFast")
        self._model = load_model(folder, "Owlv2ForObjectDetection").to(device)
        self._device = device

    @torch.inference_mode()
    def detect(
        self, image: UInt8[np.ndarray, "h w 3"], prompts: Sequence[str]
    ) -> list[list[Detection]]:
        """See `Detector`."""
        if not prompts:
            return []
        max_tokens = self._model.config.text_config.max_position_embeddings
        words = tokens(self._tokenizer, [plain(prompt) for prompt in prompts], max_tokens)
        pixels = self._processor(image, return_tensors="pt")
        inputs = {name: t.to(self._device) for name, t in {**pixels, **words}.items()}
        answer = self._model(**inputs)
        height, width = image.shape[:2]
        in_square = corners(answer.pred_boxes[0].cpu().numpy())
        boxes = clipped(in_square * max(height, width), width, height)
        scores = answer.logits[0].sigmoid().cpu().numpy()  # a row a box, a column a prompt
        return [
            [
                Detection(boxes[index], float(of_prompt[index]), prompt)
                for index in best_first(of_prompt, self.min_score)
            ]
            for prompt, of_prompt in zip(prompts, scores.T, strict=True)
        ]
