"""Models of the SAM family in two ONNX files, run by onnxruntime on the CPU (extra `sam`).

The encoder and the decoder of a folder are known by their inputs. Where exports differ, the graphs
tell how:

- The encoder takes one photo on the square, [1, 3, S, S] or [1, S, S, 3], normalized, or as it is
  if the input is uint8. An input [h, w, 3] (samexporter's `--use-preprocess`) takes the photo
  alone, as it is.
- The decoder takes embeddings, and prompts under the names that Meta's export gave them, of which
  only `point_coords` and `point_labels` are indispensable. Several embeddings mean SAM 2: the photo
  fills the square, and the graph itself adds the point that stands for "no box".
- A decoder that is SAM 1's gives way to `mask_decoder.py`, with its weights. Others are run as they
  are: those made for one prompt one by one; of four masks the first is for prompts that are not
  ambiguous, of fewer the best is.

A cell of the embedding is 16 pixels of the square that prompts lie on, whatever the encoder's size
(EfficientViT-SAM's L models look at half of it), and 4 logits.
"""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32, Int, UInt8

from splatseg.errors import SplatsegError
from splatseg.models.input_transform import (
    IMAGENET_DEVIATION,
    IMAGENET_MEAN,
    InputTransform,
    prompt_tokens,
)
from splatseg.models.onnx_decoder import (
    COORDS,
    EXPECTED,
    LABELS,
    PROMPT_INPUTS,
    Decoder,
    GraphDecoder,
    logit_side,
    quick_decoder,
)
from splatseg.models.onnx_graph import Graph
from splatseg.models.segmenter import EncodedPhoto, Prediction

USUAL_SIDE = 1024  # of a square that the graph leaves open
PIXELS_PER_LOGIT = 4.0


class _Content(NamedTuple):
    """What is kept of a photo."""

    logit_side: int
    image: Any
    """The decoder's."""


class OnnxSegmenter:
    """The pair of graphs in `folder`; see `Segmenter`."""

    def __init__(self, folder: Path) -> None:
        self.name = folder.resolve().name
        self._encoder, graph = _find_pair(folder)
        self._embeddings = _match_embeddings(self._encoder, graph)
        self._is_sam2 = len(self._embeddings) > 1
        self._input_transform = InputTransform(_side(self._encoder), self._is_sam2)
        self._decoder = _decoder(graph, list(self._embeddings))

    def encode(self, photo: UInt8[np.ndarray, "h w 3"]) -> EncodedPhoto:
        """See `Segmenter`."""
        (name,) = self._encoder.inputs
        feeds = {name: self._encoder_input(photo)}
        outputs = self._encoder.run(list(self._embeddings.values()), feeds)
        embeddings = dict(zip(self._embeddings, outputs, strict=True))
        side = logit_side(outputs)
        content = _Content(side, self._decoder.encode_image(embeddings))
        height, width = photo.shape[:2]
        return self._input_transform.encoded(height, width, side, content)

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
        coords, labels = prompt_tokens(photo, points, labels, boxes, PIXELS_PER_LOGIT)
        if self._is_sam2 and boxes is None:  # the graph adds the point for that
            coords, labels = coords[:, :-1], labels[:, :-1]
        side, image = photo.content
        size = self._input_transform.logits_covered(photo.height, photo.width, side)
        step = self._decoder.prompts_at_once
        parts = [
            self._decoder.predict_masks(
                image, coords[i : i + step], labels[i : i + step], levels, size
            )
            for i in range(0, len(coords), step)
        ]
        logits, predicted_iou = zip(*parts, strict=True)
        return Prediction(
            np.concatenate(logits, dtype=np.float32),
            np.concatenate(predicted_iou, dtype=np.float32),
        )

    def _encoder_input(self, photo: UInt8[np.ndarray, "h w 3"]) -> np.ndarray:
        (name,) = self._encoder.inputs
        shape, image = self._encoder.shape(name), self._input_transform.resize(photo)
        if len(shape) == 4 and self._encoder.dtype(name) != np.uint8:
            image = (image - IMAGENET_MEAN) / IMAGENET_DEVIATION
        if len(shape) == 4 or isinstance(shape[0], int):
            image = self._input_transform.pad(image)
        if shape[-1] != 3:
            image = image.transpose(2, 0, 1)
        return image[None] if len(shape) == 4 else image


def _decoder(graph: Graph, embeddings: list[str]) -> Decoder:
    """The graph, or what does the same in half the time."""
    decoder = GraphDecoder(graph)
    return (quick_decoder(decoder, *embeddings) if len(embeddings) == 1 else None) or decoder


def _find_pair(folder: Path) -> tuple[Graph, Graph]:
    """The encoder and the decoder in a folder."""
    graphs = [Graph(path) for path in sorted(folder.glob("*.onnx"))]
    encoders = [graph for graph in graphs if _takes_photo(graph)]
    decoders = [graph for graph in graphs if {COORDS, LABELS} <= graph.inputs.keys()]
    if len(encoders) != 1 or len(decoders) != 1:
        found = "; ".join(map(str, graphs)) or "it has no .onnx file"
        raise SplatsegError(
            f"{folder} holds {len(encoders)} encoders and {len(decoders)} decoders of a SAM "
            f"({found})",
            remedy=f"{EXPECTED}",
        )
    return encoders[0], decoders[0]


def _takes_photo(graph: Graph) -> bool:
    if len(graph.inputs) != 1:
        return False
    (name,) = graph.inputs
    shape = graph.shape(name)
    if len(shape) == 4:
        return shape[1] == 3 or shape[3] == 3 or not isinstance(shape[1], int)
    return len(shape) == 3 and shape[2] == 3


def _side(encoder: Graph) -> int:
    """The side of the square that an encoder looks at."""
    (name,) = encoder.inputs
    shape = encoder.shape(name)
    height, width = shape[-3:-1] if shape[-1] == 3 else shape[-2:]
    if isinstance(height, int) and height == width:
        return height
    if isinstance(height, int) or isinstance(width, int):
        raise SplatsegError(
            f"{encoder.path.parent}: {encoder}, which is no square",
            remedy=f"{EXPECTED}",
        )
    return USUAL_SIDE


def _match_embeddings(encoder: Graph, decoder: Graph) -> dict[str, str]:
    """The encoder's output for each of the decoder's embeddings; a single one needs no name."""
    wanted = [name for name in decoder.inputs if name not in PROMPT_INPUTS]
    unmatched = [name for name in wanted if name not in encoder.outputs]
    spare = [name for name in encoder.outputs if name not in wanted]
    if not wanted or (unmatched and (len(unmatched), len(spare)) != (1, 1)):
        raise SplatsegError(
            f"{decoder.path.parent}: {decoder}, but {encoder}",
            expected=(
                "a decoder whose other inputs are the encoder's outputs: export both from one model"
            ),
        )
    return {name: name if name in encoder.outputs else spare[0] for name in wanted}
