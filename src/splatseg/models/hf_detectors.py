"""Models of transformers that take words: their folders, tokenizers and image processors.

Image processors are those that need no torchvision: the same pixels whether it is installed or not.
"""

import re
from pathlib import Path
from typing import Any

from splatseg.errors import SplatsegError
from splatseg.models.hub import (
    CONFIG,
    WEIGHT_FILES,
    fetch,
    has_weights,
    import_transformers,
    loading,
    read_settings,
)
from splatseg.models.hub import load_model as load_model_of

TOKENIZERS = ("tokenizer.json", "vocab.txt", "vocab.json")  # a model has one of them, or more
NEEDED_FILES = [
    *(CONFIG, *WEIGHT_FILES),
    *("preprocessor_config.json", "processor_config.json"),
    *TOKENIZERS,
    *("merges.txt", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"),
]
HUB_ID = re.compile(r"\w[\w.-]*/\w[\w.-]*")
EXAMPLE = "IDEA-Research/grounding-dino-tiny"
EXPECTED = f"a folder with a Hugging Face model, or an id of its hub such as {EXAMPLE}"


def model_folder(model: str) -> Path:
    """The folder that is named, else that of a model of the hub, downloaded if need be."""
    folder = Path(model).expanduser()
    if folder.is_dir():
        return folder
    if folder.exists() or not HUB_ID.fullmatch(model):
        found = "is a file" if folder.exists() else "does not exist"
        raise SplatsegError(
            f"the model {model} {found}",
            expected=f"{EXPECTED}",
        )
    return fetch(model, NEEDED_FILES, _is_whole, EXAMPLE)


def read_config(folder: Path) -> dict[str, Any]:
    """What the model says of itself."""
    if not (folder / CONFIG).exists():
        raise SplatsegError(
            f"{folder} holds no {CONFIG}",
            expected=f"{EXPECTED}",
        )
    return read_settings(folder / CONFIG)


def load_model(folder: Path, class_name: str) -> Any:
    """The model of that class of transformers in `folder`, with all its weights."""
    return load_model_of(_class(import_transformers(), class_name), folder)


def load_tokenizer(folder: Path, class_name: str) -> Any:
    """The tokenizer of that class in `folder`."""
    transformers = import_transformers()
    if not any((folder / name).is_file() for name in TOKENIZERS):
        raise SplatsegError(
            f"{folder} holds no tokenizer",
            expected=f"the model's {' or '.join(TOKENIZERS)} beside its weights",
        )
    with loading(folder, "the model's tokenizer: get its files again"):
        return _class(transformers, class_name).from_pretrained(folder, local_files_only=True)


def load_image_processor(folder: Path, class_name: str) -> Any:
    """The image processor in `folder`, of that class, in the version without torchvision."""
    transformers = import_transformers()
    # Since transformers 5 that version has a name of its own; before, it had the plain one.
    if hasattr(transformers, f"{class_name}Pil"):
        class_name = f"{class_name}Pil"
    with loading(folder, "the model's preprocessor_config.json beside its weights"):
        return _class(transformers, class_name).from_pretrained(folder, local_files_only=True)


def tokens(
    tokenizer: Any, texts: list[str], max_tokens: int, *, padded: bool = True
) -> dict[str, Any]:
    """The tensors of texts, each `max_tokens` long if padded; a text that is longer is refused."""
    for text in texts:
        count = len(tokenizer(text, verbose=False)["input_ids"])
        if count > max_tokens:
            raise SplatsegError(
                f"the prompt '{text}' is {count} tokens long",
                expected=(
                    f"no more than {max_tokens}, which is all that the model reads: use fewer words"
                ),
            )
    padding = {"padding": "max_length", "max_length": max_tokens} if padded else {}
    return dict(tokenizer(texts, return_tensors="pt", **padding))


def _class(transformers: Any, name: str) -> Any:
    if not hasattr(transformers, name):
        raise SplatsegError(
            f"transformers {transformers.__version__} has no {name}",
            expected="a newer one: pip install --upgrade transformers",
        )
    return getattr(transformers, name)


def _is_whole(folder: Path) -> bool:
    """Whether it has words too: where SAM 3 was only clicked with, it has none."""
    has_tokenizer = any((folder / name).is_file() for name in TOKENIZERS)
    return has_weights(folder) and has_tokenizer
