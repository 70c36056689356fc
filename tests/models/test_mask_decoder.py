"""The quick decoder against its plain twin, in torch and out of an exported graph."""

import shutil
import sys

import numpy as np
import onnx
import pytest
import torch
from builders import plain_sam

from splatseg.errors import SplatsegError
from splatseg.models.input_transform import FIRST_CORNER, NO_BOX, SECOND_CORNER
from splatseg.models.mask_decoder import MaskDecoder
from splatseg.models.onnx_decoder import GraphDecoder, QuickDecoder, quick_decoder
from splatseg.models.onnx_graph import Graph
from splatseg.models.onnx_sam import OnnxSegmenter

SAME_64, SAME_32 = 1e-11, 1e-4  # of the largest number: rounding, over two blocks
EMBEDDING = "image_embeddings"
WHOLE = (32, 32)  # the plain twin's logits


@pytest.fixture(scope="module")
def sam():
    return plain_sam.PlainSam().double()


@pytest.fixture(scope="module")
def embedding():
    return torch.from_numpy(np.random.default_rng(0).normal(size=(1, 32, 8, 8)))


@pytest.fixture(scope="module")
def decoder(sam):
    return MaskDecoder(weights_of(sam))


def weights_of(sam):
    weights = {name.removeprefix("mask_decoder."): v for name, v in sam.state_dict().items()}
    tokens = (weights.pop("iou_token.weight"), weights.pop("mask_tokens.weight"))
    return weights | {"output_tokens": torch.cat(tokens)}


def prompts(count, labels):
    coords = np.random.default_rng(1).uniform(0, 128, (count, len(labels), 2))
    return torch.from_numpy(coords), torch.tensor(labels).expand(count, -1)


def plainly(sam, embedding, coords, labels):
    with torch.no_grad():
        return sam(*plain_sam.inputs(coords, labels, embedding))


def assert_same(found, expected, same=SAME_64):
    for ours, theirs in zip(found, expected, strict=True):
        theirs = np.asarray(theirs)
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=same * np.abs(theirs).max())


KINDS = [
    [1, NO_BOX],
    [0, 1, 1, NO_BOX],
    [FIRST_CORNER, SECOND_CORNER],
    [1, 0, FIRST_CORNER, SECOND_CORNER],
]


@pytest.mark.parametrize("labels", KINDS, ids=str)
@pytest.mark.parametrize("count", [1, 5])
def test_it_computes_what_the_plain_twin_does(sam, decoder, embedding, labels, count):
    """All rows and columns, or only those asked for; prompts do not see each other."""
    coords, labels = prompts(count, labels)
    logits, quality = plainly(sam, embedding, coords, labels)
    assert logits.std() > 1
    order = torch.randperm(count, generator=torch.manual_seed(0))
    with torch.inference_mode():
        image = decoder.encode_image(embedding[0])
        for size in (WHOLE, (24, 32), (23, 32), (32, 9), (1, 1), (5, 30)):
            for levels, chosen in ((True, slice(1, None)), (False, slice(1))):
                found = decoder.predict_masks(image, coords[order], labels[order], levels, size)
                part = logits[order, chosen, : size[0], : size[1]]
                assert found[0].shape == part.shape
                # Relative to the whole image's largest number.
                limit = SAME_64 * logits.abs().max().item()
                np.testing.assert_allclose(found[0], part, rtol=0, atol=limit)
                assert_same(found[1:], (quality[order, chosen],))


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Exports the plain twin, each way once: it takes seconds. Only read the file."""
    made = {}

    def export(first=None, last=None, one_prompt=False):
        if (first, last, one_prompt) not in made:
            path = tmp_path_factory.mktemp("exported") / "decoder.onnx"
            sam = plain_sam.PlainSam(slice(first, last))
            plain_sam.export(sam, path, one_prompt=one_prompt)
            made[first, last, one_prompt] = path
        return made[first, last, one_prompt]

    return export


@pytest.mark.parametrize(
    "form", [(None, None, False), (None, None, True), (1, None, False), (2, 3, True)], ids=str
)
def test_an_exported_sam_is_recognized(sam, embedding, exported, form):
    """Whatever it gives of its masks, and for however many prompts, all are had for many."""
    quick = quick_decoder(GraphDecoder(Graph(exported(*form))), EMBEDDING)
    assert isinstance(quick, QuickDecoder)
    coords, labels = prompts(3, [1, NO_BOX])
    logits, quality = plainly(sam, embedding, coords, labels)
    image = quick.encode_image({EMBEDDING: embedding.float().numpy()})
    found = quick.predict_masks(image, coords.float().numpy(), labels.numpy(), True, WHOLE)
    assert_same(found, (logits[:, 1:], quality[:, 1:]), SAME_32)


def computes_something_else(graph):
    for node in graph.node:
        if node.op_type == "Relu":
            node.op_type = "Tanh"


def gives_another_quality(graph):
    """Some exports give the stability in place of the predicted IoU."""
    (head,) = (node for node in graph.node if "iou_predictions" in node.output)
    head.output[0] = "quality"
    graph.node.append(onnx.helper.make_node("Sigmoid", ["quality"], ["iou_predictions"]))


def has_weights_that_cannot_be_told(graph):
    names = {tensor.name for tensor in graph.initializer}
    for tensor in graph.initializer:
        tensor.name = f"w{tensor.name}w"
    for node in graph.node:
        node.input[:] = [f"w{name}w" if name in names else name for name in node.input]


@pytest.mark.parametrize(
    "change", [computes_something_else, gives_another_quality, has_weights_that_cannot_be_told]
)
def test_a_graph_of_another_model_is_left_as_it_is(exported, tmp_path, change):
    model = onnx.load(exported())
    change(model.graph)
    onnx.save(model, tmp_path / "decoder.onnx")
    assert quick_decoder(GraphDecoder(Graph(tmp_path / "decoder.onnx")), EMBEDDING) is None


def test_without_onnx_the_graph_is_run(exported, monkeypatch):
    graph = GraphDecoder(Graph(exported()))
    monkeypatch.setitem(sys.modules, "onnx", None)
    assert quick_decoder(graph, EMBEDDING) is None


def write_encoder(tiny_sam, folder, cells):
    """Its embedding is the photo's colors, again and again."""
    graph = tiny_sam.Graph()
    small = graph("AveragePool", "image", kernel_shape=[16, 16], strides=[16, 16])
    embedding = graph("Slice", graph("Concat", *[small] * 11, axis=1), *np.array([[0], [32], [1]]))
    inputs = {"image": [1, 3, 16 * cells, 16 * cells]}
    graph.save(folder / "encoder.onnx", inputs, {"out": (embedding, [1, 32, cells, cells])})


def test_an_encoder_of_another_model_is_refused(tiny_sam, exported, tmp_path):
    shutil.copy(exported(one_prompt=True), tmp_path)
    write_encoder(tiny_sam, tmp_path, 4)
    segmenter = OnnxSegmenter(tmp_path)
    with pytest.raises(SplatsegError, match=r"takes embeddings \[1, 32, 8, 8\], .*\[1, 32, 4, 4\]"):
        segmenter.encode(np.zeros((48, 64, 3), dtype=np.uint8))


def test_a_segmenter_predicts_with_it(tiny_sam, exported, tmp_path, monkeypatch):
    shutil.copy(exported(one_prompt=True), tmp_path)
    write_encoder(tiny_sam, tmp_path, 8)
    photo = np.random.default_rng(0).integers(0, 256, (48, 64, 3)).astype(np.uint8)
    points = np.random.default_rng(1).uniform(0, 48, (9, 1, 2)).astype(np.float32)
    boxes = np.array([[5, 6, 40, 30]] * 9, dtype=np.float32)

    def answers():
        segmenter = OnnxSegmenter(tmp_path)
        encoded, ones = segmenter.encode(photo), np.ones((9, 1), dtype=np.int64)
        yield segmenter.predict(encoded, points, ones)
        yield segmenter.predict(encoded, points, ones, levels=False)
        yield segmenter.predict(encoded, points, ones, boxes, levels=False)

    quick = list(answers())
    monkeypatch.setattr("splatseg.models.onnx_sam.quick_decoder", lambda *_: None)
    for found, expected in zip(quick, answers(), strict=True):
        assert found.logits.shape == expected.logits.shape
        assert found.logits.shape[2:] == (24, 32)
        assert_same(found, expected, SAME_32)
