"""Models of the SAM family through Hugging Face's transformers (extra `hf`).

SAM 1, 2 and 3, each in the class that answers points and boxes: checkpoints of the whole SAM 2 and
3, which also follow objects in videos, are read as far as that class goes. transformers' own
processors of SAM 2 and 3 need torchvision, so the photo is laid on the square here.
"""

import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Float32, Int, UInt8
from torch import Tensor

from splatseg.errors import SplatsegError
from splatseg.models.hub import (
    CONFIG,
    WEIGHT_FILES,
    has_weights,
    import_transformers,
    load_model,
    read_settings,
)
from splatseg.models.hub import fetch as fetch_files
from splatseg.models.input_transform import (
    IMAGENET_DEVIATION,
    IMAGENET_MEAN,
    LOGITS_PER_CELL,
    InputTransform,
    prompt_coords,
    prompt_tokens,
)
from splatseg.models.mask_decoder import PROMPTS_AT_ONCE, MaskDecoder
from splatseg.models.segmenter import EncodedPhoto, Prediction

# The first that exists and says something: files of transformers up to 4, and since.
PROCESSOR_CONFIGS = ("preprocessor_config.json", "processor_config.json")
NEEDED_FILES = (CONFIG, *PROCESSOR_CONFIGS, *WEIGHT_FILES)
DEFAULT_MODEL = "facebook/sam-vit-base"
HALF = np.full(3, 127.5, dtype=np.float32)


# From transformers' names of weights to those of Meta's checkpoints, to be replaced in this order.
META_NAMES = (
    (r"^mask_decoder\.", ""),
    (r"layer_norm(\d|_final)", r"norm\1"),
    (r"upscale_conv1", "output_upscaling.0"),
    (r"upscale_layer_norm", "output_upscaling.1"),
    (r"upscale_conv2", "output_upscaling.3"),
    (r"(_mlps\.\d|_head)\.layers\.0", r"\1.layers.1"),
    (r"\.proj_in", ".layers.0"),
    (r"\.proj_out", ".layers.2"),
    (r"\.point_embed\.", ".point_embeddings."),
    (
        r"shared_embedding\.positional_embedding",
        "pe_layer.positional_encoding_gaussian_matrix",
    ),
)


class Family(NamedTuple):
    """How the models of a kind take photos, unless their own files say otherwise."""

    is_squashed: bool
    mean: Float32[np.ndarray, " 3"] = IMAGENET_MEAN
    deviation: Float32[np.ndarray, " 3"] = IMAGENET_DEVIATION


FAMILIES = {  # by `model_type`
    "sam": Family(is_squashed=False),
    "sam2": Family(is_squashed=True),
    "sam2_video": Family(is_squashed=True),
    "sam3_tracker": Family(is_squashed=True, mean=HALF, deviation=HALF),
    "sam3_video": Family(is_squashed=True, mean=HALF, deviation=HALF),
}


class _Content(NamedTuple):
    """What is kept of a photo."""

    logit_side: int
    image: Any
    """The model's embeddings, or what our own decoder makes of them."""


Answer = tuple[Float[Tensor, "n k rows columns"], Float[Tensor, "n k"]]


class HfSegmenter:
    """The model in `folder`, on `device`; see `Segmenter`."""

    def __init__(self, folder: Path, name: str, device: torch.device) -> None:
        self.name = name
        family = _family(folder)
        self._mean, self._deviation = _color_statistics(folder, family)
        loader = import_transformers().AutoModelForMaskGeneration
        self._model = load_model(loader, folder).to(device)
        self._decoder = None if family.is_squashed else _mask_decoder(self._model)
        self._device = device
        side = self._model.config.prompt_encoder_config.image_size
        self._canvas = InputTransform(side, family.is_squashed)

    @torch.inference_mode()
    def encode(self, photo: UInt8[np.ndarray, "h w 3"]) -> EncodedPhoto:
        """See `Segmenter`."""
        image = (self._canvas.resize(photo) - self._mean) / self._deviation
        planes = np.ascontiguousarray(self._canvas.pad(image).transpose(2, 0, 1))
        embeddings = self._model.get_image_embeddings(self._tensor(planes))
        content = _Content(_logit_side(embeddings), embeddings)
        if self._decoder is not None:
            content = content._replace(image=self._decoder.encode_image(embeddings[0]))
        height, width = photo.shape[:2]
        return self._canvas.encoded(height, width, content.logit_side, content)

    @torch.inference_mode()
    def predict(
        self,
        photo: EncodedPhoto,
        points: Float32[np.ndarray, "n p 2"],
        labels: Int[np.ndarray, "n p"],
        boxes: Float32[np.ndarray, "n 4"] | None = None,
        *,
        levels: bool = True,
    ) -> Prediction:
        """See `Segmenter`."""
        answer = self._ask if self._decoder is None else self._draw
        parts = []
        for start in range(0, len(points), PROMPTS_AT_ONCE):
            some = slice(start, start + PROMPTS_AT_ONCE)
            some_boxes = None if boxes is None else boxes[some]
            parts.append(answer(photo, points[some], labels[some], some_boxes, levels))
        logits, predicted_iou = (
            np.concatenate([part.cpu().numpy() for part in kind])
            for kind in zip(*parts, strict=True)
        )
        return Prediction(logits, predicted_iou)

    def _draw(
        self,
        photo: EncodedPhoto,
        points: Float32[np.ndarray, "n p 2"],
        labels: Int[np.ndarray, "n p"],
        boxes: Float32[np.ndarray, "n 4"] | None,
        levels: bool,
    ) -> Answer:
        """SAM 1's masks, by our own decoder."""
        assert self._decoder is not None
        stride = self._canvas.side / photo.content.logit_side
        prompt = prompt_tokens(photo, points, labels, boxes, stride)
        (coords,), (labels_of_all,) = (self._tensor(part) for part in prompt)
        size = self._size(photo)
        return self._decoder.draw(photo.content.image, coords, labels_of_all, levels, size)

    def _ask(
        self,
        photo: EncodedPhoto,
        points: Float32[np.ndarray, "n p 2"],
        labels: Int[np.ndarray, "n p"],
        boxes: Float32[np.ndarray, "n 4"] | None,
        levels: bool,
    ) -> Answer:
        """The model's masks, by its own decoder."""
        stride = self._canvas.side / photo.content.logit_side
        prompt: dict[str, Tensor] = {}
        if points.shape[1] > 0:
            prompt["input_points"] = self._tensor(prompt_coords(photo, points, stride))
            prompt["input_labels"] = self._tensor(labels).long()
        if boxes is not None:
            corners = prompt_coords(photo, boxes.reshape(-1, 2, 2), stride)
            prompt["input_boxes"] = self._tensor(corners.reshape(-1, 4))
        answer = self._model(
            image_embeddings=photo.content.image, multimask_output=levels, **prompt
        )
        rows, columns = self._size(photo)
        return answer.pred_masks[0, :, :, :rows, :columns], answer.iou_scores[0]

    def _tensor(self, values: np.ndarray) -> Tensor:
        """On the model's device, as the only one of a batch of photos."""
        return torch.from_numpy(values)[None].to(self._device)

    def _size(self, photo: EncodedPhoto) -> tuple[int, int]:
        """Rows and columns of the logits on the photo."""
        return self._canvas.logits_covered(photo.height, photo.width, photo.content.logit_side)


def fetch(model: str) -> Path:
    """The folder with a model of the Hugging Face hub."""
    return fetch_files(model, NEEDED_FILES, has_weights, example=DEFAULT_MODEL)


def _family(folder: Path) -> Family:
    kind = read_settings(folder / CONFIG).get("model_type")
    if kind not in FAMILIES:
        raise SplatsegError(
            f"{folder / CONFIG} is of a model of type {kind}",
            expected=f"one that answers points: {', '.join(FAMILIES)}",
        )
    return FAMILIES[kind]


def _color_statistics(folder: Path, family: Family) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation of the colors, 0 to 255, by which the model's photos are normalized."""
    for path in (folder / name for name in PROCESSOR_CONFIGS):
        if not path.is_file():
            continue
        settings = read_settings(path)
        settings = settings.get("image_processor", settings)
        if isinstance(settings, dict) and {"image_mean", "image_std"} <= settings.keys():
            return _color(path, settings["image_mean"]), _color(path, settings["image_std"])
    return family.mean, family.deviation


def _color(path: Path, values: Any) -> Float32[np.ndarray, " 3"]:
    """Three channels, 0 to 1 in the file, as 0 to 255."""
    try:
        return (255 * np.array([float(value) for value in values])).astype(np.float32).reshape(3)
    except (TypeError, ValueError) as error:
        raise SplatsegError(
            f"{path} gives {values!r} for a color's three channels",
            expected="numbers: get it again",
        ) from error


def _mask_decoder(model: Any) -> MaskDecoder:
    """SAM 1's decoder with the model's weights: on a CPU three times as quick as transformers'."""
    weights = {}
    for name, tensor in model.state_dict().items():
        for pattern, replacement in META_NAMES:
            name = re.sub(pattern, replacement, name)
        weights[name] = tensor
    weights["output_tokens"] = torch.cat(
        [weights["iou_token.weight"], weights["mask_tokens.weight"]]
    )
    config = model.config.mask_decoder_config
    return MaskDecoder(weights, config.num_attention_heads, config.layer_norm_eps)


def _logit_side(embeddings: Tensor | list[Tensor]) -> int:
    """SAM 1 has one embedding of a photo; of those of SAM 2 and 3 the last is the coarsest."""
    coarsest = embeddings if isinstance(embeddings, Tensor) else embeddings[-1]
    return LOGITS_PER_CELL * coarsest.shape[-1]
