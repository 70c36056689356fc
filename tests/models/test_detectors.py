"""Grounding DINO, OWLv2 and SAM 3: tiny random ones, and answers that are known. No network."""

from types import SimpleNamespace
from unittest.mock import Mock

import numpy as np
import pytest
import torch

from splatseg.errors import SplatsegError
from splatseg.evaluation.metrics import iou
from splatseg.models.detector import Detector
from splatseg.models.detectors import load_detector
from splatseg.models.grounding_dino import GroundingDino, caption

transformers = pytest.importorskip("transformers", reason="extra `hf` is not installed")

CPU = torch.device("cpu")
KINDS = ["grounding-dino", "owlv2", "sam3", "sam3_video"]
TOLERANCE = 1e-4  # of a pixel and of a score: float32, over a few layers
ALMOST_1 = 20.0  # a logit


@pytest.fixture(params=KINDS)
def detector(request, folders):
    return load_detector(str(folders(request.param)), device=CPU, min_score=0.0)


def loaded(folders, kind, min_score=0.0):
    return load_detector(str(folders(kind)), device=CPU, min_score=min_score)


def random_image(size):
    return np.random.default_rng(1).integers(0, 256, (*size, 3)).astype(np.uint8)


def logit(score):
    return torch.logit(torch.tensor(score, dtype=torch.float64)).float()


def fake_model(answer):
    """Stands in for a model: gives one answer whatever it is asked."""
    text = SimpleNamespace(max_position_embeddings=32)
    config = SimpleNamespace(text_config=text, max_text_len=256)
    return Mock(return_value=answer, config=config)


def assert_alike(found, expected):
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        assert a.prompt == b.prompt
        assert a.score == pytest.approx(b.score, abs=TOLERANCE)
        assert a.box == pytest.approx(b.box, abs=TOLERANCE)


@pytest.mark.parametrize("size", [(75, 100), (100, 75), (30, 90)])
def test_boxes_lie_in_the_image_best_first(detector, size):
    assert isinstance(detector, Detector) and detector.name in KINDS
    prompts = ["Red mug", "book"]
    for prompt, found in zip(prompts, detector.detect(random_image(size), prompts), strict=True):
        assert len(found) > 1
        assert {one.prompt for one in found} == {prompt}
        scores = [one.score for one in found]
        assert scores == sorted(scores, reverse=True) and 0 < scores[-1] <= scores[0] <= 1
        for one in found:
            x0, y0, x1, y1 = one.box
            assert 0 <= x0 <= x1 <= size[1] and 0 <= y0 <= y1 <= size[0]
            assert not detector.name.startswith("sam3") or one.mask.shape == size


def test_prompts_keep_their_order_and_do_not_change_each_other(detector, image):
    """Case and spaces do not matter, but the prompt is kept."""
    alone = {prompt: detector.detect(image, [prompt])[0] for prompt in ("red mug", "book", "a")}
    for prompts in (["red mug", "book", "a"], ["a", "red mug", "book"], ["book"]):
        for prompt, found in zip(prompts, detector.detect(image, prompts), strict=True):
            assert_alike(found, alone[prompt])
    assert len({answer[0].score for answer in alone.values()}) == 3
    assert detector.detect(image, []) == []
    (shouted,) = detector.detect(image, [" RED  Mug"])
    assert shouted[0].prompt == " RED  Mug"
    assert (shouted[0].box, shouted[0].score) == (
        alone["red mug"][0].box,
        alone["red mug"][0].score,
    )


def test_what_is_doubted_is_left_out(detector, image):
    (every,) = detector.detect(image, ["red mug"])
    detector.min_score = every[1].score
    assert_alike(detector.detect(image, ["red mug"])[0], every[:1])
    detector.min_score = 1.0
    assert detector.detect(image, ["red mug"]) == [[]]


def test_a_prompt_without_words_or_with_too_many(detector, image):
    with pytest.raises(SplatsegError, match="the prompt '  ' has no words"):
        detector.detect(image, ["mug", "  "])
    with pytest.raises(SplatsegError, match=r"tokens long; expected no more than \d+"):
        detector.detect(image, ["mug", "mug " * 300])


def test_half_precision_weights_are_computed_with_in_full(folders, copy_of, image):
    folder = copy_of("owlv2")
    transformers.Owlv2ForObjectDetection.from_pretrained(folder).half().save_pretrained(folder)
    assert len(load_detector(str(folder), device=CPU, min_score=0.0).detect(image, ["mug"])[0]) > 0


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [("Red  Mug", "red mug."), ("a mug. ", "a mug."), ("St. Bernard", "st. bernard.")],
)
def test_the_caption_is_as_the_model_was_trained(prompt, expected):
    assert caption(prompt) == expected


def theirs(folder, kind, tokenizer, model):
    """transformers' own processor, in the version that needs no torchvision, and model."""
    images = getattr(transformers, f"{kind}ImageProcessorPil", None)
    images = images or getattr(transformers, f"{kind}ImageProcessor")
    processor = getattr(transformers, f"{kind}Processor")(
        images.from_pretrained(folder), getattr(transformers, tokenizer).from_pretrained(folder)
    )
    return processor, getattr(transformers, model).from_pretrained(folder).eval()


@pytest.mark.parametrize("size", [(75, 100), (300, 211)])
def test_grounding_dino_is_what_transformers_makes_of_it(folders, size):
    image = random_image(size)
    (found,) = loaded(folders, "grounding-dino", min_score=0.4).detect(image, ["red mug"])
    processor, model = theirs(
        folders("grounding-dino"),
        "GroundingDino",
        "BertTokenizerFast",
        "GroundingDinoForObjectDetection",
    )
    inputs = processor(images=image, text="red mug.", return_tensors="pt")
    with torch.no_grad():
        answer = model(**inputs)
    (expected,) = processor.post_process_grounded_object_detection(
        answer, inputs["input_ids"], threshold=0.4, target_sizes=[size]
    )
    scores, order = expected["scores"].sort(descending=True)
    assert len(found) == len(order) > 0
    np.testing.assert_allclose([one.score for one in found], scores, atol=TOLERANCE)
    boxes = expected["boxes"][order].numpy().clip(0, (size[1], size[0]) * 2)
    np.testing.assert_allclose([one.box for one in found], boxes, atol=TOLERANCE)


@pytest.mark.parametrize("size", [(75, 100), (300, 211)])
def test_owlv2_is_what_transformers_makes_of_it(folders, size):
    image, prompts = random_image(size), ["red mug", "book"]
    processor, model = theirs(
        folders("owlv2"), "Owlv2", "CLIPTokenizerFast", "Owlv2ForObjectDetection"
    )
    inputs = processor(
        images=image, text=[prompts], return_tensors="pt", padding="max_length", max_length=16
    )
    with torch.no_grad():
        scores = model(**inputs).logits[0].sigmoid()
    found = loaded(folders, "owlv2").detect(image, prompts)
    for of_prompt, expected in zip(found, scores.sort(dim=0, descending=True)[0].T, strict=True):
        np.testing.assert_allclose([one.score for one in of_prompt], expected, atol=TOLERANCE)


def test_a_box_of_grounding_dino_scales_with_the_image(folders):
    detector = loaded(folders, "grounding-dino", min_score=0.3)
    logits = torch.full((1, 3, 256), -torch.inf)
    logits[0, 0, 4], logits[0, 1, 1], logits[0, 1, 2] = logit(0.29), logit(0.35), logit(0.8)
    logits[0, 2, 3] = logit(0.5)
    boxes = torch.tensor([[[0.5, 0.5, 1, 1], [0.25, 0.5, 0.1, 0.2], [0.9, 0.1, 0.4, 0.4]]])
    answer = SimpleNamespace(logits=logits, pred_boxes=boxes)
    detector._model = fake_model(answer)
    (found,) = detector.detect(np.zeros((200, 400, 3), dtype=np.uint8), ["mug"])
    assert [one.score for one in found] == pytest.approx([0.8, 0.5])
    assert found[0].box == pytest.approx((80, 80, 120, 120), abs=TOLERANCE)
    assert found[1].box == pytest.approx((280, 0, 400, 60), abs=TOLERANCE)


@pytest.mark.parametrize(("height", "width"), [(200, 400), (400, 200)])
def test_a_box_of_owlv2_is_in_shares_of_the_longest_side(folders, height, width):
    detector = loaded(folders, "owlv2", min_score=0.1)
    logits = torch.tensor([[[0.05, 0.9], [0.3, 0.2], [0.6, 0.01]]], dtype=torch.float64)
    boxes = torch.tensor([[[0.25, 0.25, 0.1, 0.2], [0.5, 0.1, 0.1, 0.1], [0.3, 0.45, 0.2, 0.3]]])
    answer = SimpleNamespace(logits=torch.logit(logits).float(), pred_boxes=boxes)
    detector._model = fake_model(answer)
    mug, book = detector.detect(np.zeros((height, width, 3), dtype=np.uint8), ["mug", "book"])
    assert [one.score for one in mug] == pytest.approx([0.6, 0.3])
    assert [one.score for one in book] == pytest.approx([0.9, 0.2])
    bottom = min(240, height)
    assert mug[0].box == pytest.approx((80, 120, min(160, width), bottom), abs=TOLERANCE)
    assert book[0].box == pytest.approx((80, 60, 120, 140), abs=TOLERANCE)


def test_a_checkpoint_of_sam_3_for_videos_is_read_as_far_as_its_detector(folders, image):
    folder = folders("sam3_video")
    video = transformers.Sam3VideoModel.from_pretrained(folder)
    expected = video.detector_model.state_dict()
    found = load_detector(str(folder), device=CPU)._model.state_dict()
    assert found.keys() == expected.keys()
    for name, tensor in found.items():
        assert torch.equal(tensor, expected[name]), name


def test_the_image_reaches_sam_3_on_its_square(folders):
    detector, seen = loaded(folders, "sam3"), []
    detector._model.vision_encoder.register_forward_pre_hook(
        lambda module, inputs: seen.append(inputs[0])
    )
    image = np.zeros((300, 400, 3), dtype=np.uint8)
    image[..., 0] = 255 * (np.arange(400) + 0.5) / 400
    image[..., 1] = 255
    detector.detect(image, ["mug", "book"])
    (pixels,) = seen  # once for both prompts
    side = pixels.shape[-1]
    assert pixels.shape == (1, 3, side, side)
    ramp = 2 * (np.arange(side) + 0.5) / side - 1
    np.testing.assert_allclose(pixels[0, 0], np.tile(ramp, (side, 1)), atol=0.02)
    assert torch.equal(pixels[0, 1], torch.ones(side, side))
    assert torch.equal(pixels[0, 2], -torch.ones(side, side))


def test_boxes_and_masks_of_sam_3_scale_with_the_image(folders):
    detector = loaded(folders, "sam3", min_score=0.5)
    masks = torch.full((1, 3, 32, 32), -5.0)
    masks[0, 1, 8:16, 16:32] = 5.0  # a quarter down to a half, the right half
    answer = SimpleNamespace(
        pred_logits=torch.tensor([[logit(0.7), logit(0.99), logit(0.4)]]),
        presence_logits=torch.tensor([[logit(0.6)]]),
        pred_boxes=torch.tensor([[[0, 0, 1, 1], [0.5, 0.25, 1, 0.5], [0, 0, 1, 1]]]),
        pred_masks=masks,
    )
    detector._model = fake_model(answer)
    ((one,),) = detector.detect(np.zeros((160, 320, 3), dtype=np.uint8), ["mug"])
    assert one.score == pytest.approx(0.99 * 0.6)
    assert one.box == pytest.approx((160, 40, 320, 80), abs=TOLERANCE)
    expected = np.zeros((160, 320), dtype=bool)
    expected[40:80, 160:] = True
    assert iou(one.mask, expected) > 0.99  # interpolation rounds two corners off


@pytest.mark.parametrize(("given", "expected"), [({}, 0.3), ({"min_score": 0.2}, 0.2)])
def test_the_usual_score_unless_another_is_given(folders, given, expected):
    folder = folders("grounding-dino")
    assert load_detector(str(folder), device=CPU, **given).min_score == expected
    assert GroundingDino(folder, "mine", CPU).name == "mine"
