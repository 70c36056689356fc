"""SAM 1's prompt encoder and mask decoder (arXiv:2304.02643), quick on a CPU.

What Meta's code computes, in another order; the results differ by rounding only:

- The image's keys, values and queries in the first block are the same for every prompt, and are
  computed once for a photo.
- Later they are never formed. There are about 7 tokens but 4096 cells, so instead of projecting
  every cell x, the few vectors that meet it are projected: q·(W x) = (Wᵀ q)·x, and a mean of
  projected cells is the projection of their mean.
- Only the masks and the rows that are asked for are computed.

Shapes: n prompts, t tokens each (those of the outputs, then points), s cells of the image by rows,
c channels, h heads of d channels, k masks. Weights have the names of Meta's checkpoints, without
`mask_decoder.`, and `output_tokens` holds the tokens of the outputs: quality first, then masks.
"""

import math
from collections.abc import Mapping
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from splatseg.models.input_transform import LOGITS_PER_CELL, NO_BOX

HEADS = 8
TOKEN_EPS, PIXEL_EPS = 1e-5, 1e-6  # of Meta's layer norms, which keep a constant input from 0 / 0
PIXELS_PER_CELL = 16  # of the square that prompts lie on
POINT_KINDS = 4  # labels 0 outside, 1 inside, 2 and 3 the corners of a box
# More are slower: what lies between two steps no longer fits a CPU's caches.
PROMPTS_AT_ONCE = 4

READ, WRITE = "cross_attn_token_to_image", "cross_attn_image_to_token"
FINAL_READ = "transformer.final_attn_token_to_image"


class Image(NamedTuple):
    """What all prompts on a photo share."""

    cells: Float[Tensor, "s c"]
    positions: Float[Tensor, "s c"]
    keys: Float[Tensor, "h d s"]
    """This and what follows: of the first block."""
    values: Float[Tensor, "h s d"]
    queries: Float[Tensor, "h d s"]

    @property
    def side(self) -> int:
        """Cells in a row or a column."""
        return math.isqrt(len(self.cells))


class MaskDecoder:
    """The decoder with its weights; `eps` is that of the transformer's layer norms."""

    def __init__(
        self, weights: Mapping[str, Tensor], heads: int = HEADS, eps: float = TOKEN_EPS
    ) -> None:
        self._weights = weights
        self._heads = heads
        self._eps = eps
        self._blocks = sum(name.endswith(f"{READ}.q_proj.weight") for name in weights)
        self._enlarging = {
            name: self._enlarging_weight(name)
            for name in ("output_upscaling.0", "output_upscaling.3")
        }

    def encode_image(self, embedding: Float[Tensor, "c rows rows"]) -> Image:
        """The photo's side of all prompts, from the encoder's embedding of it."""
        channels, side, _ = embedding.shape
        no_mask = self._weights["prompt_encoder.no_mask_embed.weight"]
        cells = (embedding.reshape(channels, -1).T + no_mask).contiguous()
        steps = (torch.arange(side).to(cells) + 0.5) / side
        grid = torch.stack(torch.meshgrid(steps, steps, indexing="xy"), dim=-1)
        positions = self._positions(grid.view(-1, 2))
        placed, block = cells + positions, "transformer.layers.0"
        (keys,) = self._projected(f"{block}.{READ}.k_proj", placed[None])
        (values,) = self._projected(f"{block}.{READ}.v_proj", cells[None])
        (queries,) = self._projected(f"{block}.{WRITE}.q_proj", placed[None])
        return Image(
            cells,
            positions,
            keys.transpose(1, 2).contiguous(),
            values.contiguous(),
            queries.transpose(1, 2).contiguous(),
        )

    def predict_masks(
        self,
        image: Image,
        coords: Float[Tensor, "n p 2"],
        labels: Int[Tensor, "n p"],
        levels: bool,
        size: tuple[int, int],
    ) -> tuple[Float[Tensor, "n k rows columns"], Float[Tensor, "n k"]]:
        """Logits, the first rows and columns of them, and predicted qualities.

        The masks are subpart, part and whole with `levels`, else the one for prompts that are not
        ambiguous. Prompts are in pixels of the square, whose first pixel's center is (0, 0).
        """
        masks = slice(1, None) if levels else slice(0, 1)
        prompt = self._prompt_tokens(coords, labels, image.side * PIXELS_PER_CELL)
        tokens, cells = self._attend(image, prompt)
        quality = self._mlp("iou_prediction_head", tokens[:, 0])[:, masks]
        count = self._weights["output_tokens"].shape[0] - 1
        hyper = [
            self._mlp(f"output_hypernetworks_mlps.{i}", tokens[:, 1 + i])
            for i in range(count)[masks]
        ]
        rows, columns = (-(-length // LOGITS_PER_CELL) for length in size)
        grid = cells.unflatten(1, (image.side, image.side))[:, :rows, :columns]
        return self._upscale(grid, torch.stack(hyper, dim=1))[..., : size[0], : size[1]], quality

    def _prompt_tokens(
        self, coords: Float[Tensor, "n p 2"], labels: Int[Tensor, "n p"], side: int
    ) -> Float[Tensor, "n t c"]:
        """The outputs' tokens, then one for each point."""
        points = self._positions((coords + 0.5) / side)
        no_point = self._weights["prompt_encoder.not_a_point_embed.weight"]
        points = torch.where((labels == NO_BOX)[..., None], no_point, points)
        for kind in range(POINT_KINDS):
            meaning = self._weights[f"prompt_encoder.point_embeddings.{kind}.weight"]
            points = points + (labels == kind)[..., None] * meaning
        outputs = self._weights["output_tokens"].expand(len(points), -1, -1)
        return torch.cat([outputs, points], dim=1)

    def _positions(self, places: Float[Tensor, "*n 2"]) -> Float[Tensor, "*n c"]:
        """Random Fourier features of places between 0 and 1."""
        matrix = self._weights["prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"]
        waves = 2 * math.pi * ((2 * places - 1) @ matrix)
        return torch.cat([waves.sin(), waves.cos()], dim=-1)

    def _attend(
        self, image: Image, prompt: Float[Tensor, "n t c"]
    ) -> tuple[Float[Tensor, "n t c"], Float[Tensor, "n s c"]]:
        """The transformer: tokens and cells that know of each other."""
        tokens, cells = self._first_block(image, prompt)
        for number in range(1, self._blocks):
            block, placed = f"transformer.layers.{number}", cells + image.positions
            seen = self._self_attention(f"{block}.self_attn", tokens + prompt, tokens)
            tokens = self._norm(f"{block}.norm1", tokens + seen)
            seen = self._read(f"{block}.{READ}", tokens + prompt, cells, placed)
            tokens = self._feed_forward(block, self._norm(f"{block}.norm2", tokens + seen))
            agreement = self._agreement(f"{block}.{WRITE}", tokens + prompt, placed)
            cells = self._write(block, tokens, cells, agreement)
        seen = self._read(FINAL_READ, tokens + prompt, cells, cells + image.positions)
        return self._norm("transformer.norm_final_attn", tokens + seen), cells

    def _first_block(
        self, image: Image, prompt: Float[Tensor, "n t c"]
    ) -> tuple[Float[Tensor, "n t c"], Float[Tensor, "n s c"]]:
        """As the others, but that the prompts still see the same image, and the tokens are new."""
        block = "transformer.layers.0"
        tokens = self._self_attention(f"{block}.self_attn", prompt, prompt)
        tokens = self._norm(f"{block}.norm1", tokens)
        queries = _scaled(self._projected(f"{block}.{READ}.q_proj", tokens + prompt))
        weights = _against_all(queries, image.keys).softmax(dim=-1)
        seen = _joined(_against_all(weights, image.values))
        seen = self._linear(f"{block}.{READ}.out_proj", seen)
        tokens = self._feed_forward(block, self._norm(f"{block}.norm2", tokens + seen))
        keys = _scaled(self._projected(f"{block}.{WRITE}.k_proj", tokens + prompt))
        agreement = _against_all(keys, image.queries)
        return tokens, self._write(block, tokens, image.cells, agreement)

    def _self_attention(
        self, name: str, asked: Float[Tensor, "n t c"], values: Float[Tensor, "n t c"]
    ) -> Float[Tensor, "n t c"]:
        queries = _scaled(self._projected(f"{name}.q_proj", asked))
        keys = self._projected(f"{name}.k_proj", asked)
        weights = (queries @ keys.transpose(2, 3)).softmax(dim=-1)
        seen = weights @ self._projected(f"{name}.v_proj", values)
        return self._linear(f"{name}.out_proj", _joined(seen))

    def _read(
        self,
        name: str,
        asked: Float[Tensor, "n t c"],
        cells: Float[Tensor, "n s c"],
        placed: Float[Tensor, "n s c"],
    ) -> Float[Tensor, "n t c"]:
        """What the tokens learn from the image. The bias of the keys is the same for all cells."""
        queries = _scaled(self._projected(f"{name}.q_proj", asked))
        probes = (queries @ self._by_output(f"{name}.k_proj")).flatten(1, 2)
        weights = torch.bmm(probes, placed.transpose(1, 2)).softmax(dim=-1)
        means = torch.bmm(weights, cells).unflatten(1, (self._heads, -1))
        seen = _joined(means @ self._by_output(f"{name}.v_proj").transpose(1, 2))
        return self._linear(f"{name}.out_proj", seen + self._weights[f"{name}.v_proj.bias"])

    def _agreement(
        self, name: str, asking: Float[Tensor, "n t c"], placed: Float[Tensor, "n s c"]
    ) -> Float[Tensor, "n h t s"]:
        """How much each cell asks for each token."""
        keys = _scaled(self._projected(f"{name}.k_proj", asking))
        probes = (keys @ self._by_output(f"{name}.q_proj")).flatten(1, 2)
        bias = self._weights[f"{name}.q_proj.bias"].view(self._heads, 1, -1)
        offsets = (keys * bias).sum(dim=-1).flatten(1)[..., None]
        agreement = torch.baddbmm(offsets, probes, placed.transpose(1, 2))
        return agreement.unflatten(1, (self._heads, -1))

    def _write(
        self,
        block: str,
        tokens: Float[Tensor, "n t c"],
        cells: Float[Tensor, "*n s c"],
        agreement: Float[Tensor, "n h t s"],
    ) -> Float[Tensor, "n s c"]:
        """The cells with what they take from the tokens."""
        weights = agreement.softmax(dim=2).flatten(1, 2)
        values = self._projected(f"{block}.{WRITE}.v_proj", tokens)
        output = self._weights[f"{block}.{WRITE}.out_proj.weight"]
        by_head = output.view(len(output), self._heads, -1).permute(1, 2, 0)
        taken = torch.bmm(weights.transpose(1, 2), (values @ by_head).flatten(1, 2))
        taken += cells
        taken += self._weights[f"{block}.{WRITE}.out_proj.bias"]
        return self._norm(f"{block}.norm4", taken)

    def _feed_forward(self, block: str, tokens: Float[Tensor, "n t c"]) -> Float[Tensor, "n t c"]:
        hidden = self._linear(f"{block}.mlp.lin1", tokens).relu()
        return self._norm(f"{block}.norm3", tokens + self._linear(f"{block}.mlp.lin2", hidden))

    def _upscale(
        self, cells: Float[Tensor, "n rows columns c"], masks: Float[Tensor, "n k e"]
    ) -> Float[Tensor, "n k y x"]:
        """Cells enlarged four times and compared with what each mask looks for."""
        count, rows, columns, channels = cells.shape
        weight, bias = self._enlarging["output_upscaling.0"]
        pixels = torch.addmm(bias, cells.reshape(-1, channels), weight).view(-1, len(bias) // 4)
        norm = "output_upscaling.1"
        pixels = functional.layer_norm(
            pixels,
            pixels.shape[1:],
            self._weights[f"{norm}.weight"],
            self._weights[f"{norm}.bias"],
            PIXEL_EPS,
        )
        weight, bias = self._enlarging["output_upscaling.3"]
        pixels = functional.gelu(torch.addmm(bias, functional.gelu(pixels), weight))
        logits = torch.bmm(masks, pixels.view(count, -1, len(bias) // 4).transpose(1, 2))
        # Each cell has been enlarged to 2 x 2, and each of these again.
        nested = logits.view(count, -1, rows, columns, 2, 2, 2, 2)
        return nested.permute(0, 1, 2, 4, 6, 3, 5, 7).reshape(count, -1, 4 * rows, 4 * columns)

    def _enlarging_weight(self, name: str) -> tuple[Float[Tensor, "c e"], Float[Tensor, " e"]]:
        """A transposed convolution of stride 2 as a matrix: each pixel makes 2 x 2."""
        weight = self._weights[f"{name}.weight"].permute(0, 2, 3, 1)
        return weight.flatten(1).contiguous(), self._weights[f"{name}.bias"].repeat(4)

    def _mlp(self, name: str, values: Float[Tensor, "n c"]) -> Float[Tensor, "n e"]:
        values = self._linear(f"{name}.layers.0", values).relu()
        values = self._linear(f"{name}.layers.1", values).relu()
        return self._linear(f"{name}.layers.2", values)

    def _linear(self, name: str, values: Float[Tensor, "*n c"]) -> Float[Tensor, "*n e"]:
        weights = self._weights
        return functional.linear(values, weights[f"{name}.weight"], weights[f"{name}.bias"])

    def _norm(self, name: str, values: Float[Tensor, "n t c"]) -> Float[Tensor, "n t c"]:
        weight, bias = self._weights[f"{name}.weight"], self._weights[f"{name}.bias"]
        return functional.layer_norm(values, weight.shape, weight, bias, self._eps)

    def _projected(self, name: str, values: Float[Tensor, "n t c"]) -> Float[Tensor, "n h t d"]:
        return self._linear(name, values).unflatten(2, (self._heads, -1)).transpose(1, 2)

    def _by_output(self, name: str) -> Float[Tensor, "h d c"]:
        """The weight of a projection, what makes each head apart."""
        return self._weights[f"{name}.weight"].unflatten(0, (self._heads, -1))


def _scaled(vectors: Float[Tensor, "n h t d"]) -> Float[Tensor, "n h t d"]:
    return vectors / math.sqrt(vectors.shape[-1])


def _joined(by_head: Float[Tensor, "n h t d"]) -> Float[Tensor, "n t e"]:
    return by_head.transpose(1, 2).flatten(2)


def _against_all(
    vectors: Float[Tensor, "n h t d"], shared: Float[Tensor, "h d s"]
) -> Float[Tensor, "n h t s"]:
    """Each head's vectors of all prompts times the matrix that the prompts share."""
    count, _, tokens, _ = vectors.shape
    product = torch.bmm(vectors.transpose(0, 1).flatten(1, 2), shared)
    return product.unflatten(1, (count, tokens)).transpose(0, 1)
