"""SAM 1's prompt encoder and mask decoder written down plainly, with the names of its checkpoints.

The twin of `mask_decoder.py`: every attention forms its queries, keys and values, for each prompt.
It takes and gives what Meta's exported graph does, so that torch can export it the same way.
"""

import math
import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

CHANNELS, HEADS, CELLS, MASKS = 32, 8, 8, 4
PIXELS_PER_CELL = 16


class Attention(nn.Module):
    def __init__(self, inner: int) -> None:
        super().__init__()
        for name in ("q_proj", "k_proj", "v_proj"):
            self.add_module(name, nn.Linear(CHANNELS, inner))
        self.out_proj = nn.Linear(inner, CHANNELS)

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        q, k, v = (
            projection(x).reshape(x.shape[0], x.shape[1], HEADS, -1).transpose(1, 2)
            for projection, x in ((self.q_proj, q), (self.k_proj, k), (self.v_proj, v))
        )
        weights = torch.softmax(q @ k.transpose(2, 3) / math.sqrt(q.shape[3]), dim=-1)
        seen = (weights @ v).transpose(1, 2)
        return self.out_proj(seen.reshape(seen.shape[0], seen.shape[1], -1))


class FeedForward(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lin1, self.lin2 = nn.Linear(CHANNELS, 48), nn.Linear(48, CHANNELS)

    def forward(self, x: Tensor) -> Tensor:
        return self.lin2(torch.relu(self.lin1(x)))


class Block(nn.Module):
    def __init__(self, is_first: bool) -> None:
        super().__init__()
        self.is_first = is_first
        self.self_attn = Attention(CHANNELS)
        self.cross_attn_token_to_image = Attention(CHANNELS // 2)
        self.mlp = FeedForward()
        self.cross_attn_image_to_token = Attention(CHANNELS // 2)
        for number in range(1, 5):
            self.add_module(f"norm{number}", nn.LayerNorm(CHANNELS))

    def forward(self, x: Tensor, image: Tensor, prompt: Tensor, places: Tensor):
        if self.is_first:
            x = self.self_attn(x, x, x)
        else:
            x = x + self.self_attn(x + prompt, x + prompt, x)
        x = self.norm1(x)
        x = self.norm2(x + self.cross_attn_token_to_image(x + prompt, image + places, image))
        x = self.norm3(x + self.mlp(x))
        image = image + self.cross_attn_image_to_token(image + places, x + prompt, x)
        return x, self.norm4(image)


class Transformer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([Block(is_first=True), Block(is_first=False)])
        self.final_attn_token_to_image = Attention(CHANNELS // 2)
        self.norm_final_attn = nn.LayerNorm(CHANNELS)

    def forward(self, prompt: Tensor, image: Tensor, places: Tensor):
        x = prompt
        for layer in self.layers:
            x, image = layer(x, image, prompt, places)
        x = x + self.final_attn_token_to_image(x + prompt, image + places, image)
        return self.norm_final_attn(x), image


class ChannelNorm(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight, self.bias = (nn.Parameter(torch.zeros(channels)) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        mean = x.mean(1, keepdim=True)
        variance = (x - mean).pow(2).mean(1, keepdim=True)
        x = (x - mean) / torch.sqrt(variance + 1e-6)
        return self.weight[:, None, None] * x + self.bias[:, None, None]


class Mlp(nn.Module):
    def __init__(self, outputs: int) -> None:
        super().__init__()
        sizes = [(CHANNELS, CHANNELS), (CHANNELS, CHANNELS), (CHANNELS, outputs)]
        self.layers = nn.ModuleList([nn.Linear(*size) for size in sizes])

    def forward(self, x: Tensor) -> Tensor:
        first, second, third = self.layers
        return third(torch.relu(second(torch.relu(first(x)))))


class MaskDecoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.transformer = Transformer()
        self.iou_token = nn.Embedding(1, CHANNELS)
        self.mask_tokens = nn.Embedding(MASKS, CHANNELS)
        self.output_upscaling = nn.Sequential(
            nn.ConvTranspose2d(CHANNELS, CHANNELS // 4, 2, stride=2),
            ChannelNorm(CHANNELS // 4),
            nn.GELU(),
            nn.ConvTranspose2d(CHANNELS // 4, CHANNELS // 8, 2, stride=2),
            nn.GELU(),
        )
        self.output_hypernetworks_mlps = nn.ModuleList([Mlp(CHANNELS // 8) for _ in range(MASKS)])
        self.iou_prediction_head = Mlp(MASKS)

    def forward(self, image: Tensor, places: Tensor, points: Tensor, dense: Tensor):
        tokens = torch.cat([self.iou_token.weight, self.mask_tokens.weight])
        tokens = tokens[None].expand(points.shape[0], -1, -1)
        prompt = torch.cat([tokens, points], dim=1)
        image = torch.repeat_interleave(image, prompt.shape[0], dim=0) + dense
        places = torch.repeat_interleave(places, prompt.shape[0], dim=0)
        shape = image.shape
        x, cells = self.transformer(
            prompt, image.flatten(2).transpose(1, 2), places.flatten(2).transpose(1, 2)
        )
        pixels = self.output_upscaling(cells.transpose(1, 2).reshape(shape))
        hyper = [mlp(x[:, 1 + i]) for i, mlp in enumerate(self.output_hypernetworks_mlps)]
        masks = torch.stack(hyper, dim=1) @ pixels.flatten(2)
        masks = masks.reshape(pixels.shape[0], -1, pixels.shape[2], pixels.shape[3])
        return masks, self.iou_prediction_head(x[:, 0])


class Positions(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        matrix = torch.zeros(2, CHANNELS // 2)
        self.register_buffer("positional_encoding_gaussian_matrix", matrix)

    def forward(self, places: Tensor) -> Tensor:
        waves = 2 * math.pi * ((2 * places - 1) @ self.positional_encoding_gaussian_matrix)
        return torch.cat([torch.sin(waves), torch.cos(waves)], dim=-1)


class PromptEncoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.pe_layer = Positions()
        self.point_embeddings = nn.ModuleList([nn.Embedding(1, CHANNELS) for _ in range(4)])
        self.not_a_point_embed = nn.Embedding(1, CHANNELS)
        self.no_mask_embed = nn.Embedding(1, CHANNELS)
        self.mask_downscaling = nn.Sequential(
            nn.Conv2d(1, 4, 2, stride=2), ChannelNorm(4), nn.GELU(), nn.Conv2d(4, CHANNELS, 2, 2)
        )

    def places(self) -> Tensor:
        matrix = self.pe_layer.positional_encoding_gaussian_matrix
        steps = (torch.arange(CELLS).to(matrix) + 0.5) / CELLS
        grid = torch.stack(torch.meshgrid(steps, steps, indexing="xy"), dim=-1)
        return self.pe_layer(grid).permute(2, 0, 1)[None]

    def points(self, coords: Tensor, labels: Tensor) -> Tensor:
        tokens = self.pe_layer((coords + 0.5) / (CELLS * PIXELS_PER_CELL))
        labels = labels[..., None]
        tokens = tokens * (labels != -1) + self.not_a_point_embed.weight * (labels == -1)
        for kind, embedding in enumerate(self.point_embeddings):
            tokens = tokens + embedding.weight * (labels == kind)
        return tokens


class PlainSam(nn.Module):
    """Random weights; `masks` are the outputs that it gives, of four."""

    def __init__(self, masks: slice = slice(None)) -> None:
        super().__init__()
        self.prompt_encoder, self.mask_decoder = PromptEncoder(), MaskDecoder()
        self.masks = masks
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for name, values in self.state_dict().items():
                values.normal_(std=0.5 if "bias" in name else 0.6, generator=generator)
        self.eval()

    def forward(
        self,
        image_embeddings: Tensor,
        point_coords: Tensor,
        point_labels: Tensor,
        mask_input: Tensor,
        has_mask_input: Tensor,
    ):
        encoder = self.prompt_encoder
        no_mask = encoder.no_mask_embed.weight.reshape(1, -1, 1, 1)
        mask = encoder.mask_downscaling(mask_input)
        dense = has_mask_input * mask + (1 - has_mask_input) * no_mask
        points = encoder.points(point_coords, point_labels)
        masks, quality = self.mask_decoder(image_embeddings, encoder.places(), points, dense)
        return masks[:, self.masks], quality[:, self.masks]


def inputs(coords: Tensor, labels: Tensor, embedding: Tensor) -> tuple[Tensor, ...]:
    """Arguments of `forward` for prompts without masks."""
    mask = embedding.new_zeros(1, 1, 4 * CELLS, 4 * CELLS)
    return embedding, coords, labels.to(embedding), mask, embedding.new_zeros(1)


def export(sam: PlainSam, path: Path, *, one_prompt: bool) -> None:
    """Write the decoder as Meta's script does; with `one_prompt` for one at a time, as it does."""
    example = inputs(torch.rand(1, 3, 2), torch.ones(1, 3), torch.rand(1, CHANNELS, CELLS, CELLS))
    names = ["image_embeddings", "point_coords", "point_labels", "mask_input", "has_mask_input"]
    axes = {1: "points"} if one_prompt else {0: "prompts", 1: "points"}
    with warnings.catch_warnings():
        # Graphs in the wild come from torch's old exporter; the new one needs another library.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            sam,
            example,
            path,
            dynamo=False,
            opset_version=17,
            input_names=names,
            output_names=["low_res_masks", "iou_predictions"],
            dynamic_axes={"point_coords": axes, "point_labels": axes},
        )
