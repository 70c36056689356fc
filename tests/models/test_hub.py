"""Models of the hub and their folders, as the segmenter and the detectors use them. No network."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple
from unittest.mock import Mock

import pytest
import torch
from safetensors.torch import save_file

from splatseg.errors import SplatsegError
from splatseg.models import hf_detectors, hf_sam
from splatseg.models.detectors import load_detector

transformers = pytest.importorskip("transformers", reason="extra `hf` is not installed")
errors = pytest.importorskip("huggingface_hub").errors

CPU = torch.device("cpu")
NAME = "owner/model"


class User(NamedTuple):
    """Who loads a folder, with a kind of model that it can load, and who fetches one."""

    kind: str
    load: Callable[[Path], object]
    fetch: Callable[[str], Path]
    files: tuple[str, ...]


USERS = {
    "segmenter": User(
        "sam_1",
        lambda folder: hf_sam.HfSegmenter(folder, "tiny", CPU),
        hf_sam.fetch,
        hf_sam.NEEDED_FILES,
    ),
    "detector": User(
        "owlv2",
        lambda folder: load_detector(str(folder), device=CPU),
        hf_detectors.model_folder,
        tuple(hf_detectors.NEEDED_FILES),
    ),
}


@pytest.fixture(params=USERS)
def user(request):
    return USERS[request.param]


def delete(*names):
    return lambda folder: [(folder / name).unlink(missing_ok=True) for name in names]


def write(name, content):
    return lambda folder: (folder / name).write_text(json.dumps(content))


def cut(name, kept):
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:kept])


def edit_config(**settings):
    """Replace settings; those that are objects are updated."""

    def edit(folder):
        config = json.loads((folder / "config.json").read_text())
        for name, value in settings.items():
            config[name] = config[name] | value if isinstance(value, dict) else value
        write("config.json", config)(folder)

    return edit


def only_weights(name, *shape):
    state = {name: torch.zeros(shape)}
    return lambda folder: save_file(state, folder / "model.safetensors", {"format": "pt"})


class Trap:
    """Unpickling one writes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def pickled_weights(folder):
    delete("model.safetensors")(folder)
    torch.save({"weights": Trap(folder / "sprung")}, folder / "pytorch_model.bin")


OF_BOTH = [
    (cut("config.json", 100), "config.json is not valid JSON"),
    (write("config.json", []), "config.json is no JSON object"),
    (edit_config(vision_config=3), "cannot be loaded ("),
    (cut("model.safetensors", -1000), "cannot be loaded (Error while deserializing header"),
    (delete("model.safetensors"), "cannot be loaded (Error no file named model.safetensors"),
    (pickled_weights, "(a .bin is not read, for it can run code)"),
]
MEANS = "preprocessor_config.json"
OF_SEGMENTER = [
    (delete("config.json"), "config.json does not exist"),
    (edit_config(model_type="bert"), "of type bert; expected one that answers points: sam, sam2"),
    (only_weights("prompt_encoder.no_mask_embed.weight", 1, 16), "(first: mask_decoder.iou_pred"),
    (edit_config(mask_decoder_config={"mlp_dim": 32}), "have another size (first: mask_decoder.tr"),
    (write(MEANS, {"image_mean": ["a"] * 3, "image_std": [1] * 3}), "gives ['a', 'a', 'a'] for a"),
    (write(MEANS, {"image_mean": [0.5] * 2, "image_std": [1] * 2}), "gives [0.5, 0.5] for a color"),
]
OF_DETECTOR = [
    (delete("config.json"), "holds no config.json; expected a folder with a Hugging Face model"),
    (edit_config(model_type="sam"), "of type sam; expected one that finds what words mean"),
    (only_weights("logit_scale"), "of the model's weights are missing in"),
    (edit_config(vision_config={"intermediate_size": 48}), "(first: owlv2.vision_model.encoder"),
    (delete("vocab.json", "tokenizer.json"), "holds no tokenizer; expected the model's tokenizer"),
    (
        lambda folder: (folder / "vocab.json").write_text("{"),
        "the model's tokenizer: get its files",
    ),
    (delete(MEANS), "expected the model's preprocessor_config.json"),
]
REFUSED = [
    *(("segmenter", *case) for case in OF_BOTH + OF_SEGMENTER),
    *(("detector", *case) for case in OF_BOTH + OF_DETECTOR),
]


@pytest.mark.parametrize(("user", "damage", "sentence"), REFUSED)
def test_a_damaged_folder_is_refused_in_one_sentence(user, damage, sentence, copy_of, capfd):
    folder = copy_of(USERS[user].kind)
    damage(folder)
    capfd.readouterr()
    with pytest.raises(SplatsegError) as error:
        USERS[user].load(folder)
    message = str(error.value)
    assert sentence in message and str(folder) in message and "\n" not in message
    assert capfd.readouterr() == ("", "")
    assert not (folder / "sprung").exists()


@pytest.mark.parametrize(
    ("user", "kind"),
    [("segmenter", "sam_2"), ("detector", "grounding-dino"), ("detector", "sam3")],
)
def test_loading_is_silent_and_leaves_transformers_as_it_was(folders, user, kind, capfd):
    folder, logging = folders(kind), transformers.utils.logging
    before = (logging.get_verbosity(), logging.is_progress_bar_enabled())
    capfd.readouterr()
    USERS[user].load(folder)
    assert capfd.readouterr() == ("", "")
    assert (logging.get_verbosity(), logging.is_progress_bar_enabled()) == before


def test_code_that_comes_with_a_model_is_not_run(copy_of, image):
    folder = copy_of("owlv2")
    for name in ("config.json", "preprocessor_config.json", "tokenizer_config.json"):
        settings = json.loads((folder / name).read_text())
        classes = ("AutoConfig", "AutoModel", "AutoImageProcessor", "AutoTokenizer")
        write(name, settings | {"auto_map": {kind: "trap.Trap" for kind in classes}})(folder)
    (folder / "trap.py").write_text("open(__file__ + '.sprung', 'w')\nclass Trap: ...\n")
    detector = load_detector(str(folder), device=CPU, min_score=0.0)
    assert detector.detect(image, ["mug"])[0]
    assert not (folder / "trap.py.sprung").exists()


def test_a_class_that_this_transformers_lacks(folders, monkeypatch):
    old = SimpleNamespace(__version__="4.57.0", utils=transformers.utils)
    monkeypatch.setattr(hf_detectors, "import_transformers", lambda: old)
    with pytest.raises(SplatsegError, match=r"transformers 4\.57\.0 has no CLIPTokenizerFast; exp"):
        load_detector(str(folders("sam3")), device=CPU)


def test_the_home_folder_is_written_with_a_tilde(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "dino").mkdir()
    assert hf_detectors.model_folder("~/dino") == tmp_path / "dino"


def test_without_transformers(user, folders, monkeypatch):
    folder = folders(user.kind)
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(SplatsegError, match=r"need transformers: pip install splatseg\[hf\]"):
        user.load(folder)
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(SplatsegError, match=r"pip install splatseg\[hf\]"):
        user.fetch(NAME)


@pytest.fixture
def hub(monkeypatch):
    """Stands in for the hub: gives or raises what it is told to, and notes what it was asked."""
    hub = Mock()
    monkeypatch.setattr("huggingface_hub.snapshot_download", hub)
    return hub


def cache_only(hub):
    """Of each call, whether it was to ask the hub's cache only."""
    return [call.kwargs.get("local_files_only", False) for call in hub.call_args_list]


def test_the_hub_is_not_asked_for_what_its_cache_holds(user, folders, hub):
    hub.side_effect = [str(folders(user.kind))]
    assert user.fetch(NAME) == folders(user.kind)
    assert cache_only(hub) == [True]
    assert tuple(hub.call_args.kwargs["allow_patterns"]) == user.files


def test_half_a_model_in_the_cache_is_completed(user, folders, copy_of, hub):
    """A SAM 3 that was only clicked with lacks its words: `splatseg masks` fetches no tokenizer."""
    folder = copy_of(user.kind)
    delete(*(["vocab.json", "tokenizer.json"] if user.kind == "owlv2" else ["config.json"]))(folder)
    hub.side_effect = [str(folder), str(folders(user.kind))]
    assert user.fetch(NAME) == folders(user.kind)
    assert cache_only(hub) == [True, False]


def http_error(kind):
    """An error of the hub's, which are made from responses."""
    error = kind.__new__(kind)
    Exception.__init__(error, "404 Client Error\nFor more information ask the hub")
    return error


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (http_error(errors.GatedRepoError), "to those who accepted its license"),
        (http_error(errors.RepositoryNotFoundError), "neither a folder nor a model"),
        (errors.HFValidationError("bad id"), "neither a folder nor a model"),
        (http_error(errors.HfHubHTTPError), "does not give it"),
        (errors.LocalEntryNotFoundError("no way"), r"does not give it \(no way\); expected"),
        (ConnectionError("no route"), r"does not give it \(no route\); expected"),
    ],
)
def test_what_the_hub_does_not_give(user, hub, error, sentence):
    hub.side_effect = [errors.LocalEntryNotFoundError("not in the cache"), error]
    with pytest.raises(SplatsegError, match=sentence) as refused:
        user.fetch(NAME)
    assert NAME in str(refused.value) and "\n" not in str(refused.value)
    assert cache_only(hub) == [True, False]


def test_offline_without_a_cache(user, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(SplatsegError, match="the Hugging Face hub does not give it"):
        user.fetch(NAME)
