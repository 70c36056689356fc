"""A SAM in two tiny ONNX files whose knowledge is colors: what it must find is easy to say.

The embedding is the photo's colors, 0 to 1, at the resolution of the logits, folded into SAM's
shape. How far two colors are apart is the largest of the three differences. A prompt's subpart,
part and whole are the areas around its points whose colors are within LEVELS of the color there,
as far as they hang together; the mask for prompts that are not ambiguous is the part. What is
nearer to the color of a point outside is left out. A box prompts for its center, and nothing
beyond it is found.

Logits are 8 inside and -8 outside where colors are flat, and less sure where they come close to a
limit. The predicted quality is the mean logit inside / 8: 1 for an area of one color.
"""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SIDE = 256  # of the square that the encoder takes; logits have a quarter of it
LEVELS = (0.04, 0.12, 0.3)
LIMIT = 8.0  # of the logits
STEEPNESS = 400.0  # logits per unit of color: sure at 0.02 from a limit
FAR = 9.0  # more than any two colors are apart
FOLD = 4  # pixels of the logits in a cell of the embedding, each way
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

NUMBERS = itertools.count()  # a name is used once, for a graph within another sees the other's

Shape = list[int | str]


class Graph:
    """An ONNX graph as it is written down: `graph("Add", a, b)` names the sum of a and b."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []

    def __call__(self, operator: str, *inputs: Any, results: int = 1, **attributes: Any) -> Any:
        """Add a node; inputs are names of values, or constants. The name or names it makes."""
        names = [self._name(value) for value in inputs]
        made = [f"{operator}_{next(NUMBERS)}" for _ in range(results)]
        self.nodes.append(helper.make_node(operator, names, made, **attributes))
        return made[0] if results == 1 else made

    def as_float(self, value: str) -> str:
        return self("Cast", value, to=TensorProto.FLOAT)

    def unsqueeze(self, value: str, *axes: int) -> str:
        return self("Unsqueeze", value, np.array(axes))

    def save(
        self,
        path: Path,
        inputs: dict[str, Shape],
        results: dict[str, tuple[str, Shape]],
        kinds: dict[str, int] | None = None,
    ) -> None:
        """Write the graph. Results are (value, shape); inputs not in `kinds` are floats."""
        kinds = kinds or {}
        for name, (value, _) in results.items():
            self.nodes.append(helper.make_node("Identity", [value], [name]))
        graph = helper.make_graph(
            self.nodes,
            path.stem,
            [
                helper.make_tensor_value_info(name, kinds.get(name, TensorProto.FLOAT), shape)
                for name, shape in inputs.items()
            ],
            [
                helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
                for name, (_, shape) in results.items()
            ],
        )
        opset = helper.make_opsetid("", 17)
        model = helper.make_model(graph, opset_imports=[opset], ir_version=8)
        onnx.checker.check_model(model, full_check=True)
        onnx.save(model, path)

    def _name(self, value: Any) -> str:
        if isinstance(value, str):
            return value
        array = np.array(value)
        if array.dtype == np.float64:
            array = array.astype(np.float32)
        return self("Constant", value=numpy_helper.from_array(array))


def write_tiny_sam(folder: Path, *, side: int = SIDE, outputs: int = 4) -> Path:
    """Write encoder.onnx and decoder.onnx into `folder`, which is made if need be.

    `side` is a multiple of 16. The decoder gives a mask for prompts that are not ambiguous and the
    levels subpart, part and whole (4 `outputs`), the levels only (3), or the first only (1).
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_encoder(folder / "encoder.onnx", side)
    write_decoder(folder / "decoder.onnx", side, outputs=outputs)
    return folder


def write_encoder(path: Path, side: int = SIDE) -> None:
    """The usual encoder: a photo [1, 3, side, side], normalized and padded."""
    graph = Graph()
    embedding = fold(graph, colors(graph, "image"))
    graph.save(path, {"image": [1, 3, side, side]}, {"embeddings": (embedding, folded(side))})


def colors(graph: Graph, normalized: str) -> str:
    """The colors, 0 to 1, of a normalized photo [1, 3, side, side]."""
    centered = graph("Mul", normalized, per_channel(DEVIATION))
    return graph("Add", centered, per_channel(MEAN))


def fold(graph: Graph, colors: str, pooled: int = 4) -> str:
    """The embedding of colors [1, 3, side, side]; so many pixels, each way, make one logit."""
    if pooled > 1:
        size = [pooled, pooled]
        colors = graph("AveragePool", colors, kernel_shape=size, strides=size)
    return graph("SpaceToDepth", colors, blocksize=FOLD)


def folded(side: int) -> Shape:
    """The shape of the embedding of a square of that side."""
    return [1, 3 * FOLD**2, side // 16, side // 16]


def per_channel(values: tuple[float, ...]) -> np.ndarray:
    return np.array(values)[None, :, None, None]


def write_decoder(
    path: Path, side: int = SIDE, *, batch: int | str = "prompts", outputs: int = 4
) -> None:
    """The usual decoder without `orig_im_size`, for any number of prompts, or for `batch`."""
    graph, rows = Graph(), side // 4
    planes = graph("DepthToSpace", "image_embeddings", blocksize=FOLD)
    masks, qualities = decode(graph, planes, rows)
    graph.save(
        path,
        {"image_embeddings": folded(side), **prompt_inputs(rows, batch)},
        {
            "low_res_masks": (chosen(graph, masks, outputs), [batch, outputs, rows, rows]),
            "iou_predictions": (chosen(graph, qualities, outputs), [batch, outputs]),
        },
    )


def prompt_inputs(rows: int, batch: int | str = "prompts") -> dict[str, Shape]:
    """The decoder's inputs beside the embeddings, as Meta's export names them."""
    return {
        "point_coords": [batch, "points", 2],
        "point_labels": [batch, "points"],
        "mask_input": [1, 1, rows, rows],
        "has_mask_input": [1],
    }


def chosen(graph: Graph, values: str, outputs: int) -> str:
    """All four along axis 1, the three levels, or the one for prompts that are not ambiguous."""
    start, end = {4: (0, 4), 3: (1, 4), 1: (0, 1)}[outputs]
    return graph("Slice", values, np.array([start]), np.array([end]), np.array([1]))


def decode(graph: Graph, planes: str, rows: int) -> tuple[str, str]:
    """Four masks and qualities a prompt, from colors [1, 3, rows, rows]."""
    coords = graph("Div", graph("Add", "point_coords", 0.5), 4.0)
    coords, labels, in_box = _box_as_point(graph, coords, rows)
    cells = graph("Clip", graph("Floor", coords), 0.0, rows - 1.0)
    inside = graph.unsqueeze(graph("Equal", labels, 1.0), 2, 3)
    outside = graph.unsqueeze(graph("Equal", labels, 0.0), 2, 3)
    distance = _color_distance(graph, planes, cells)
    nearest = graph("ReduceMin", graph("Where", inside, distance, FAR), axes=[1])
    nearest_outside = graph("ReduceMin", graph("Where", outside, distance, FAR), axes=[1])
    allowed = graph("And", in_box, graph("LessOrEqual", nearest, nearest_outside))
    margin = graph("Sub", per_channel(LEVELS), nearest)
    area = graph.as_float(graph("And", graph("Greater", margin, 0.0), allowed))
    seeds = graph.as_float(graph("And", _pixels(graph, cells, rows), inside))
    seed = graph("Mul", graph("ReduceMax", seeds, axes=[1]), area)
    reached = _flood(graph, seed, area, rows)
    logits = graph("Clip", graph("Mul", margin, STEEPNESS), -LIMIT, LIMIT)
    logits = graph("Where", graph("Greater", reached, 0.5), logits, -LIMIT)
    axes = np.array([2, 3])
    total = graph("ReduceSum", graph("Relu", logits), axes, keepdims=0)
    size = graph("Max", graph("ReduceSum", reached, axes, keepdims=0), 1.0)
    quality = graph("Div", graph("Div", total, size), LIMIT)
    order = np.array([1, 0, 1, 2])
    return graph("Gather", logits, order, axis=1), graph("Gather", quality, order, axis=1)


def _box_as_point(graph: Graph, coords: str, rows: int) -> tuple[str, str, str]:
    """Coordinates and labels with the box's center as one more point, and the pixels in the box."""
    corners = []
    for label in (2.0, 3.0):
        chosen = graph.as_float(graph("Equal", "point_labels", label))
        picked = graph("Mul", coords, graph.unsqueeze(chosen, 2))
        corners.append(graph("ReduceSum", picked, np.array([1])))
    has_box = graph("ReduceMax", "point_labels", axes=[1])
    has_box = graph("Greater", has_box, 1.5)
    center = graph("Div", graph("Add", *corners), 2.0)
    label = graph("Where", has_box, 1.0, -1.0)
    middles = np.arange(rows) + 0.5
    within = graph("Not", graph.unsqueeze(has_box, 2, 3))
    inside = []
    for axis, pixels in ((0, middles[None, None, None]), (1, middles[None, None, :, None])):
        low, high = (
            graph.unsqueeze(graph("Gather", corner, np.array([axis]), axis=2), 3)
            for corner in corners
        )
        after, before = graph("GreaterOrEqual", pixels, low), graph("LessOrEqual", pixels, high)
        inside.append(graph("And", after, before))
    return (
        graph("Concat", coords, center, axis=1),
        graph("Concat", "point_labels", label, axis=1),
        graph("Or", within, graph("And", *inside)),
    )


def _color_distance(graph: Graph, planes: str, cells: str) -> str:
    """[prompts, points, rows, rows]: how far each pixel's color is from that at each point."""
    row_first = graph("Gather", cells, np.array([1, 0]), axis=2)
    index = graph("Cast", row_first, to=TensorProto.INT64)
    colors = graph("Transpose", graph("Squeeze", planes, np.array([0])), perm=[1, 2, 0])
    there = graph.unsqueeze(graph("GatherND", colors, index), 3, 4)
    difference = graph("Abs", graph("Sub", graph.unsqueeze(planes, 0), there))
    return graph("ReduceMax", difference, axes=[2], keepdims=0)


def _pixels(graph: Graph, cells: str, rows: int) -> str:
    """[prompts, points, rows, rows]: whether a pixel is the point's."""
    line = np.arange(rows, dtype=np.float64)
    column, row = graph("Split", cells, results=2, axis=2)
    at_column = graph("Equal", line[None, None, None], graph.unsqueeze(column, 3))
    at_row = graph("Equal", line[None, None, :, None], graph.unsqueeze(row, 3))
    return graph("And", at_column, at_row)


def _flood(graph: Graph, seed: str, area: str, rows: int) -> str:
    """The pixels of `area` that hang together with `seed`, by edges."""
    body = Graph()
    grown = "reach"
    for _ in range(4):  # steps between two looks at whether anything changed
        sideways = body("MaxPool", grown, kernel_shape=[1, 3], pads=[0, 1, 0, 1])
        upright = body("MaxPool", grown, kernel_shape=[3, 1], pads=[1, 0, 1, 0])
        grown = body("Mul", body("Max", sideways, upright), area)
    gain = body("ReduceMax", body("Sub", grown, "reach"), keepdims=0)
    changed = body("Greater", gain, 0.0)
    shape = ["prompts", len(LEVELS), rows, rows]
    info = helper.make_tensor_value_info
    loop = helper.make_graph(
        body.nodes,
        "flood",
        [
            info("turn", TensorProto.INT64, []),
            info("before", TensorProto.BOOL, []),
            info("reach", TensorProto.FLOAT, shape),
        ],
        [info(changed, TensorProto.BOOL, []), info(grown, TensorProto.FLOAT, shape)],
    )
    return graph("Loop", "", np.array(True), seed, body=loop)
