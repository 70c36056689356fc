"""The weights of SAM 1's mask decoder, out of a graph that was exported from it.

Exports keep the names of most parameters. A linear layer has become a product with a matrix that
has no name and a sum with the bias, which has; other parameters were folded into constants, which
are known by their shapes. Nothing here is certain: what is made of the weights is to be compared
with what the graph gives.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

DECODER, PROMPT_ENCODER = "mask_decoder.", "prompt_encoder."


def read_mask_decoder(path: Path) -> dict[str, Tensor]:
    """Weights as `mask_decoder.py` names them, as far as they can be told; none without `onnx`."""
    try:
        import onnx
    except ImportError:
        return {}
    graph = onnx.load(path).graph
    values = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    for node in graph.node:
        for attribute in node.attribute:
            if node.op_type == "Constant" and attribute.name == "value":
                values[node.output[0]] = onnx.numpy_helper.to_array(attribute.t)
    named = {_own_name(name): value for name, value in values.items()}
    found = {**_linear_weights(graph.node, values), **_folded(graph.node, values), **named}
    weights = {
        name: torch.from_numpy(np.array(value, dtype=np.float32))
        for name, value in found.items()
        if np.issubdtype(value.dtype, np.floating)
    }
    if "iou_token.weight" in weights:
        tokens = (weights["iou_token.weight"], weights["mask_tokens.weight"])
        weights["output_tokens"] = torch.cat(tokens)
    return weights


def _own_name(name: str) -> str:
    """A parameter's name in Meta's checkpoints: exports put the names of their wrappers before."""
    if PROMPT_ENCODER in name:
        return PROMPT_ENCODER + name.rpartition(PROMPT_ENCODER)[2]
    return name.rpartition(DECODER)[2]


def _linear_weights(nodes: Any, values: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The nameless matrices, by the biases that are added to the products with them."""
    matrices = {
        node.output[0]: values[node.input[1]]
        for node in nodes
        if node.op_type == "MatMul" and node.input[1] in values
    }
    found = {}
    for node in nodes:
        if node.op_type != "Add":
            continue
        for bias, product in (node.input, reversed(node.input)):
            if bias.endswith(".bias") and product in matrices:
                name = _own_name(bias).removesuffix("bias") + "weight"
                found[name] = matrices[product].T
    return found


def _folded(nodes: Any, values: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Parameters that were reshaped before use, and so lost their names."""
    found = {}
    for value in values.values():
        match value.shape:
            case (1, _, 1, 1):
                found["prompt_encoder.no_mask_embed.weight"] = value.reshape(1, -1)
            case (1, count, channels) if 1 < count < channels:
                found["output_tokens"] = value[0]
    # The encoder of mask prompts has such norms too, before this one and of fewer channels.
    norm = {"Mul": "output_upscaling.1.weight", "Add": "output_upscaling.1.bias"}
    for node in nodes:
        for name in node.input if node.op_type in norm else ():
            if name in values and values[name].shape[1:] == (1, 1):
                found[norm[node.op_type]] = values[name].reshape(-1)
    return found
