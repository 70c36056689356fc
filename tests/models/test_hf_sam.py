"""SAM 1, 2 and 3 of transformers: tiny random ones, against transformers itself. No network."""

import itertools
import json

import numpy as np
import pytest
import torch
from builders.tiny_hf_models import CELLS, SAM_3_SIDE, SEGMENTERS, SIDE, SIZE, build
from safetensors.torch import save_file

from splatseg.models import hf_sam
from splatseg.models.hf_sam import PROMPTS_AT_ONCE, HfSegmenter
from splatseg.models.input_transform import InputTransform

transformers = pytest.importorskip("transformers", reason="extra `hf` is not installed")

CPU = torch.device("cpu")
TOLERANCE = 1e-4  # of what varies: float32, over a few layers
ROUNDING = 1e-6  # of the numbers themselves
SQUARE = {"height": SIDE, "width": SIDE}


@pytest.fixture(params=SEGMENTERS)
def segmenter(request, folders):
    return HfSegmenter(folders(request.param), request.param, CPU)


def assert_close(found, expected):
    atol = TOLERANCE * np.std(expected)
    np.testing.assert_allclose(found, expected, rtol=ROUNDING, atol=atol)


def prompts(count, points=1):
    rng = np.random.default_rng(1)
    coords = rng.uniform(0, 1, (count, points, 2)) * SIZE[::-1]
    return coords.astype(np.float32), rng.integers(0, 2, (count, points))


def pixels_seen(segmenter):
    """A list of what its vision encoder is given from now on."""
    seen = []
    segmenter._model.vision_encoder.register_forward_pre_hook(
        lambda module, inputs, kwargs: seen.append(inputs[0] if inputs else kwargs["pixel_values"]),
        with_kwargs=True,
    )
    return seen


def no_points(count):
    return np.zeros((count, 0, 2), dtype=np.float32), np.zeros((count, 0), dtype=np.int64)


BOXES = np.array([[10, 20, 60, 70], [0, 0, 100, 75], [30.5, 1, 40, 9]], dtype=np.float32)


def processor():
    """transformers' own of SAM 1, in the version that needs no torchvision."""
    kind = getattr(transformers, "SamImageProcessorPil", transformers.SamImageProcessor)
    return transformers.SamProcessor(kind(size={"longest_edge": SIDE}, pad_size=SQUARE))


@pytest.mark.parametrize("size", [(75, 100), (100, 75), (128, 128), (300, 211)])
def test_sam_1_is_what_transformers_makes_of_it(folders, size):
    image = np.random.default_rng(2).integers(0, 256, (*size, 3)).astype(np.uint8)
    ours = HfSegmenter(folders("sam_1"), "tiny", CPU)
    seen = pixels_seen(ours)
    encoded = ours.encode(image)
    coords, labels = prompts(3, points=2)
    # transformers takes points for indices of pixels, and moves them to the centers in its square.
    half = 0.5 / np.array((encoded.scale_x, encoded.scale_y)) / (SIDE / (4 * CELLS))
    inputs = processor()(
        images=image,
        input_points=[(coords - half).tolist()],
        input_labels=[labels.tolist()],
        input_boxes=[(BOXES - np.tile(half, 2)).tolist()],
        return_tensors="pt",
    )
    model = transformers.SamModel.from_pretrained(folders("sam_1"))
    with torch.no_grad():
        embeddings = model.get_image_embeddings(inputs["pixel_values"])
    assert_close(seen[0].numpy(), inputs["pixel_values"].numpy())
    points = {name: inputs[name] for name in ("input_points", "input_labels")}
    boxes = {"input_boxes": inputs["input_boxes"].float()}
    cases = [
        (points, (coords, labels, None)),
        (boxes, (*no_points(3), BOXES)),
        (points | boxes, (coords, labels, BOXES)),
    ]
    for (theirs, arguments), levels in itertools.product(cases, (True, False)):
        with torch.no_grad():
            expected = model(image_embeddings=embeddings, multimask_output=levels, **theirs)
        found = ours.predict(encoded, *arguments, levels=levels)
        rows, columns = found.logits.shape[2:]
        assert_close(found.logits, expected.pred_masks[0, :, :, :rows, :columns].numpy())
        assert_close(found.predicted_iou, expected.iou_scores[0].numpy())


@pytest.mark.parametrize("size", [(75, 100), (100, 75), (300, 211)])
def test_logits_lie_on_the_photo_where_transformers_puts_them(folders, size):
    encoded = HfSegmenter(folders("sam_1"), "tiny", CPU).encode(np.zeros((*size, 3), np.uint8))
    side = 4 * CELLS
    # Interpolation, in however many steps, leaves a ramp as it is but for the border.
    y, x = np.meshgrid(np.arange(side) + 0.5, np.arange(side) + 0.5, indexing="ij")
    covered = [max(1, int(s * SIDE / max(size) + 0.5)) for s in size]
    ramps = torch.from_numpy(np.stack([y, x])).float()[None, None]
    (on_photo,) = processor().post_process_masks(
        ramps, [size], [covered], binarize=False, pad_size=SQUARE
    )
    inner = np.s_[size[0] // 8 : -size[0] // 8, size[1] // 8 : -size[1] // 8]
    y, x = ((np.arange(s) + 0.5) for s in size)
    expected = np.meshgrid(y * encoded.scale_y, x * encoded.scale_x, indexing="ij")
    for found, wanted in zip(on_photo[0].numpy(), expected, strict=True):
        np.testing.assert_allclose(found[inner], wanted[inner], atol=1e-3)


@pytest.mark.parametrize("kind", ["sam_2", "sam_3_tracker"])
def test_prompts_reach_the_model_as_parts_of_its_square(folders, image, kind):
    """Seen in the model's own positional encoding, whose input it divides by the square's side."""
    segmenter, seen = HfSegmenter(folders(kind), kind, CPU), []
    segmenter._model.prompt_encoder.shared_embedding.register_forward_hook(
        lambda module, inputs, output: seen.append(inputs[0] / inputs[1][0])
    )
    encoded = segmenter.encode(image)
    coords, labels = prompts(3, points=2)
    segmenter.predict(encoded, coords, labels, BOXES)
    np.testing.assert_allclose(seen[0][0, :, :2].numpy(), coords / SIZE[::-1], atol=1e-5)
    corners = BOXES.reshape(-1, 2, 2) / SIZE[::-1]
    np.testing.assert_allclose(seen[1][0, :, :2].numpy(), corners, atol=1e-5)


def test_the_photo_reaches_the_model_on_its_square(segmenter):
    """A photo whose red grows to the right and whose green grows downwards."""
    seen = pixels_seen(segmenter)
    y, x = (np.arange(s) + 0.5 for s in (300, 400))
    image = np.zeros((300, 400, 3), dtype=np.uint8)
    image[..., 0], image[..., 1] = 255 * x / 400, 255 * y[:, None] / 300
    segmenter.encode(image)
    mean, deviation, side = (0.485, 0.456), (0.229, 0.224), SIDE
    if segmenter.name == "sam_3_tracker":
        mean, deviation, side = (0.5, 0.5), (0.5, 0.5), SAM_3_SIDE
    rows = side * 3 // 4 if segmenter.name == "sam_1" else side
    pixels = seen[0][0].numpy()
    assert pixels.shape == (3, side, side)
    red = pixels[0, :rows] * deviation[0] + mean[0]
    green = pixels[1, :rows] * deviation[1] + mean[1]
    np.testing.assert_allclose(red, np.tile((np.arange(side) + 0.5) / side, (rows, 1)), atol=0.01)
    np.testing.assert_allclose(green[:, 0], (np.arange(rows) + 0.5) / rows, atol=0.01)
    assert not pixels[:, rows:].any()


def test_shapes_and_scales(segmenter, image):
    encoded = segmenter.encode(image)
    side = 4 * CELLS
    rows = side * 3 // 4 if segmenter.name == "sam_1" else side
    assert (encoded.height, encoded.width) == SIZE
    assert encoded.scale_x == pytest.approx(side / 100)
    assert encoded.scale_y == pytest.approx(rows / 75)
    for levels, count in ((True, 3), (False, 1)):
        found = segmenter.predict(encoded, *prompts(5), levels=levels)
        assert found.logits.shape == (5, count, rows, side)
        assert found.predicted_iou.shape == (5, count)
        assert found.logits.dtype == found.predicted_iou.dtype == np.float32


def test_many_prompts_are_the_prompts_one_by_one(segmenter, image):
    seen = pixels_seen(segmenter)
    encoded = segmenter.encode(image)
    coords, labels = prompts(2 * PROMPTS_AT_ONCE + 1, points=2)
    together = segmenter.predict(encoded, coords, labels)
    for i in range(len(coords)):
        alone = segmenter.predict(encoded, coords[i : i + 1], labels[i : i + 1])
        assert_close(together.logits[i], alone.logits[0])
        assert_close(together.predicted_iou[i], alone.predicted_iou[0])
    assert len(seen) == 1, "the photo is encoded once"


def test_points_and_boxes_and_their_labels_matter(segmenter, image):
    encoded = segmenter.encode(image)
    coords, labels = prompts(3)
    asked = [(coords, labels), (coords, 1 - labels), (coords[::-1].copy(), labels)]
    asked += [(coords, labels, BOXES), (*no_points(3), BOXES)]
    answers = [segmenter.predict(encoded, *arguments).logits for arguments in asked]
    for one, other in itertools.combinations(answers, 2):
        assert np.abs(one - other).max() > TOLERANCE * other.std()


@pytest.mark.parametrize(("kind", "side"), [("sam_2_video", SIDE), ("sam3_video", SAM_3_SIDE)])
def test_checkpoints_that_also_follow_objects_in_videos(tmp_path, image, kind, side):
    """Their names are as on the hub: save_pretrained of SAM 3 gives some a prefix twice."""
    model = build(transformers, kind, tmp_path / "model")
    model.config.save_pretrained(tmp_path)
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    save_file(state, tmp_path / "model.safetensors", {"format": "pt"})
    segmenter = HfSegmenter(tmp_path, "tiny", CPU)
    for name, tensor in segmenter._model.state_dict().items():
        assert any(torch.equal(tensor, t) for t in state.values()), name
    found = segmenter.predict(segmenter.encode(image), *prompts(2))
    assert found.logits.shape == (2, 3, 4 * CELLS, 4 * CELLS)
    assert segmenter._input_transform == InputTransform(side, is_squashed=True)


@pytest.mark.parametrize("name", hf_sam.PROCESSOR_CONFIGS)
def test_colors_are_normalized_as_the_models_file_says(copy_of, name):
    folder = copy_of("sam_2")
    settings = {"image_mean": [0.1, 0.2, 0.3], "image_std": [0.4, 0.5, 0.6]}
    if name == "processor_config.json":
        settings = {"image_processor": settings, "processor_class": "Sam2Processor"}
    (folder / name).write_text(json.dumps(settings))
    segmenter = HfSegmenter(folder, "tiny", CPU)
    seen = pixels_seen(segmenter)
    segmenter.encode(np.full((10, 10, 3), 51, dtype=np.uint8))
    expected = [(0.2 - 0.1) / 0.4, 0, (0.2 - 0.3) / 0.6]
    np.testing.assert_allclose(seen[0][0, :, 5, 5].numpy(), expected, atol=1e-6)


def test_half_precision_weights_are_computed_with_in_full(folders, tmp_path, image):
    transformers.SamModel.from_pretrained(folders("sam_1")).half().save_pretrained(tmp_path / "h")
    segmenter = HfSegmenter(tmp_path / "h", "tiny", CPU)
    assert segmenter.predict(segmenter.encode(image), *prompts(1)).logits.dtype == np.float32
    assert {p.dtype for p in segmenter._model.parameters()} == {torch.float32}
