"""ONNX files that onnxruntime runs on the CPU, as many threads as torch has (extra `sam`)."""

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import torch

from splatseg.errors import SplatsegError

DTYPES = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(uint8)": np.uint8,
    "tensor(int32)": np.int32,
    "tensor(int64)": np.int64,
}


class Graph:
    """An ONNX file that onnxruntime has taken in."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._session = _open_session(path)
        self.inputs = {argument.name: argument for argument in self._session.get_inputs()}
        self.outputs = [argument.name for argument in self._session.get_outputs()]

    def __str__(self) -> str:
        inputs = (f"{name} {self.shape(name)}" for name in self.inputs)
        return f"{self.path.name} takes {', '.join(inputs)} and gives {', '.join(self.outputs)}"

    def shape(self, name: str) -> list[int | str | None]:
        """An input's sizes; a name or None where any will do."""
        return self.inputs[name].shape

    def dtype(self, name: str) -> type:
        """The type of number that an input takes."""
        kind = self.inputs[name].type
        if kind not in DTYPES:
            raise SplatsegError(
                f"{self.path}: its input {name} is a {kind}",
                expected=f"one of {', '.join(DTYPES)}",
            )
        return DTYPES[kind]

    def run(self, outputs: list[str], feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
        """The outputs of those names."""
        feeds = {name: value.astype(self.dtype(name), copy=False) for name, value in feeds.items()}
        try:
            return self._session.run(outputs, feeds)
        except _errors() as error:
            raise SplatsegError(
                f"{self.path} cannot be run ({_reason(error)})",
                expected=(
                    "a decoder that was exported with the encoder beside it: export both again"
                ),
            ) from error


def _open_session(path: Path) -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise SplatsegError(
            "a model in ONNX files needs onnxruntime: pip install splatseg[sam]"
        ) from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    # Threads that spin while they wait take the time of others.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # With it, each new number of prompts or points takes a block of memory for good.
    options.enable_mem_pattern = False
    options.log_severity_level = 4  # what goes wrong is raised as well
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except _errors() as error:
        raise SplatsegError(
            f"{path} cannot be opened as an ONNX graph ({_reason(error)})",
            remedy=(
                "it may be cut short, or lack the file with its weights beside it: get it again"
            ),
        ) from error


def _errors() -> tuple[type[Exception], ...]:
    """What onnxruntime raises: a dozen classes without a common parent."""
    state = importlib.import_module("onnxruntime.capi.onnxruntime_pybind11_state")
    classes = [value for value in vars(state).values() if isinstance(value, type)]
    return tuple(value for value in classes if issubclass(value, Exception))


def _reason(error: Exception) -> str:
    """The first line of a message, without onnxruntime's codes."""
    return str(error).splitlines()[0].rpartition(" : ")[2].strip().rstrip(".")
