"""Tensors in safetensors files: written whole or not at all, never pickled."""

from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from splatseg.errors import SplatsegError
from splatseg.files import cannot_read, replacing_file


def write_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """Write named tensors and text to a safetensors file, whole or not at all."""
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with replacing_file(path, sum(tensor.nbytes for tensor in plain.values())) as temporary:
        save_file(plain, temporary, metadata)


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors, on the CPU, and the text of a safetensors file."""
    try:
        with safe_open(path, framework="pt") as file:
            # A clone, for the file stays mapped, and not to be replaced on Windows, until it goes.
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
            return tensors, file.metadata() or {}
    except SafetensorError as error:
        raise SplatsegError(
            f"{path} is not a whole safetensors file ({error})",
            remedy="it was cut short or overwritten",
        ) from error
    except OSError as error:
        raise cannot_read(path, error) from error
