"""SAM 1, 2 and 3 of transformers: tiny random ones, against transformers itself. No network."""

import json
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from splatseg.errors import SplatsegError
from splatseg.models import hf_sam
from splatseg.models.hf_sam import PROMPTS_AT_ONCE, HfSegmenter, fetch
from splatseg.models.input_transform import InputTransform

transformers = pytest.importorskip("transformers", reason="extra `hf` is not installed")
errors = pytest.importorskip("huggingface_hub").errors

CPU = torch.device("cpu")
SIDE, SAM_3_SIDE, CELLS = 128, 112, 8
TOLERANCE = 1e-4  # of what varies: float32, over a few layers
ROUNDING = 1e-6  # of the numbers themselves
SIZE = (75, 100)
DECODER = {"hidden_size": 16, "mlp_dim": 16, "num_attention_heads": 2, "iou_head_hidden_dim": 16}
PYRAMID = [[4 * CELLS, 4 * CELLS], [2 * CELLS, 2 * CELLS], [CELLS, CELLS]]


def sam_1():
    vision = {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": SIDE,
        "output_channels": 16,
        "window_size": 4,
        "global_attn_indexes": [1],
        "mlp_dim": 32,
        "num_pos_feats": 8,
    }
    prompt = {"hidden_size": 16, "image_size": SIDE, "image_embedding_size": CELLS}
    return transformers.SamModel(
        transformers.SamConfig(
            vision_config=vision,
            prompt_encoder_config=prompt | {"mask_input_channels": 4},
            mask_decoder_config=DECODER,
        )
    )


def sam_2_vision():
    backbone = {
        "model_type": "sam2_hiera_det_model",
        "hidden_size": 8,
        "image_size": [SIDE, SIDE],
        "blocks_per_stage": [1, 1, 2, 1],
        "embed_dim_per_stage": [8, 16, 32, 64],
        "num_attention_heads_per_stage": [1, 1, 2, 2],
        "window_size_per_stage": [4, 2, 4, 2],
        "global_attention_blocks": [3],
        "window_positional_embedding_background_size": [4, 4],
    }
    return {
        "model_type": "sam2_vision_model",
        "backbone_config": backbone,
        "backbone_channel_list": [64, 32, 16, 8],
        "backbone_feature_sizes": PYRAMID,
        "fpn_hidden_size": 16,
    }


def sam_2():
    prompt = {"hidden_size": 16, "image_size": SIDE, "mask_input_channels": 4}
    return transformers.Sam2Model(
        transformers.Sam2Config(
            vision_config=sam_2_vision(), prompt_encoder_config=prompt, mask_decoder_config=DECODER
        )
    )


MEMORY = {  # what the models of videos have besides
    "memory_attention_hidden_size": 16,
    "memory_attention_feed_forward_hidden_size": 16,
    "memory_attention_rope_feat_sizes": [CELLS, CELLS],
    "memory_encoder_hidden_size": 16,
    "memory_encoder_output_channels": 8,
    "memory_fuser_embed_dim": 16,
    "mask_downsampler_embed_dim": 16,
}


def sam_2_video():
    prompt = {"hidden_size": 16, "image_size": SIDE, "mask_input_channels": 4}
    return transformers.Sam2VideoModel(
        transformers.Sam2VideoConfig(
            vision_config=sam_2_vision(),
            prompt_encoder_config=prompt,
            mask_decoder_config=DECODER,
            image_size=SIDE,
            **MEMORY,
        )
    )


def sam_3_vision():
    if not hasattr(transformers, "Sam3TrackerModel"):
        pytest.skip("this version of transformers has no SAM 3")
    backbone = {
        "model_type": "sam3_vit_model",
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": SAM_3_SIDE,
        "window_size": 4,
        "global_attn_indexes": [1],
        "pretrain_image_size": SAM_3_SIDE // 2,
    }
    return {
        "model_type": "sam3_vision_model",
        "backbone_config": backbone,
        "fpn_hidden_size": 16,
        "backbone_feature_sizes": PYRAMID,
    }


def sam_3():
    vision = sam_3_vision()
    prompt = {"hidden_size": 16, "image_size": SAM_3_SIDE, "mask_input_channels": 4}
    return transformers.Sam3TrackerModel(
        transformers.Sam3TrackerConfig(
            vision_config=vision, prompt_encoder_config=prompt, mask_decoder_config=DECODER
        )
    )


def sam_3_video():
    vision = sam_3_vision()
    part = {"hidden_size": 16, "intermediate_size": 16, "num_attention_heads": 2}
    text = part | {"model_type": "clip_text_model", "vocab_size": 50, "num_hidden_layers": 1}
    detector = {
        "model_type": "sam3",
        "vision_config": vision,
        "text_config": text | {"projection_dim": 16, "eos_token_id": 2, "bos_token_id": 1},
        "geometry_encoder_config": part | {"num_layers": 1},
        "detr_encoder_config": part | {"num_layers": 1},
        "detr_decoder_config": part | {"num_layers": 1, "num_queries": 4},
        "mask_decoder_config": {"hidden_size": 16, "num_attention_heads": 2},
    }
    tracker = {
        "model_type": "sam3_tracker_video",
        "vision_config": vision,
        "prompt_encoder_config": {
            "hidden_size": 16,
            "image_size": SAM_3_SIDE,
            "mask_input_channels": 4,
        },
        "mask_decoder_config": DECODER,
        "image_size": SAM_3_SIDE,
        **MEMORY,
    }
    return transformers.Sam3VideoModel(
        transformers.Sam3VideoConfig(detector_config=detector, tracker_config=tracker)
    )


MODELS = {"sam_1": sam_1, "sam_2": sam_2, "sam_3": sam_3}


def randomize(model):
    """Weights large enough that every part of the model shows in the result."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.7, generator=generator)
    return model.eval()


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Folders with a model of each kind, made when asked for; only read them."""
    made = {}

    def folder(kind):
        if kind not in made:
            made[kind] = tmp_path_factory.mktemp("models") / kind
            randomize(MODELS[kind]()).save_pretrained(made[kind])
        return made[kind]

    return folder


@pytest.fixture(params=MODELS)
def segmenter(request, folders):
    return HfSegmenter(folders(request.param), request.param, CPU)


@pytest.fixture
def photo():
    return np.random.default_rng(0).integers(0, 256, (*SIZE, 3)).astype(np.uint8)


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


# --- Against transformers


def processor():
    """transformers' own of SAM 1, in the version that needs no torchvision."""
    name = "SamImageProcessorPil" if hasattr(transformers, "SamImageProcessorPil") else None
    return transformers.SamProcessor(
        getattr(transformers, name or "SamImageProcessor")(
            size={"longest_edge": SIDE}, pad_size={"height": SIDE, "width": SIDE}
        ),
    )


@pytest.mark.parametrize("levels", [True, False])
@pytest.mark.parametrize("size", [(75, 100), (100, 75), (128, 128), (300, 211)])
def test_sam_1_is_what_transformers_makes_of_it(folders, size, levels):
    photo = np.random.default_rng(2).integers(0, 256, (*size, 3)).astype(np.uint8)
    ours = HfSegmenter(folders("sam_1"), "tiny", CPU)
    seen = pixels_seen(ours)
    encoded = ours.encode(photo)
    coords, labels = prompts(3, points=2)
    # transformers takes points for indices of pixels, and moves them to the centers in its square.
    half = 0.5 / np.array((encoded.scale_x, encoded.scale_y)) / (SIDE / (4 * CELLS))
    inputs = processor()(
        images=photo,
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
    for theirs, arguments in cases:
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
        ramps, [size], [covered], binarize=False, pad_size={"height": SIDE, "width": SIDE}
    )
    inner = np.s_[size[0] // 8 : -size[0] // 8, size[1] // 8 : -size[1] // 8]
    found_y, found_x = on_photo[0].numpy()
    expected_y, expected_x = np.meshgrid(
        (np.arange(size[0]) + 0.5) * encoded.scale_y,
        (np.arange(size[1]) + 0.5) * encoded.scale_x,
        indexing="ij",
    )
    np.testing.assert_allclose(found_y[inner], expected_y[inner], atol=1e-3)
    np.testing.assert_allclose(found_x[inner], expected_x[inner], atol=1e-3)


# --- Every family


@pytest.mark.parametrize("kind", ["sam_2", "sam_3"])
def test_prompts_reach_the_model_as_parts_of_its_square(folders, photo, kind):
    """Seen in the model's own positional encoding, whose input it divides by the square's side."""
    segmenter, seen = HfSegmenter(folders(kind), kind, CPU), []
    segmenter._model.prompt_encoder.shared_embedding.register_forward_hook(
        lambda module, inputs, output: seen.append(inputs[0] / inputs[1][0])
    )
    encoded = segmenter.encode(photo)
    coords, labels = prompts(3, points=2)
    segmenter.predict(encoded, coords, labels, BOXES)
    np.testing.assert_allclose(seen[0][0, :, :2].numpy(), coords / SIZE[::-1], atol=1e-5)
    corners = BOXES.reshape(-1, 2, 2) / SIZE[::-1]
    np.testing.assert_allclose(seen[1][0, :, :2].numpy(), corners, atol=1e-5)


def test_the_photo_reaches_the_model_on_its_square(segmenter):
    """A photo whose red grows to the right and whose green grows downwards."""
    seen = pixels_seen(segmenter)
    y, x = (np.arange(s) + 0.5 for s in (300, 400))
    photo = np.zeros((300, 400, 3), dtype=np.uint8)
    photo[..., 0], photo[..., 1] = 255 * x / 400, 255 * y[:, None] / 300
    segmenter.encode(photo)
    mean, deviation = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    if segmenter.name == "sam_3":
        mean, deviation = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)
    side = SAM_3_SIDE if segmenter.name == "sam_3" else SIDE
    rows = side * 3 // 4 if segmenter.name == "sam_1" else side
    pixels = seen[0][0].numpy()
    assert pixels.shape == (3, side, side)
    red = pixels[0, :rows] * deviation[0] + mean[0]
    green = pixels[1, :rows] * deviation[1] + mean[1]
    np.testing.assert_allclose(red, np.tile((np.arange(side) + 0.5) / side, (rows, 1)), atol=0.01)
    np.testing.assert_allclose(green[:, 0], (np.arange(rows) + 0.5) / rows, atol=0.01)
    assert not pixels[:, rows:].any()


def test_shapes_and_scales(segmenter, photo):
    encoded = segmenter.encode(photo)
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


def test_many_prompts_are_the_prompts_one_by_one(segmenter, photo):
    encoded = segmenter.encode(photo)
    coords, labels = prompts(2 * PROMPTS_AT_ONCE + 1, points=2)
    together = segmenter.predict(encoded, coords, labels)
    for i in range(len(coords)):
        alone = segmenter.predict(encoded, coords[i : i + 1], labels[i : i + 1])
        assert_close(together.logits[i], alone.logits[0])
        assert_close(together.predicted_iou[i], alone.predicted_iou[0])


def test_the_photo_is_encoded_once(segmenter, photo):
    calls = []
    segmenter._model.vision_encoder.register_forward_hook(lambda *_: calls.append(1))
    encoded = segmenter.encode(photo)
    for _ in range(3):
        segmenter.predict(encoded, *prompts(2))
    assert len(calls) == 1


def test_points_and_boxes_and_their_labels_matter(segmenter, photo):
    encoded = segmenter.encode(photo)
    coords, labels = prompts(3)
    answers = [
        segmenter.predict(encoded, coords, labels).logits,
        segmenter.predict(encoded, coords, 1 - labels).logits,
        segmenter.predict(encoded, coords[::-1].copy(), labels).logits,
        segmenter.predict(encoded, coords, labels, BOXES).logits,
        segmenter.predict(encoded, *no_points(3), BOXES).logits,
    ]
    for i, one in enumerate(answers):
        for other in answers[:i]:
            assert np.abs(one - other).max() > TOLERANCE * one.std()


# --- Checkpoints


@pytest.mark.parametrize(("whole", "side"), [(sam_2_video, SIDE), (sam_3_video, SAM_3_SIDE)])
def test_checkpoints_that_also_follow_objects_in_videos(tmp_path, photo, whole, side):
    """Their names are as on the hub: save_pretrained of SAM 3 gives some a prefix twice."""
    model = randomize(whole())
    model.config.save_pretrained(tmp_path)
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    save_file(state, tmp_path / "model.safetensors", {"format": "pt"})
    segmenter = HfSegmenter(tmp_path, "tiny", CPU)
    for name, tensor in segmenter._model.state_dict().items():
        assert any(torch.equal(tensor, t) for t in state.values()), name
    found = segmenter.predict(segmenter.encode(photo), *prompts(2))
    assert found.logits.shape == (2, 3, 4 * CELLS, 4 * CELLS)
    assert segmenter._input_transform == InputTransform(side, is_squashed=True)


# --- A model's own settings


@pytest.mark.parametrize("name", hf_sam.PROCESSOR_CONFIGS)
def test_colors_are_normalized_as_the_models_file_says(folders, tmp_path, photo, name):
    folder = copy_of(folders("sam_2"), tmp_path)
    settings = {"image_mean": [0.1, 0.2, 0.3], "image_std": [0.4, 0.5, 0.6]}
    if name == "processor_config.json":
        settings = {"image_processor": settings, "processor_class": "Sam2Processor"}
    (folder / name).write_text(json.dumps(settings))
    segmenter = HfSegmenter(folder, "tiny", CPU)
    seen = pixels_seen(segmenter)
    segmenter.encode(np.full((10, 10, 3), 51, dtype=np.uint8))
    expected = [(0.2 - 0.1) / 0.4, 0, (0.2 - 0.3) / 0.6]
    np.testing.assert_allclose(seen[0][0, :, 5, 5].numpy(), expected, atol=1e-6)


def test_half_precision_weights_are_computed_with_in_full(folders, tmp_path, photo):
    transformers.SamModel.from_pretrained(folders("sam_1")).half().save_pretrained(tmp_path / "h")
    segmenter = HfSegmenter(tmp_path / "h", "tiny", CPU)
    assert segmenter.predict(segmenter.encode(photo), *prompts(1)).logits.dtype == np.float32
    assert {p.dtype for p in segmenter._model.parameters()} == {torch.float32}


def copy_of(folder, tmp_path):
    copy = tmp_path / "model"
    copy.mkdir()
    for path in folder.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    return copy


# --- What cannot be used


def without_config(folder):
    (folder / "config.json").unlink()


def half_a_config(folder):
    path = folder / "config.json"
    path.write_bytes(path.read_bytes()[:100])


def no_object(folder):
    (folder / "config.json").write_text("[]")


def no_sam(folder):
    (folder / "config.json").write_text('{"model_type": "bert"}')


def nonsense(folder):
    (folder / "config.json").write_text('{"model_type": "sam", "vision_config": 3}')


def truncated(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1000])


def without_weights(folder):
    (folder / "model.safetensors").unlink()


class Trap:
    """Unpickling one writes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def pickled_weights(folder):
    (folder / "model.safetensors").unlink()
    torch.save({"weights": Trap(folder / "sprung")}, folder / "pytorch_model.bin")


def weights_of_another(folder):
    state = {"prompt_encoder.no_mask_embed.weight": torch.zeros(1, 16)}
    save_file(state, folder / "model.safetensors", {"format": "pt"})


def weights_of_other_sizes(folder):
    path = folder / "config.json"
    path.write_text(path.read_text().replace('"mlp_dim": 16', '"mlp_dim": 32'))


def colors_in_words(folder):
    settings = {"image_mean": ["a", "b", "c"], "image_std": [1, 1, 1]}
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))


def two_colors(folder):
    settings = {"image_mean": [0.5, 0.5], "image_std": [1, 1]}
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))


REFUSED = {
    without_config: "config.json does not exist",
    half_a_config: "config.json is not valid JSON",
    no_object: "config.json is no JSON object",
    no_sam: "model of type bert; expected one that answers points: sam, sam2",
    nonsense: "cannot be loaded (Validation error for field 'vision_config')",
    truncated: "cannot be loaded (Error while deserializing header",
    without_weights: "cannot be loaded (Error no file named model.safetensors",
    pickled_weights: "a .bin is not read",
    weights_of_another: "(first: mask_decoder.iou_prediction_head",
    weights_of_other_sizes: "or have another size (first: mask_decoder.transformer",
    colors_in_words: "gives ['a', 'b', 'c'] for a color's three channels",
    two_colors: "gives [0.5, 0.5] for a color's three channels",
}


@pytest.mark.parametrize("damage", REFUSED, ids=lambda damage: damage.__name__)
def test_refused_in_one_sentence(folders, tmp_path, damage, capfd):
    folder = copy_of(folders("sam_1"), tmp_path)
    damage(folder)
    capfd.readouterr()
    with pytest.raises(SplatsegError) as error:
        HfSegmenter(folder, "tiny", CPU)
    message = str(error.value)
    assert REFUSED[damage] in message and str(folder) in message and "\n" not in message
    assert capfd.readouterr() == ("", "")
    assert not (folder / "sprung").exists()


def test_loading_is_silent_and_leaves_transformers_as_it_was(folders, capfd):
    logging = transformers.utils.logging
    before = (logging.get_verbosity(), logging.is_progress_bar_enabled())
    folder = folders("sam_2")
    capfd.readouterr()
    HfSegmenter(folder, "tiny", CPU)
    assert capfd.readouterr() == ("", "")
    assert (logging.get_verbosity(), logging.is_progress_bar_enabled()) == before


def test_without_transformers(folders, monkeypatch):
    folder = folders("sam_1")
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(SplatsegError, match=r"pip install splatseg\[hf\]"):
        HfSegmenter(folder, "tiny", CPU)
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(SplatsegError, match=r"pip install splatseg\[hf\]"):
        fetch("facebook/sam-vit-base")


# --- The hub


class Hub:
    """Stands in for the hub: gives or raises what it is told to, and notes what it was asked."""

    def __init__(self):
        self.answers = []
        self.cache_only = []

    def snapshot_download(self, model, allow_patterns, local_files_only=False):
        self.cache_only.append(local_files_only)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return str(answer)


@pytest.fixture
def hub(monkeypatch):
    hub = Hub()
    monkeypatch.setattr("huggingface_hub.snapshot_download", hub.snapshot_download)
    return hub


def test_the_hub_is_not_asked_for_what_its_cache_holds(folders, hub):
    hub.answers = [folders("sam_1")]
    assert fetch("facebook/sam-vit-base") == folders("sam_1")
    assert hub.cache_only == [True]


def test_half_a_model_in_the_cache_is_completed(folders, tmp_path, hub):
    hub.answers = [tmp_path, folders("sam_1")]
    assert fetch("facebook/sam-vit-base") == folders("sam_1")
    assert hub.cache_only == [True, False]


def http_error(kind):
    """An error of the hub's, which are made from responses."""
    error = kind.__new__(kind)
    Exception.__init__(error, "404 Client Error\nFor more information ask the hub")
    return error


UNREACHABLE = {
    "gated": (http_error(errors.GatedRepoError), "to those who accepted its license"),
    "unknown": (http_error(errors.RepositoryNotFoundError), "neither a folder nor a model"),
    "no id": (errors.HFValidationError("bad id"), "neither a folder nor a model"),
    "failing": (http_error(errors.HfHubHTTPError), "does not give it"),
    "offline": (errors.LocalEntryNotFoundError("no way"), r"does not give it \(no way\); expected"),
    "no network": (ConnectionError("no route"), r"does not give it \(no route\); expected"),
}


@pytest.mark.parametrize("case", UNREACHABLE)
def test_what_the_hub_does_not_give(hub, case):
    error, sentence = UNREACHABLE[case]
    hub.answers = [errors.LocalEntryNotFoundError("not in the cache"), error]
    with pytest.raises(SplatsegError, match=sentence) as refused:
        fetch("facebook/sam-vit-base")
    assert "facebook/sam-vit-base" in str(refused.value) and "\n" not in str(refused.value)
    assert hub.cache_only == [True, False]


def test_offline_without_a_cache(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(SplatsegError, match="the Hugging Face hub does not give it"):
        fetch("facebook/sam-vit-base")
