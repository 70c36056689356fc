"""A tiny SAM, and a scene painted in flat colours for it."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest


def load_tiny_sam() -> ModuleType:
    """The module beside this file; tests are no package to import it from."""
    path = Path(__file__).parent / "tiny_sam.py"
    spec = importlib.util.spec_from_file_location("tiny_sam", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def tiny_sam() -> ModuleType:
    """tiny_sam.py; `tiny_sam.write_tiny_sam(folder)` writes the pair."""
    pytest.importorskip("onnx", reason="the tiny SAM is written with onnx")
    return load_tiny_sam()


@pytest.fixture(scope="session")
def tiny_sam_folder(tiny_sam: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny SAM, shared: only read it."""
    return tiny_sam.write_tiny_sam(tmp_path_factory.mktemp("models") / "tiny")
