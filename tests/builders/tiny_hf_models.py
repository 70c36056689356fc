"""Tiny random detectors and segmenters in folders as the hub has them, and an image."""

import json

import numpy as np
import pytest
import torch

WORDS = ["a", "red", "mug", "book", "."]
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
MERGES = ["r e", "re d</w>", "m u", "mu g</w>"]
SIZE = (75, 100)
CELLS = 8
SIDE, SAM_3_SIDE = 128, 14 * CELLS
PYRAMID = [[k * CELLS, k * CELLS] for k in (4, 2, 1)]
PART = {"hidden_size": 32, "intermediate_size": 32, "num_attention_heads": 2}


def write_bert_tokenizer(folder):
    folder.mkdir(parents=True)
    (folder / "vocab.txt").write_text("\n".join([*SPECIAL, *WORDS]) + "\n")
    return len(SPECIAL) + len(WORDS)


def write_clip_tokenizer(folder, pad):
    """Every byte is a token, alone or as the end of a word, and so are "red" and "mug"."""
    folder.mkdir(parents=True)
    letters = [chr(c) for c in (*range(33, 127), *range(161, 173), *range(174, 256))]
    letters += [chr(256 + i) for i in range(256 - len(letters))]
    words = [merge.replace(" ", "") for merge in MERGES]
    vocabulary = [*letters, *(c + "</w>" for c in letters), *words]
    vocabulary += ["<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({word: i for i, word in enumerate(vocabulary)}))
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *MERGES]) + "\n")
    settings = {"tokenizer_class": "CLIPTokenizer", "pad_token": pad}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return len(vocabulary)


def write_processor(folder, name, size):
    settings = {"image_processor_type": name, "size": size}
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))


def grounding_dino(transformers, folder):
    words = write_bert_tokenizer(folder)
    size = {"shortest_edge": 64, "longest_edge": 80}
    write_processor(folder, "GroundingDinoImageProcessor", size)
    swin = {
        "model_type": "swin",
        "image_size": 64,
        "embed_dim": 8,
        "depths": [1, 1, 1, 1],
        "num_heads": [1, 1, 2, 2],
        "window_size": 4,
        "out_indices": [2, 3, 4],
    }
    bert = PART | {"model_type": "bert", "vocab_size": words, "num_hidden_layers": 1}
    config = transformers.GroundingDinoConfig(
        backbone_config=swin,
        text_config=bert,
        num_queries=12,
        d_model=32,
        encoder_layers=1,
        encoder_ffn_dim=16,
        encoder_attention_heads=2,
        decoder_layers=2,
        decoder_ffn_dim=16,
        decoder_attention_heads=2,
    )
    return transformers.GroundingDinoForObjectDetection(config)


def owlv2(transformers, folder):
    words = write_clip_tokenizer(folder, "!")
    write_processor(folder, "Owlv2ImageProcessor", {"height": 64, "width": 64})
    ends = {"bos_token_id": words - 2, "eos_token_id": words - 1}
    config = transformers.Owlv2Config(
        text_config=PART | ends | {"vocab_size": words, "num_hidden_layers": 1},
        vision_config=PART | {"num_hidden_layers": 1, "image_size": 64, "patch_size": 16},
        projection_dim=32,
    )
    return transformers.Owlv2ForObjectDetection(config)


def sam_3_parts(folder):
    words = write_clip_tokenizer(folder, "<|endoftext|>")
    backbone = PART | {
        "model_type": "sam3_vit_model",
        "num_hidden_layers": 2,
        "image_size": SAM_3_SIDE,
        "window_size": 4,
        "global_attn_indexes": [1],
        "pretrain_image_size": SAM_3_SIDE // 2,
    }
    text = PART | {
        "model_type": "clip_text_model",
        "vocab_size": words,
        "num_hidden_layers": 1,
        "projection_dim": 16,
        "bos_token_id": words - 2,
        "eos_token_id": words - 1,
        "max_position_embeddings": 32,
    }
    vision = {
        "model_type": "sam3_vision_model",
        "backbone_config": backbone,
        "fpn_hidden_size": 32,
        "backbone_feature_sizes": PYRAMID,
    }
    return {
        "vision_config": vision,
        "text_config": text,
        "geometry_encoder_config": PART | {"num_layers": 1},
        "detr_encoder_config": PART | {"num_layers": 1},
        "detr_decoder_config": PART | {"num_layers": 1, "num_queries": 6},
        "mask_decoder_config": {"hidden_size": 32, "num_attention_heads": 2},
    }


def sam_3(transformers, folder):
    if not hasattr(transformers, "Sam3Model"):
        pytest.skip("this version of transformers has no SAM 3")
    return transformers.Sam3Model(transformers.Sam3Config(**sam_3_parts(folder)))


def sam_3_video(transformers, folder):
    """What Meta publishes: the detector, and the tracker that has no words."""
    if not hasattr(transformers, "Sam3VideoModel"):
        pytest.skip("this version of transformers has no SAM 3")
    parts = sam_3_parts(folder)
    tracker = sam_parts(32, SAM_3_SIDE) | memory(32) | {"model_type": "sam3_tracker_video"}
    tracker |= {"vision_config": parts["vision_config"], "image_size": SAM_3_SIDE}
    config = transformers.Sam3VideoConfig(
        detector_config=parts | {"model_type": "sam3"}, tracker_config=tracker
    )
    return transformers.Sam3VideoModel(config)


def sam_parts(width, side):
    """The parts for prompts and masks of a SAM."""
    prompt = {"hidden_size": width, "image_size": side, "mask_input_channels": 4}
    heads = {"mlp_dim": 16, "num_attention_heads": 2, "iou_head_hidden_dim": 16}
    return {
        "prompt_encoder_config": prompt,
        "mask_decoder_config": heads | {"hidden_size": width},
    }


def memory(width):
    """What the models of videos have besides."""
    return {
        "memory_attention_hidden_size": width,
        "memory_attention_feed_forward_hidden_size": width,
        "memory_attention_rope_feat_sizes": [CELLS, CELLS],
        "memory_encoder_hidden_size": width,
        "memory_encoder_output_channels": 8,
        "memory_fuser_embed_dim": width,
        "mask_downsampler_embed_dim": width,
    }


def sam_1(transformers, folder):
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
    parts = sam_parts(16, SIDE)
    parts["prompt_encoder_config"]["image_embedding_size"] = CELLS
    return transformers.SamModel(transformers.SamConfig(vision_config=vision, **parts))


def sam_2_parts():
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
    vision = {
        "model_type": "sam2_vision_model",
        "backbone_config": backbone,
        "backbone_channel_list": [64, 32, 16, 8],
        "backbone_feature_sizes": PYRAMID,
        "fpn_hidden_size": 16,
    }
    return {"vision_config": vision} | sam_parts(16, SIDE)


def sam_2(transformers, folder):
    return transformers.Sam2Model(transformers.Sam2Config(**sam_2_parts()))


def sam_2_video(transformers, folder):
    config = transformers.Sam2VideoConfig(image_size=SIDE, **sam_2_parts(), **memory(16))
    return transformers.Sam2VideoModel(config)


def sam_3_tracker(transformers, folder):
    if not hasattr(transformers, "Sam3TrackerModel"):
        pytest.skip("this version of transformers has no SAM 3")
    parts = {"vision_config": sam_3_parts(folder)["vision_config"]} | sam_parts(32, SAM_3_SIDE)
    return transformers.Sam3TrackerModel(transformers.Sam3TrackerConfig(**parts))


MODELS = {
    "grounding-dino": grounding_dino,
    "owlv2": owlv2,
    "sam3": sam_3,
    "sam3_video": sam_3_video,
    "sam_1": sam_1,
    "sam_2": sam_2,
    "sam_2_video": sam_2_video,
    "sam_3_tracker": sam_3_tracker,
}
SEGMENTERS = ("sam_1", "sam_2", "sam_3_tracker")


def build(transformers, kind, folder):
    """A model of that kind; its tokenizer and settings are written to `folder`."""
    return randomize(MODELS[kind](transformers, folder), 0.7 if kind in SEGMENTERS else 0.3)


def randomize(model, deviation=0.3):
    """Weights large enough that every part of the model shows in the result."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=deviation, generator=generator)
    return model.eval()


@pytest.fixture(scope="session")
def folders(tmp_path_factory):
    """Folders with a model of each kind, made when asked for; only read them."""
    transformers = pytest.importorskip("transformers", reason="extra `hf` is not installed")
    made = {}

    def folder(kind):
        if kind not in made:
            path = tmp_path_factory.mktemp("detectors") / kind
            build(transformers, kind, path).save_pretrained(path)
            made[kind] = path
        return made[kind]

    return folder


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(0, 256, (*SIZE, 3)).astype(np.uint8)


@pytest.fixture
def copy_of(folders, tmp_path):
    """A model's folder to be damaged."""

    def copied(kind):
        copy = tmp_path / "model"
        copy.mkdir()
        for path in folders(kind).iterdir():
            (copy / path.name).write_bytes(path.read_bytes())
        return copy

    return copied
