"""Which model is taken, and what is said when there is none."""

import subprocess
import sys
from pathlib import Path
from unittest.mock import Mock

import pytest
import torch

from splatseg.errors import SplatsegError
from splatseg.models import segmenters as models
from splatseg.models.detectors import load_detector
from splatseg.models.onnx_sam import OnnxSegmenter
from splatseg.models.segmenters import DEFAULT_MODEL, cache_folder, load_segmenter

CPU = torch.device("cpu")


class FakeHf:
    """Stands in for HfSegmenter."""

    def __init__(self, folder, name, device):
        self.folder, self.name, self.device = folder, name, device

    def encode(self, photo):
        raise NotImplementedError

    def predict(self, photo, points, labels, boxes=None, *, levels=True):
        raise NotImplementedError


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    """An empty cache folder, and a hub that has everything."""
    monkeypatch.setattr(models, "HfSegmenter", FakeHf)
    monkeypatch.setattr(models, "fetch", lambda model: Path("fetched") / model)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "cache" / "splatseg" / "models"
    folder.mkdir(parents=True)
    return folder


def write_hf(folder):
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    return folder


@pytest.mark.parametrize(
    ("folder", "model", "name"),
    [
        ("sam", "sam", "sam"),
        ("sam", "~/sam", "sam"),
        ("both", "both", "both"),  # Hugging Face's files are there as well
        ("facebook/sam-vit-base", "facebook/sam-vit-base", "sam-vit-base"),  # of the hub, too
    ],
)
def test_a_folder_with_onnx_files(tiny_sam, tmp_path, monkeypatch, folder, model, name):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    if folder == "both":
        write_hf(tmp_path / folder)
    tiny_sam.write_tiny_sam(tmp_path / folder)
    segmenter = load_segmenter(model, device=CPU)
    assert isinstance(segmenter, OnnxSegmenter) and segmenter.name == name


@pytest.mark.parametrize(
    ("model", "folder"),
    [("my-sam", "my-sam"), ("facebook/sam2.1-hiera-tiny", "fetched/facebook/sam2.1-hiera-tiny")],
)
def test_hugging_faces_form_in_a_folder_and_on_the_hub(tmp_path, monkeypatch, model, folder):
    monkeypatch.chdir(tmp_path)
    write_hf(tmp_path / "my-sam")
    segmenter = load_segmenter(model, device=torch.device("cuda"))
    assert isinstance(segmenter, FakeHf)
    assert (segmenter.folder, segmenter.name) == (Path(folder), model)
    assert segmenter.device == torch.device("cuda")


@pytest.mark.parametrize("load", [load_segmenter, load_detector])
@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        *((name, "does not exist") for name in ("nothing", "./models/sam", "/models/sam")),
        *((name, "does not exist") for name in ("../sam/b", "a/b/c", "~/sam", "C:\\sam")),
        ("", "holds no"),
        ("../encoder.onnx", "encoder.onnx is a file"),
    ],
)
def test_what_is_neither_a_folder_nor_an_id(model, sentence, load, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "empty").mkdir()
    (tmp_path / "encoder.onnx").touch()
    monkeypatch.chdir(tmp_path / "empty")
    with pytest.raises(SplatsegError, match=rf"{sentence}.*; expected a folder"):
        load(model, device=CPU)


def test_without_a_name_the_first_model_of_the_cache(tiny_sam, cache):
    (cache / "a-file").write_text("")
    (cache / "b-empty").mkdir()
    tiny_sam.write_tiny_sam(cache / "d-tiny")
    write_hf(cache / "e-hf")
    assert load_segmenter(None, device=CPU).name == "d-tiny"
    write_hf(cache / "c-hf")
    assert load_segmenter(None, device=CPU).name == "c-hf"


def test_without_a_name_and_a_cache_sam_1_of_the_hub(cache):
    assert load_segmenter(None, device=CPU).name == DEFAULT_MODEL == "facebook/sam-vit-base"
    cache.rmdir()
    assert load_segmenter(None, device=CPU).name == DEFAULT_MODEL


def test_without_any_model_both_ways_to_one(monkeypatch, cache):
    no_fetch = Mock(side_effect=SplatsegError("it is not to be had; expected a network"))
    monkeypatch.setattr(models, "fetch", no_fetch)
    with pytest.raises(SplatsegError) as error:
        load_segmenter(None, device=CPU)
    message = str(error.value)
    for part in (str(cache), "is not to be had)", "splatseg[hf]", "splatseg[sam]", "`model` "):
        assert part in message
    assert "a network" not in message and "\n" not in message


@pytest.mark.parametrize(
    ("platform", "variables", "expected"),
    [
        ("linux", {"XDG_CACHE_HOME": "/x"}, "/x/splatseg/models"),
        ("linux", {"XDG_CACHE_HOME": ""}, "/home/me/.cache/splatseg/models"),
        ("darwin", {"XDG_CACHE_HOME": "/x"}, "/home/me/Library/Caches/splatseg/models"),
        ("win32", {"LOCALAPPDATA": "/local"}, "/local/splatseg/models"),
        ("win32", {"LOCALAPPDATA": ""}, "/home/me/AppData/Local/splatseg/models"),
    ],
)
def test_the_cache_folder_of_each_system(monkeypatch, platform, variables, expected):
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(Path, "home", lambda: Path("/home/me"))
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert cache_folder() == Path(expected)


def test_choosing_loads_no_library_that_is_not_needed():
    code = (
        "import sys, splatseg.models.segmenters, splatseg.text\n"
        "print(sorted({'onnxruntime', 'transformers', 'huggingface_hub'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
