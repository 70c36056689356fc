"""Models of Hugging Face's transformers (extra `hf`): getting and loading them.

Weights are read from safetensors only, for other files can run code when they are loaded, and no
code that comes with a model is run.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from splatseg.errors import SplatsegError
from splatseg.files import read_json

CONFIG = "config.json"
WEIGHTS = "model*.safetensors"
WEIGHT_FILES = (WEIGHTS, f"{WEIGHTS}.index.json")


def import_transformers() -> Any:
    """The library, or the sentence that says how to get it."""
    try:
        import transformers
    except ImportError as error:
        raise _missing_transformers() from error
    return transformers


def fetch(model: str, files: Sequence[str], is_whole: Callable[[Path], bool], example: str) -> Path:
    """The folder with `files` of a model of the hub: from its cache, else downloaded into it.

    `is_whole` tells whether what the cache has is all that is needed.
    """
    try:
        from huggingface_hub import errors, snapshot_download
    except ImportError as error:
        raise _missing_transformers() from error
    patterns = list(files)
    try:
        with suppress(errors.LocalEntryNotFoundError):
            folder = snapshot_download(model, allow_patterns=patterns, local_files_only=True)
            if is_whole(Path(folder)):
                return Path(folder)
        return Path(snapshot_download(model, allow_patterns=patterns))
    except errors.GatedRepoError as error:
        raise SplatsegError(
            f"the Hugging Face hub gives {model} only to those who accepted its license: do so on "
            "the model's page, and log in with `hf auth login`"
        ) from error
    except (errors.RepositoryNotFoundError, errors.HFValidationError) as error:
        raise SplatsegError(
            f"{model} is neither a folder nor a model of the Hugging Face hub",
            expected=f"one of them, such as {example}",
        ) from error
    except OSError as error:
        raise SplatsegError(
            f"{model} is no folder, and the Hugging Face hub does not give it ({_reason(error)})",
            expected="the folder of a model, or access to the hub",
        ) from error


def has_weights(folder: Path) -> bool:
    """Whether the configuration and weights are there."""
    return (folder / CONFIG).is_file() and any(folder.glob(WEIGHTS))


def read_settings(path: Path) -> dict[str, Any]:
    """A JSON object of a model's folder."""
    content = read_json(path, "a model's configuration")
    if not isinstance(content, dict):
        raise SplatsegError(
            f"{path} is no JSON object",
            expected="a model's configuration",
        )
    return content


def load_model(kind: Any, folder: Path) -> Any:
    """The model of a class of transformers in `folder`, with all its weights, in 32 bits."""
    expected = (
        f"a whole model: {CONFIG}, and weights in model.safetensors (a .bin is not read, for it "
        "can run code)"
    )
    with loading(folder, expected):
        model, found = kind.from_pretrained(
            folder,
            use_safetensors=True,
            local_files_only=True,
            ignore_mismatched_sizes=True,  # they are listed instead, and refused below
            output_loading_info=True,
        )
    # transformers 4 gives the names of those of another size, 5 their sizes too.
    of_other_sizes = (k if isinstance(k, str) else k[0] for k in found["mismatched_keys"])
    wrong = sorted({*found["missing_keys"], *of_other_sizes})
    if wrong:
        raise SplatsegError(
            f"{len(wrong)} of the model's weights are missing in {folder} or have another size "
            f"(first: {wrong[0]})",
            expected=f"those of the model in its {CONFIG}: get it again",
        )
    return model.float().eval()


@contextmanager
def loading(folder: Path, expected: str) -> Iterator[None]:
    """Make a sentence of transformers' errors, and keep its warnings and bars off the terminal."""
    logging = import_transformers().utils.logging
    level, has_bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    except SplatsegError:
        raise
    except Exception as error:  # a user's files, and whatever transformers says about them
        raise SplatsegError(
            f"{folder} cannot be loaded ({_reason(error)})",
            expected=f"{expected}",
        ) from error
    finally:
        logging.set_verbosity(level)
        if has_bars:
            logging.enable_progress_bar()


def _missing_transformers() -> SplatsegError:
    return SplatsegError("models of Hugging Face need transformers: pip install splatseg[hf]")


def _reason(error: Exception) -> str:
    lines = (line.strip() for line in str(error).splitlines())
    return next(filter(None, lines), type(error).__name__).rstrip(".:")
