"""The decoder of an ONNX pair: the graph itself, or what it computes, computed quicker."""

from collections.abc import Iterable

import numpy as np
import torch
from jaxtyping import Float, Float32, Int

from splatseg.errors import SplatsegError
from splatseg.models.input_transform import LOGITS_PER_CELL, NO_BOX
from splatseg.models.mask_decoder import PROMPTS_AT_ONCE, Image, MaskDecoder
from splatseg.models.onnx_graph import Graph
from splatseg.models.onnx_weights import read_mask_decoder
from splatseg.models.segmenter import LEVELS

# Inputs and outputs of the graph; where there are two names the second is onnxruntime's export's.
COORDS, LABELS = "point_coords", "point_labels"
MASK, HAS_MASK = ("mask_input", "input_masks"), ("has_mask_input", "has_input_masks")
PHOTO_SIZE = ("orig_im_size", "original_image_size")
PROMPT_INPUTS = {COORDS, LABELS, *MASK, *HAS_MASK, *PHOTO_SIZE}
LOGITS, FULL_SIZE_LOGITS, QUALITY = "low_res_masks", "masks", "iou_predictions"
EXPECTED = (
    "expected an encoder that takes a photo [1, 3, S, S], and a decoder that takes its embeddings, "
    f"{COORDS}, {LABELS}, {MASK[0]} and {HAS_MASK[0]} and gives {LOGITS} and {QUALITY}"
)

# A prompt takes 34 MB while a graph runs, and more of them at once are not quicker.
GRAPH_PROMPTS_AT_ONCE = 8
SAME = 1e-3  # of the logits' deviation: rounding makes 1e-5
EMBEDDING_DEVIATION = 0.3  # about a real embedding's

Embeddings = dict[str, np.ndarray]
MaskLogits = tuple[Float[np.ndarray, "n k rows columns"], Float[np.ndarray, "n k"]]


class GraphDecoder:
    """The graph, run by onnxruntime."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self._logits = _name_of_logits(graph)
        batch = graph.shape(COORDS)[0]
        self.prompts_at_once = 1 if isinstance(batch, int) else GRAPH_PROMPTS_AT_ONCE

    def encode_image(self, embeddings: Embeddings) -> Embeddings:
        """The photo as it is kept between prompts, from what the encoder made of it."""
        return embeddings

    def predict_masks(
        self,
        image: Embeddings,
        coords: Float32[np.ndarray, "n t 2"],
        labels: Int[np.ndarray, "n t"],
        levels: bool,
        size: tuple[int, int],
    ) -> MaskLogits:
        """Logits, as many rows and columns as `size` has, and predicted qualities."""
        logits, quality = self.predict_all_masks(image, coords, labels)
        return _choose(logits[:, :, : size[0], : size[1]], quality, levels)

    def predict_all_masks(
        self,
        image: Embeddings,
        coords: Float32[np.ndarray, "n t 2"],
        labels: Int[np.ndarray, "n t"],
    ) -> MaskLogits:
        """Whole maps of logits, and qualities, of all masks that the graph gives."""
        side = logit_side(image.values())
        optional: dict[str, np.ndarray] = {}
        for name in self.graph.inputs:
            if name in MASK:
                count = self.graph.shape(name)[0]
                count = count if isinstance(count, int) else len(coords)
                optional[name] = np.zeros((count, 1, side, side))
            elif name in HAS_MASK:
                optional[name] = np.zeros(1)
            elif name in PHOTO_SIZE:  # of masks that nobody looks at: small ones are quick
                optional[name] = np.array((side, side))
        feeds = {COORDS: coords, LABELS: labels, **image, **optional}
        logits, quality = self.graph.run([self._logits, QUALITY], feeds)
        if logits.shape[2:] != (side, side):
            raise SplatsegError(
                f"{self.graph.path} gives logits {list(logits.shape)} for embeddings that call for "
                f"{side}x{side}",
                remedy=f"{EXPECTED}",
            )
        return logits, quality


class QuickDecoder:
    """SAM 1's decoder with the graph's weights: all masks, whatever the graph gives of them."""

    prompts_at_once = PROMPTS_AT_ONCE

    def __init__(self, decoder: MaskDecoder, graph: Graph, shape: tuple[int, ...]) -> None:
        self._decoder = decoder
        self._graph = graph.path
        self._shape = shape  # of the embedding that the graph takes

    @torch.inference_mode()
    def encode_image(self, embeddings: Embeddings) -> Image:
        """See `GraphDecoder`."""
        (embedding,) = embeddings.values()
        if embedding.shape != self._shape:
            raise SplatsegError(
                f"{self._graph} takes embeddings {list(self._shape)}, but the encoder "
                "beside it gives "
                f"{list(embedding.shape)}",
                expected="a pair: export both from one model",
            )
        return self._decoder.encode_image(torch.from_numpy(embedding[0]).float())

    @torch.inference_mode()
    def predict_masks(
        self,
        image: Image,
        coords: Float32[np.ndarray, "n t 2"],
        labels: Int[np.ndarray, "n t"],
        levels: bool,
        size: tuple[int, int],
    ) -> MaskLogits:
        """See `GraphDecoder`."""
        logits, quality = self._decoder.predict_masks(
            image, torch.from_numpy(coords), torch.from_numpy(labels), levels, size
        )
        return logits.numpy(), quality.numpy()


Decoder = GraphDecoder | QuickDecoder


def quick_decoder(decoder: GraphDecoder, embedding: str) -> QuickDecoder | None:
    """What computes the same as `decoder`, or None if that is no SAM 1 or not to be read as one.

    `embedding` is the name of the graph's input for it. Whether they are the same is tried out.
    """
    shape = [size for size in decoder.graph.shape(embedding) if isinstance(size, int)]
    weights = read_mask_decoder(decoder.graph.path)
    if not weights or len(shape) < 4:  # an open size
        return None
    rng = np.random.default_rng(0)
    embeddings = {embedding: rng.normal(scale=EMBEDDING_DEVIATION, size=shape).astype(np.float32)}
    side = logit_side(embeddings.values())
    coords = rng.uniform(0, LOGITS_PER_CELL * side, (1, 2, 2)).astype(np.float32)
    prompt = (coords, np.array([[1, NO_BOX]]))
    try:
        quick = QuickDecoder(MaskDecoder(weights), decoder.graph, tuple(shape))
        image = quick.encode_image(embeddings)
        levels, single = (
            quick.predict_masks(image, *prompt, kind, (side, side)) for kind in (True, False)
        )
    except (KeyError, RuntimeError):  # weights are missing, or have the shapes of another decoder
        return None
    found = [np.concatenate(pair, axis=1)[0] for pair in zip(levels, single, strict=True)]
    expected, quality = decoder.predict_all_masks(embeddings, *prompt)
    for mask, score in zip(expected[0], quality[0], strict=True):
        differs = np.abs(found[0] - mask).max(axis=(1, 2)) / mask.std()
        if not np.maximum(differs, np.abs(found[1] - score)).min() <= SAME:
            return None
    return quick


def logit_side(embeddings: Iterable[np.ndarray]) -> int:
    """Rows and columns of the logits for embeddings; the coarsest one counts."""
    return LOGITS_PER_CELL * min(embedding.shape[-1] for embedding in embeddings)


def _name_of_logits(graph: Graph) -> str:
    """The output with logits at the decoder's own resolution."""
    is_full_size = any(name in graph.inputs for name in PHOTO_SIZE)
    names = [LOGITS] if is_full_size else [LOGITS, FULL_SIZE_LOGITS]
    for name in names:
        if name in graph.outputs and QUALITY in graph.outputs:
            return name
    raise SplatsegError(
        f"{graph.path.parent}: {graph}",
        remedy=f"{EXPECTED}",
    )


def _choose(logits: np.ndarray, quality: np.ndarray, levels: bool) -> MaskLogits:
    """The masks to return of those that a graph gave: the levels, or the one that is right."""
    if logits.shape[1] > LEVELS:
        kept = slice(1, None) if levels else slice(0, 1)
        return logits[:, kept], quality[:, kept]
    if levels:
        return logits, quality
    best = quality.argmax(axis=1)[:, None]
    rows = np.arange(len(best))[:, None]
    return logits[rows, best], quality[rows, best]
