"""Folders of models and the hub: what is said of those that cannot be used. No network."""

import json
import sys

import pytest
import torch
from safetensors.torch import save_file

from splatseg.errors import SplatsegError
from splatseg.models.detectors import load_detector
from splatseg.models.hf_detectors import NEEDED_FILES, model_folder

transformers = pytest.importorskip("transformers", reason="extra `hf` is not installed")
errors = pytest.importorskip("huggingface_hub").errors

CPU = torch.device("cpu")


# --- Folders


def without_config(folder):
    (folder / "config.json").unlink()


def half_a_config(folder):
    path = folder / "config.json"
    path.write_bytes(path.read_bytes()[:100])


def no_object(folder):
    (folder / "config.json").write_text("[]")


def nonsense(folder):
    (folder / "config.json").write_text('{"model_type": "owlv2", "vision_config": 3}')


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
    save_file({"logit_scale": torch.zeros(())}, folder / "model.safetensors", {"format": "pt"})


def weights_of_other_sizes(folder):
    config = json.loads((folder / "config.json").read_text())
    config["vision_config"]["intermediate_size"] = 48
    (folder / "config.json").write_text(json.dumps(config))


def without_words(folder):
    for name in ("vocab.json", "tokenizer.json"):
        (folder / name).unlink(missing_ok=True)


def broken_words(folder):
    (folder / "vocab.json").write_text("{")


def without_processor(folder):
    (folder / "preprocessor_config.json").unlink()


def code_of_its_own(folder):
    for name in ("config.json", "preprocessor_config.json", "tokenizer_config.json"):
        settings = json.loads((folder / name).read_text())
        classes = ("AutoConfig", "AutoModel", "AutoImageProcessor", "AutoTokenizer")
        settings["auto_map"] = {kind: "trap.Trap" for kind in classes}
        (folder / name).write_text(json.dumps(settings))
    (folder / "trap.py").write_text("open(__file__ + '.sprung', 'w')\nclass Trap: ...\n")


REFUSED = {
    without_config: "holds no config.json; expected a folder with a Hugging Face model",
    half_a_config: "config.json is not valid JSON",
    no_object: "config.json is no JSON object",
    nonsense: "cannot be loaded (",
    truncated: "cannot be loaded (Error while deserializing header",
    without_weights: "cannot be loaded (Error no file named model.safetensors",
    pickled_weights: "(a .bin is not read, for it can run code)",
    weights_of_another: "of the model's weights are missing in",
    weights_of_other_sizes: "or have another size (first: owlv2.vision_model.encoder.layers.0.mlp",
    without_words: "holds no tokenizer; expected the model's tokenizer.json or vocab.txt",
    broken_words: "expected the model's tokenizer: get its files again",
    without_processor: "expected the model's preprocessor_config.json",
}


@pytest.mark.parametrize("damage", REFUSED, ids=lambda damage: damage.__name__)
def test_refused_in_one_sentence(copy_of, damage, capfd):
    folder = copy_of("owlv2")
    damage(folder)
    capfd.readouterr()
    with pytest.raises(SplatsegError) as error:
        load_detector(str(folder), device=CPU)
    message = str(error.value)
    assert REFUSED[damage] in message and str(folder) in message and "\n" not in message
    assert capfd.readouterr() == ("", "")
    assert not (folder / "sprung").exists()


def test_code_that_comes_with_a_model_is_not_run(copy_of, image):
    folder = copy_of("owlv2")
    code_of_its_own(folder)
    detector = load_detector(str(folder), device=CPU, min_score=0.0)
    assert detector.detect(image, ["mug"])[0]
    assert not (folder / "trap.py.sprung").exists()


@pytest.mark.parametrize("kind", ["grounding-dino", "sam3"])
def test_loading_is_silent_and_leaves_transformers_as_it_was(folders, kind, capfd):
    folder, logging = folders(kind), transformers.utils.logging
    before = (logging.get_verbosity(), logging.is_progress_bar_enabled())
    capfd.readouterr()
    load_detector(str(folder), device=CPU)
    assert capfd.readouterr() == ("", "")
    assert (logging.get_verbosity(), logging.is_progress_bar_enabled()) == before


def test_a_class_that_this_transformers_lacks(folders, monkeypatch):
    folder = folders("sam3")
    monkeypatch.setattr("splatseg.models.hf_detectors.import_transformers", lambda: Old)
    with pytest.raises(SplatsegError, match=r"transformers 4\.57\.0 has no CLIPTokenizerFast; exp"):
        load_detector(str(folder), device=CPU)


class Old:
    """Stands in for a transformers that has nothing."""

    __version__ = "4.57.0"
    utils = transformers.utils


def test_without_transformers(folders, monkeypatch):
    folder = folders("owlv2")
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(SplatsegError, match=r"need transformers: pip install splatseg"):
        load_detector(str(folder), device=CPU)
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(SplatsegError, match=r"pip install splatseg\[hf\]"):
        model_folder("IDEA-Research/grounding-dino-tiny")


# --- Names


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


# --- The hub


class Hub:
    """Stands in for the hub: gives or raises what it is told to, and notes what it was asked."""

    def __init__(self):
        self.answers = []
        self.cache_only = []

    def snapshot_download(self, model, allow_patterns, local_files_only=False):
        assert allow_patterns == NEEDED_FILES
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
    hub.answers = [folders("owlv2")]
    assert model_folder("google/owlv2") == folders("owlv2")
    assert hub.cache_only == [True]


def test_a_sam_3_that_was_only_clicked_with_is_completed_with_its_words(folders, copy_of, hub):
    """`splatseg masks` fetches no tokenizer."""
    folder = copy_of("owlv2")
    without_words(folder)
    hub.answers = [folder, folders("owlv2")]
    assert model_folder("google/owlv2") == folders("owlv2")
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
        load_detector("google/owlv2", device=CPU)
    assert "google/owlv2" in str(refused.value) and "\n" not in str(refused.value)
    assert hub.cache_only == [True, False]
