"""Folders of detectors: their names, and what is refused of them. No network."""

import json

import pytest
import torch

from splatseg.errors import SplatsegError
from splatseg.models.detectors import load_detector
from splatseg.models.hf_detectors import model_folder

transformers = pytest.importorskip("transformers", reason="extra `hf` is not installed")

CPU = torch.device("cpu")


def code_of_its_own(folder):
    for name in ("config.json", "preprocessor_config.json", "tokenizer_config.json"):
        settings = json.loads((folder / name).read_text())
        classes = ("AutoConfig", "AutoModel", "AutoImageProcessor", "AutoTokenizer")
        settings["auto_map"] = {kind: "trap.Trap" for kind in classes}
        (folder / name).write_text(json.dumps(settings))
    (folder / "trap.py").write_text("open(__file__ + '.sprung', 'w')\nclass Trap: ...\n")


def test_code_that_comes_with_a_model_is_not_run(copy_of, image):
    folder = copy_of("owlv2")
    code_of_its_own(folder)
    detector = load_detector(str(folder), device=CPU, min_score=0.0)
    assert detector.detect(image, ["mug"])[0]
    assert not (folder / "trap.py.sprung").exists()


def test_a_class_that_this_transformers_lacks(folders, monkeypatch):
    folder = folders("sam3")
    monkeypatch.setattr("splatseg.models.hf_detectors.import_transformers", lambda: Old)
    with pytest.raises(SplatsegError, match=r"transformers 4\.57\.0 has no CLIPTokenizerFast; exp"):
        load_detector(str(folder), device=CPU)


class Old:
    """Stands in for a transformers that has nothing."""

    __version__ = "4.57.0"
    utils = transformers.utils


@pytest.mark.parametrize("model", ["nothing", "./models/dino", "a/b/c", "~/dino", "", "C:\\dino"])
def test_what_is_neither_a_folder_nor_an_id(model, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    with pytest.raises(SplatsegError, match=r"(does not exist|holds no config\.json); expected a"):
        load_detector(model, device=CPU)


def test_a_file_is_no_model(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(SplatsegError, match=r"model\.safetensors is a file; expected a folder"):
        model_folder(str(tmp_path / "model.safetensors"))


def test_the_home_folder_is_written_with_a_tilde(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "dino").mkdir()
    assert model_folder("~/dino") == tmp_path / "dino"
