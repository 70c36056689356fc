"""Tiny random detectors in folders as the hub has them, and an image."""

import json

import numpy as np
import pytest
import torch

WORDS = ["a", "red", "mug", "book", "."]
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
MERGES = ["r e", "re d</w>", "m u", "mu g</w>"]
SIZE = (75, 100)
CELLS = 8
SAM_3_SIDE = 14 * CELLS
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
        "backbone_feature_sizes": [[k * CELLS, k * CELLS] for k in (4, 2, 1)],
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
    tracker = {
        "model_type": "sam3_tracker_video",
        "vision_config": parts["vision_config"],
        "prompt_encoder_config": {
            "hidden_size": 32,
            "image_size": SAM_3_SIDE,
            "mask_input_channels": 4,
        },
        "mask_decoder_config": {
            "hidden_size": 32,
            "mlp_dim": 16,
            "num_attention_heads": 2,
            "iou_head_hidden_dim": 16,
        },
        "image_size": SAM_3_SIDE,
        "memory_attention_hidden_size": 32,
        "memory_attention_rope_feat_sizes": [CELLS, CELLS],
        "memory_encoder_hidden_size": 32,
        "memory_encoder_output_channels": 8,
        "memory_fuser_embed_dim": 32,
        "mask_downsampler_embed_dim": 32,
    }
    config = transformers.Sam3VideoConfig(
        detector_config=parts | {"model_type": "sam3"}, tracker_config=tracker
    )
    return transformers.Sam3VideoModel(config)


MODELS = {
    "grounding-dino": grounding_dino,
    "owlv2": owlv2,
    "sam3": sam_3,
    "sam3_video": sam_3_video,
}


def randomize(model):
    """Weights large enough that every part of the model shows in the result."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.3, generator=generator)
    return model


@pytest.fixture(scope="session")
def folders(tmp_path_factory):
    """Folders with a model of each kind, made when asked for; only read them."""
    transformers = pytest.importorskip("transformers", reason="extra `hf` is not installed")
    made = {}

    def folder(kind):
        if kind not in made:
            path = tmp_path_factory.mktemp("detectors") / kind
            randomize(MODELS[kind](transformers, path)).save_pretrained(path)
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
