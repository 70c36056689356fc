"""Bad input: exit status 2, one sentence that names the culprit, no traceback, nothing lost."""

import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from builders.two_squares import contents
from PIL import Image

from splatseg.cli import main
from splatseg.scene import load_scene

QUICK = "--preset paper --iterations 4 --contrastive.interval 1"
Damage = Callable[[Path], object]
"""Of what is in a folder that holds `capture` and `scene`."""


def write(files: str, content: bytes) -> Damage:
    """Replace the files of a pattern, or one that is not there."""
    return lambda root: [
        path.write_bytes(content) for path in [*root.glob(files)] or [root / files]
    ]


def cut(files: str, length: int) -> Damage:
    return lambda root: [path.write_bytes(path.read_bytes()[:length]) for path in root.glob(files)]


def delete(*names: str) -> Damage:
    return lambda root: [shutil.rmtree(root / name) for name in names]


def edit(name: str, change: Callable[[Any], object]) -> Damage:
    def apply(root: Path) -> None:
        data = json.loads((root / name).read_text())
        change(data)
        (root / name).write_text(json.dumps(data))

    return apply


def pose(number: float) -> Damage:
    def spoil(data: Any) -> None:
        data["frames"][4]["transform_matrix"][0] = [number] * 4

    return edit("capture/transforms.json", spoil)


def small_masks(root: Path) -> None:
    for path in list((root / "capture/masks/noisy").iterdir()):
        Image.fromarray(np.ones((72, 72), dtype=np.uint8)).save(path.with_suffix(".png"))
        path.unlink()


def masks_of_others(root: Path) -> None:
    for path in list((root / "capture/masks/noisy").iterdir()):
        path.rename(path.with_name(f"other_{path.name}"))


def two_mask_sets(root: Path) -> None:
    shutil.copytree(root / "capture/masks/noisy", root / "capture/masks/clean")


def ply_without_opacity(root: Path) -> None:
    path = root / "scene/scene.ply"
    path.write_bytes(path.read_bytes().replace(b"property float opacity\n", b""))


def without_features(root: Path) -> None:
    command = f"train {root / 'capture'} -o {root / 'rgb'} --preset rgb --iterations 3"
    assert main(command.split()) == 0


def damaged_pick(root: Path) -> None:
    Image.fromarray(np.ones((72, 96), dtype=bool)).save(root / "mask.png")
    assert main(f"pick {root / 'scene'} --mask view_0:{root / 'mask.png'}".split()) == 0
    cut("scene/picks/object/masks/view_1.png", 40)(root)


def nothing(root: Path) -> None: ...


TRAIN = f"train {{capture}} {QUICK}"
PICK = "pick {scene} --at view_4:48,60"
RENDER = "render {scene} --kinds"
MEASURE = "evaluate {scene} {capture} --protocol"
WORDS = f"{MEASURE} text --grounding {{capture}}/images"
FLAWS: list[tuple[Damage, str, str]] = [
    # captures
    (nothing, "train {tmp}", " holds no camera poses; expected a COLMAP model"),
    (nothing, "train {tmp}/nowhere", "nowhere does not exist; expected a capture"),
    (nothing, "train {capture} --poses {tmp}/nowhere", "nowhere holds no camera poses"),
    (cut("capture/images/*", 2000), TRAIN, "cannot be read as a photo"),
    (write("capture/images/view_3.png", b"?"), TRAIN, "view_3.png cannot be read as a photo"),
    (pose(float("nan")), TRAIN, "NaN or infinity"),
    (pose(0.0), TRAIN, "is not a rotation"),
    (write("capture/transforms.json", b"{"), TRAIN, "transforms.json is not valid JSON"),
    # masks
    (small_masks, TRAIN, "is 72x72 but its photo is 96x72; make it at the photo's size"),
    (masks_of_others, TRAIN, "has masks for none of the capture's 10 frames"),
    (write("capture/masks/noisy/*", b"{"), TRAIN, "json is not valid JSON"),
    (nothing, "train {capture} --masks sam", "has no mask set sam; it has noisy"),
    (two_mask_sets, TRAIN, "2 mask sets (clean, noisy); choose one with --masks NAME"),
    (two_mask_sets, "masks {capture} --preview", "choose one with --name"),
    (nothing, "masks {capture} --stats --name three", "it has noisy"),
    (delete("capture/masks"), TRAIN, "masks holds no mask set"),
    (delete("capture/masks"), "masks {capture} --stats", "make one with splatseg masks"),
    (nothing, "masks {capture} --format sam", "says what --import reads, but nothing is imported"),
    (nothing, "masks {capture} --import x --model y", "leave out one or the other"),
    (nothing, "masks {capture} --import nowhere", "nowhere does not exist"),
    (nothing, "masks {capture} --import . --format rle", "there is no mask format rle; there are"),
    (nothing, "masks {capture} --name a/b", "--name is 'a/b'; expected a folder's name, as in sam"),
    (nothing, "masks {capture} --model nowhere", "the model nowhere does not exist; expected"),
    (nothing, "masks {capture} --grid 0", "points_per_side is 0"),
    # settings
    (nothing, "train {capture} --preset best", "no preset best; choose from paper, plus, rgb"),
    (nothing, "train {capture} --iterations 0", "iterations is 0; expected at least 1"),
    (nothing, "train {capture} --seed -1", "seed is -1; expected 0 or more"),
    (nothing, "train {capture} --threads 0", "--threads is 0; expected at least 1"),
    (nothing, "train {capture} --downscale 0", "the downscale factor is 0"),
    (nothing, "capture {capture}/images -o {tmp} --frames 3", "--frames is for videos"),
    (nothing, "capture {capture}/images -o {capture}", "name another folder with -o"),
    # scenes
    (nothing, "pick {tmp} --at view_0:1,1", "expected a folder that `splatseg train` wrote"),
    (nothing, "cluster {tmp}", "it has no manifest.json"),
    (nothing, "render {tmp}", "it has no manifest.json"),
    (nothing, "evaluate {tmp} {capture}", "it has no manifest.json"),
    (ply_without_opacity, "render {scene}", "scene.ply is not the file that was saved"),
    (edit("scene/manifest.json", lambda data: data.update(schema=99)), "cluster {scene}",
     "written by a newer splatseg (schema 99"),
    (without_features, "pick {tmp}/rgb --at view_4:48,60", "no segmentation features"),
    (without_features, "cluster {tmp}/rgb", "no segmentation features"),
    (without_features, "render {tmp}/rgb --kinds features", "no segmentation features"),
    (without_features, "evaluate {tmp}/rgb {capture} --protocol click", "no segmentation features"),
    # picks
    (nothing, "pick {scene}", "nothing is picked; expected --at FRAME:X,Y, another prompt (--text"),
    (nothing, "pick {scene} --at view_0", "is not FRAME:X,Y, as in frame_00012:320,240"),
    (nothing, "pick {scene} --at view_0:96,10", "lies outside view_0, which is 96x72"),
    (nothing, "pick {scene} --at view_0:2,2", "is on empty background; click on something"),
    (nothing, "pick {scene} --at view_99:2,2", "no frame view_99; the scene has view_0, view_1,"),
    (nothing, "pick {scene} --not-at view_4:48,60", "there is no prompt for what to select"),
    (nothing, "pick {scene} --gaussian 99999999", "there is no Gaussian 99999999"),
    (nothing, "pick {scene} --points missing.json", "missing.json"),
    (nothing, "pick {scene} --boxes b.json --at view_0:9,9", "but no --text WORDS"),
    (nothing, "pick {scene} --text a --points p.json", "--points and --text do not go together"),
    (nothing, "pick {scene} --text a --text b --at v:1,2", "no other prompt goes with them"),
    (nothing, "pick {scene} --text a --boxes b --detector owl", "--boxes are what a detector"),
    (nothing, f"{PICK} --threshold 1.5", "--threshold is 1.5; expected a cosine"),
    (nothing, f"{PICK} --threshold nan", "--threshold is nan; expected a cosine"),
    (nothing, f"{PICK} --query-radius=-1", "the query radius is -1"),
    (nothing, f"{PICK} --add one", "there is no pick one"),
    (nothing, f"{PICK} --level part", "has no level part, only whole objects"),
    *((nothing, f"{PICK} --name={name}", "expected a folder's name")
      for name in ("", ".", "..", "a/b", "/tmp")),  # a pick replaces its folder: `..` is the scene
    (nothing, f"{PICK} -o {{scene}}", "which is no part of a pick"),
    (write("file", b"mine"), f"{PICK} -o {{tmp}}/file", "is a file; expected a folder"),
    # renders, figures, edits and exports
    (nothing, "render {scene} --level part", "has no level part, only whole objects"),
    (nothing, f"{RENDER} clusters", "run splatseg cluster "),
    (nothing, f"{RENDER} pick", "give the name of one as --pick"),
    (nothing, f"{RENDER} pick --pick cup", "run splatseg pick"),
    (edit("scene/manifest.json", lambda data: data.update(capture="/moved")), f"{RENDER} photo",
     "/moved has no photo images/view_1.png"),
    (damaged_pick, f"{RENDER} pick --pick object", "masks/view_1.png cannot be read as PNG"),
    (nothing, f"{MEASURE} clusters", "run splatseg cluster on it"),
    (lambda root: (root / "capture/prompts.json").unlink(), f"{MEASURE} click3",
     "prompts.json does not exist"),
    (delete("capture/gt_instances"), f"{MEASURE} click", "no training view has ground truth in"),
    (lambda root: (root / "capture/objects.json").unlink(), f"{MEASURE} click",
     "objects.json does not exist; expected the objects of a capture with ground truth"),
    (write("capture/points_gt.npz", b"?"), f"{MEASURE} click3d", "points_gt.npz cannot be read"),
    (nothing, f"{MEASURE} text", "nothing is given that finds the protocol's prompts"),
    (nothing, f"{MEASURE} click --grounding {{capture}}/images", "for the protocols text and"),
    (nothing, f"{WORDS} --boxes b", "so nothing for a detector or its boxes goes"),
    (nothing, WORDS, "test_mask; this protocol reads <view>/<prompt>.png"),
    (nothing, f"{MEASURE} 3d-ovs --grounding {{capture}}/images", "reads classes.txt"),
    (nothing, "hide {scene} -o {tmp}/new", "nothing is selected"),
    (nothing, "hide {scene} -o {tmp}/new --selection cup", "there is no pick cup"),
    (nothing, "hide {scene} -o {scene} --object 1", "-o is the scene itself"),
    (nothing, "recolor {scene} -o {tmp}/new --color rouge", "is no color; expected #rrggbb"),
    (nothing, "move {scene} -o {tmp}/new --by 1,2,nan", "--by 1,2,nan is not X,Y,Z"),
    (nothing, "move {scene} -o {tmp}/new --rotate up,90", "is not AXIS,DEGREES, as in z,90, or W,"),
    (nothing, "export {scene} -o x.ply --views 3", "--path, --views and --in-scene are for masks"),
    (nothing, "export {scene} -o x.mp4 --views 0", "--views is 0; expected at least 1"),
    (nothing, "export {scene} -o x.avi --format video", "rename it or leave --format out"),
    (nothing, "export {scene} -o {scene}/scene.ply", "belongs to a scene; give -o another name"),
    # machines without a GPU, and a file in the place of the output
    *((nothing, f"{command} --device cuda", "torch finds no GPU; expected an NVIDIA card")
      for command in (TRAIN, PICK, "cluster {scene}", "render {scene}", f"{MEASURE} nvs")),
    (write("file", b"mine"), f"{TRAIN} -o {{tmp}}/file/scene", "cannot write"),
    (write("file", b"mine"), "render {scene} -o {tmp}/file", "cannot write"),
]  # fmt: skip


@pytest.mark.parametrize(("damage", "command", "sentence"), FLAWS)
def test_refused(
    damage: Damage, command: str, sentence: str, typed, refused, tmp_path, monkeypatch, request
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    for needed in ("capture_copy", "scene_copy"):
        request.getfixturevalue(needed)
    damage(tmp_path)
    before = contents(tmp_path)
    assert sentence in refused(*typed(command))
    assert contents(tmp_path) == before


@pytest.mark.parametrize("command", ["", "trian", "train", "train x --iter 3"])
def test_a_command_line_that_does_not_parse(command: str, capsys) -> None:
    with pytest.raises(SystemExit) as caught:
        main(command.split())
    out, err = capsys.readouterr()
    assert caught.value.code == 2 and out == "" and err != "" and "Traceback" not in err


@pytest.mark.parametrize("verb", ["hide {other} -o {tmp}/new", "export {other} -o {tmp}/new.ply"])
def test_a_pick_of_another_scene(verb: str, labeled: Path, tmp_path: Path, typed, refused) -> None:
    assert main(typed("extract {labeled} -o {tmp}/other --selection ball")) == 0
    command = f"{verb.replace('{other}', '{tmp}/other')} --selection {{labeled}}/picks/ball"
    sentence = refused(*typed(command))
    assert "is of another scene" in sentence and "pick it again in this scene" in sentence
    assert {path.name for path in tmp_path.iterdir()} == {"labeled", "other"}


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EACCES])
@pytest.mark.parametrize(
    "command",
    ["pick {scene} --at {red}", "cluster {scene}", "render {scene}", "evaluate {scene} {capture}"],
)
def test_a_disk_that_is_full_or_forbidden(
    command: str, code: int, scene_copy: Path, typed, refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object) -> None:
        raise OSError(code, os.strerror(code))

    before, words = contents(scene_copy), typed(command)
    monkeypatch.setattr("os.replace", fail)
    sentence = refused(*words)
    assert "cannot write" in sentence and os.strerror(code) in sentence
    assert str(scene_copy) in sentence and "unchanged" in sentence
    assert contents(scene_copy) == before
    load_scene(scene_copy)


def out_of(error: Exception) -> Callable[..., None]:
    def run(*arguments: object) -> None:
        raise error

    return run


ON_THE_GPU = torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB. GPU 0 has")


@pytest.mark.parametrize(
    ("step", "found"),
    [
        (lambda *arguments: torch.empty(2**50), "memory ("),
        (lambda *arguments: np.empty(2**50), "memory ("),
        (out_of(MemoryError("not enough memory to bin 9 Gaussians")), "memory ("),
        (out_of(ON_THE_GPU), "GPU memory (Tried to allocate 20 GiB)"),
    ],
)
def test_no_memory(step, found: str, typed, refused, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("splatseg.training.trainer.train_step", step)
    sentence = refused(*typed(TRAIN))
    assert f"out of {found}" in sentence and "--max-gaussians" in sentence


def test_a_bug_keeps_its_traceback(typed, monkeypatch: pytest.MonkeyPatch) -> None:
    bug = out_of(RuntimeError("an index is off by one"))
    monkeypatch.setattr("splatseg.training.trainer.train_step", bug)
    with pytest.raises(RuntimeError, match="off by one"):
        main(typed(TRAIN))
