"""Bad input: exit status 2, one sentence that names the culprit, no traceback, nothing lost."""

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pycolmap
import pytest
import torch
from PIL import Image

from splatseg.cli import main
from splatseg.scene import load_scene

QUICK = ("--iterations", "4", "--contrastive.interval", "1", "--spatial.interval", "2")

Refused = Callable[..., str]


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def edit_json(path: Path, change: Callable[[Any], None]) -> None:
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))


# Captures


def test_an_empty_folder(tmp_path: Path, refused: Refused) -> None:
    assert f"{tmp_path} holds no camera poses; expected a COLMAP model" in refused(
        "train", tmp_path
    )
    assert "nowhere does not exist; expected a capture" in refused("train", tmp_path / "nowhere")
    assert os.listdir(tmp_path) == []


def test_a_colmap_model_without_its_images(tmp_path: Path, synthetic, refused: Refused) -> None:
    model = pycolmap.Reconstruction()
    camera = pycolmap.Camera(camera_id=1, model="PINHOLE", width=96, height=72, params=[1e2] * 4)
    model.add_camera_with_trivial_rig(camera)
    image = pycolmap.Image(name="view_0.png", camera_id=1, image_id=1)
    model.add_image_with_trivial_frame(image, pycolmap.Rigid3d())
    (tmp_path / "sparse" / "0").mkdir(parents=True)
    model.write_text(tmp_path / "sparse" / "0")
    sentence = refused("train", tmp_path)
    assert "sparse/0 lists images/view_0.png, which is not in the capture" in sentence
    assert f"under {tmp_path / 'images'}" in sentence


def test_a_truncated_photo(capture_copy: Path, refused: Refused) -> None:
    for path in (capture_copy / "images").iterdir():
        path.write_bytes(path.read_bytes()[:2000])  # the header is whole
    sentence = refused("train", capture_copy, *QUICK)
    assert "view_" in sentence and "cannot be read as a photo" in sentence
    assert "replace the file or remove it" in sentence


def test_a_photo_that_is_none(capture_copy: Path, refused: Refused) -> None:
    (capture_copy / "images" / "view_3.png").write_bytes(b"not a photo")
    assert "view_3.png cannot be read as a photo" in refused("train", capture_copy, *QUICK)


@pytest.mark.parametrize(
    ("number", "reason"), [(float("nan"), "NaN or infinity"), (0.0, "is not a rotation")]
)
def test_a_pose_that_is_none(
    number: float, reason: str, capture_copy: Path, refused: Refused
) -> None:
    def spoil(data: Any) -> None:
        data["frames"][4]["transform_matrix"][0] = [number] * 4

    edit_json(capture_copy / "transforms.json", spoil)
    sentence = refused("train", capture_copy, *QUICK)
    assert "view_4" in sentence and "transforms.json" in sentence and reason in sentence


def test_a_pose_file_that_is_none(capture_copy: Path, tmp_path: Path, refused: Refused) -> None:
    (capture_copy / "transforms.json").write_text('{"frames": [')
    assert "transforms.json is not valid JSON" in refused("train", capture_copy)
    assert "nowhere holds no camera poses" in refused(
        "train", capture_copy, "--poses", tmp_path / "nowhere"
    )


# Masks


def test_masks_of_another_shape(capture_copy: Path, refused: Refused) -> None:
    folder = capture_copy / "masks" / "noisy"
    for path in list(folder.iterdir()):
        Image.fromarray(np.ones((72, 72), dtype=np.uint8)).save(path.with_suffix(".png"))
        path.unlink()
    sentence = refused("train", capture_copy, *QUICK)
    assert "masks/noisy/view_" in sentence
    assert "is 72x72 but its photo is 96x72; make it at the photo's size" in sentence


def test_masks_of_unknown_frames_only(capture_copy: Path, refused: Refused) -> None:
    folder = capture_copy / "masks" / "noisy"
    for path in list(folder.iterdir()):
        path.rename(folder / f"other_{path.name}")
    sentence = refused("train", capture_copy, *QUICK)
    assert "has masks for none of the capture's 10 frames" in sentence
    assert "other_view_0.json" in sentence and "a frame is view_0" in sentence


def test_masks_that_are_no_masks(capture_copy: Path, refused: Refused) -> None:
    for path in (capture_copy / "masks" / "noisy").iterdir():
        path.write_text("{")
    assert "json is not valid JSON" in refused("train", capture_copy, *QUICK)


def test_no_masks_and_an_unknown_name(capture_copy: Path, refused: Refused) -> None:
    sentence = refused("train", capture_copy, "--masks", "sam")
    assert "has no mask set sam; it has noisy" in sentence
    shutil.copytree(capture_copy / "masks" / "noisy", capture_copy / "masks" / "clean")
    sentence = refused("train", capture_copy)
    assert "2 mask sets (clean, noisy); choose one with --masks NAME" in sentence
    shutil.rmtree(capture_copy / "masks")
    assert "masks holds no mask set" in refused("train", capture_copy)
    assert not (capture_copy / "splatseg").exists()


# Settings


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--preset", "best"), "there is no preset best; choose from paper, plus, rgb"),
        (("--preset=best",), "there is no preset best; choose from paper, plus, rgb"),
        (("--iterations", "0"), "iterations is 0; expected at least 1"),
        (("--seed", "-1"), "seed is -1; expected 0 or more"),
        (("--threads", "0"), "--threads is 0; expected at least 1"),
        (("--downscale", "0"), "the downscale factor is 0"),
    ],
)
def test_settings_out_of_range(arguments, sentence: str, synthetic, refused: Refused) -> None:
    assert sentence in refused("train", synthetic.root, *arguments)


@pytest.mark.parametrize("arguments", [(), ("trian",), ("train",), ("train", "x", "--iter", "3")])
def test_a_command_line_that_does_not_parse(arguments, capsys) -> None:
    with pytest.raises(SystemExit) as caught:
        main(list(arguments))
    assert caught.value.code == 2
    out, err = capsys.readouterr()
    assert out == "" and err != "" and "Traceback" not in err


# Scenes


def test_a_folder_that_is_no_scene(tmp_path: Path, synthetic, refused: Refused) -> None:
    for command in (
        ("pick", tmp_path, "--at", "view_0:1,1"),
        ("cluster", tmp_path),
        ("render", tmp_path),
        ("evaluate", tmp_path, synthetic.root),
    ):
        sentence = refused(*command)
        assert "it has no manifest.json; expected a folder that `splatseg train` wrote" in sentence
    assert os.listdir(tmp_path) == []


def drop_property(path: Path, name: bytes) -> None:
    path.write_bytes(path.read_bytes().replace(b"property float " + name + b"\n", b""))


def test_a_ply_with_a_missing_property(scene_copy: Path, refused: Refused) -> None:
    ply = scene_copy / "scene.ply"
    drop_property(ply, b"opacity")
    assert "scene.ply is not the file that was saved" in refused("render", scene_copy)
    checksum = hashlib.sha256(ply.read_bytes()).hexdigest()
    edit_json(
        scene_copy / "manifest.json", lambda data: data["files"].update({"scene.ply": checksum})
    )
    assert "scene.ply has no property opacity" in refused("render", scene_copy)


def test_a_scene_of_a_newer_version(scene_copy: Path, refused: Refused) -> None:
    edit_json(scene_copy / "manifest.json", lambda data: data.update(schema=99))
    before = contents(scene_copy)
    sentence = refused("cluster", scene_copy)
    assert "written by a newer splatseg (schema 99" in sentence and "update splatseg" in sentence
    assert contents(scene_copy) == before


# Picks


@pytest.mark.parametrize(
    ("at", "sentence"),
    [
        ("view_0", "--at view_0 is not FRAME:X,Y, as in frame_00012:320,240"),
        ("view_0:96,10", "lies outside view_0, whose photo is 96x72"),
        ("view_0:2,2", "in view_0 is on empty background; click on something"),
        ("view_99:2,2", "there is no frame view_99; the scene has view_0, view_1, view_2"),
    ],
)
def test_a_click_that_hits_nothing(at: str, sentence: str, scene_copy, refused: Refused) -> None:
    before = contents(scene_copy)
    assert sentence in refused("pick", scene_copy, "--at", at)
    assert contents(scene_copy) == before


def test_a_threshold_that_is_no_cosine(scene_copy: Path, refused: Refused) -> None:
    command = ("pick", scene_copy, "--at", "view_0:2,2", "--threshold")
    for value in ("1.5", "nan"):
        assert f"--threshold is {value}; expected a cosine" in refused(*command, value)


@pytest.mark.parametrize("verb", [("pick", "--at", "view_4:48,60"), ("render",)])
def test_a_level_that_a_scene_lacks(
    refused: Refused, scene_copy: Path, verb: tuple[str, ...]
) -> None:
    sentence = refused(verb[0], scene_copy, *verb[1:], "--level", "part")
    assert "has no level part, only whole objects" in sentence


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/tmp"])
def test_a_name_that_is_a_path(name: str, scene_copy: Path, refused: Refused) -> None:
    """A pick replaces its whole folder: `..` would be the scene."""
    before = contents(scene_copy)
    sentence = refused("pick", scene_copy, "--at", "view_4:48,60", "--name", name)
    assert "expected a folder's name" in sentence
    assert contents(scene_copy) == before


def test_a_pick_takes_the_place_of_nothing_but_a_pick(scene_copy: Path, refused: Refused) -> None:
    command = ("pick", scene_copy, "--at", "view_4:48,60", "-o")
    before = contents(scene_copy)
    assert "which is no part of a pick" in refused(*command, scene_copy)
    (scene_copy.parent / "file").write_text("mine")
    assert "is a file; expected a folder" in refused(*command, scene_copy.parent / "file")
    assert contents(scene_copy) == before
    assert (scene_copy.parent / "file").read_text() == "mine"


def test_a_scene_without_features(capture_copy: Path, refused: Refused) -> None:
    assert main(["train", str(capture_copy), "--preset", "rgb", "--iterations", "3"]) == 0
    scene = capture_copy / "splatseg"
    for command in (
        ("pick", scene, "--at", "view_4:48,60"),
        ("cluster", scene),
        ("render", scene, "--kinds", "features"),
        ("evaluate", scene, capture_copy, "--protocol", "click"),
    ):
        assert "the scene has no segmentation features" in refused(*command)
    assert main(["render", str(scene)]) == 0  # what it has, it renders


# Renders and figures


def test_renders_of_what_is_not_there(scene_copy: Path, refused: Refused) -> None:
    command = ("render", scene_copy, "--kinds")
    assert f"run splatseg cluster {scene_copy} first" in refused(*command, "clusters")
    assert "give the name of one as --pick" in refused(*command, "pick")
    assert "run splatseg pick" in refused(*command, "pick", "--pick", "cup")
    edit_json(scene_copy / "manifest.json", lambda data: data.update(capture="/moved/away"))
    assert "/moved/away has no photo images/view_1.png" in refused(*command, "photo")


def test_a_damaged_pick_is_named(scene_copy: Path, synthetic, refused: Refused) -> None:
    x, y = synthetic.click(1, "view_0")
    assert main(["pick", str(scene_copy), "--at", f"view_0:{x},{y}"]) == 0
    mask = scene_copy / "picks" / "object" / "masks" / "view_1.png"
    mask.write_bytes(mask.read_bytes()[:40])
    sentence = refused("render", scene_copy, "--kinds", "pick", "--pick", "object")
    assert f"{mask} cannot be read as PNG" in sentence


def test_figures_without_a_truth(scene_copy: Path, capture_copy: Path, refused: Refused) -> None:
    command = ("evaluate", scene_copy, capture_copy, "--protocol")
    assert "run splatseg cluster on it" in refused(*command, "clusters")
    (capture_copy / "prompts.json").unlink()
    assert "prompts.json does not exist" in refused(*command, "click3")
    shutil.rmtree(capture_copy / "gt_instances")
    assert "no training view has ground truth in gt_instances/" in refused(*command, "click")
    (capture_copy / "objects.json").unlink()
    assert (
        "objects.json does not exist; expected the objects of a capture with ground truth"
        in refused(*command, "click")
    )
    assert not (scene_copy / "evaluation").exists()


def test_figures_of_prompts_without_their_files(
    scene_copy: Path, capture_copy: Path, refused: Refused
) -> None:
    command = ("evaluate", scene_copy, capture_copy, "--protocol")
    grounding = ("--grounding", capture_copy / "images")
    assert "the protocol text needs what finds its prompts" in refused(*command, "text")
    assert "for the protocols text and 3d-ovs" in refused(*command, "click", *grounding)
    both = (*grounding, "--boxes", capture_copy / "boxes.json")
    assert "no flag for a detector or its boxes goes with it" in refused(*command, "text", *both)
    assert "test_mask; this protocol reads <view>/<prompt>.png" in refused(
        *command, "text", *grounding
    )
    assert "segmentations; this protocol reads classes.txt" in refused(
        *command, "3d-ovs", *grounding
    )
    mask = capture_copy / "test_mask" / "3" / "cup.png"
    mask.parent.mkdir(parents=True)
    mask.write_bytes(b"no mask")
    assert "numbers its views up to 3, but the scene holds out 2 frames" in refused(
        *command, "text", *grounding
    )
    mask.parent.rename(mask.parents[1] / "1")
    assert "images has an answer to none of the 1 prompts" in refused(*command, "text", *grounding)
    assert not (scene_copy / "evaluation").exists()


def test_points_that_are_none(scene_copy: Path, capture_copy: Path, refused: Refused) -> None:
    (capture_copy / "points_gt.npz").write_bytes(b"no points")
    assert "points_gt.npz cannot be read" in refused(
        "evaluate", scene_copy, capture_copy, "--protocol", "click3d"
    )


# The machine


def test_a_file_in_the_place_of_the_output(
    capture_copy: Path, scene_copy: Path, tmp_path: Path, refused: Refused
) -> None:
    file = tmp_path / "file"
    file.write_text("mine")
    assert "cannot write" in refused("train", capture_copy, "-o", file, *QUICK)
    assert "cannot write" in refused("train", capture_copy, "-o", file / "scene", *QUICK)
    assert "cannot write" in refused("render", scene_copy, "-o", file)
    assert file.read_text() == "mine"


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EACCES])
@pytest.mark.parametrize("verb", ["pick", "cluster", "render", "evaluate"])
def test_a_disk_that_is_full_or_forbidden(
    verb: str, code: int, scene_copy: Path, synthetic, refused: Refused, monkeypatch
) -> None:
    x, y = synthetic.click(1, "view_0")
    more = {"pick": ("--at", f"view_0:{x},{y}"), "evaluate": (synthetic.root,)}
    before = contents(scene_copy)

    def fail(*arguments: object) -> None:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr("os.replace", fail)
        sentence = refused(verb, scene_copy, *more.get(verb, ()))
    assert "cannot write" in sentence and os.strerror(code) in sentence
    assert str(scene_copy) in sentence and "unchanged" in sentence
    assert contents(scene_copy) == before
    load_scene(scene_copy)


def test_a_full_disk_while_training(capture_copy: Path, refused: Refused, monkeypatch) -> None:
    def fail(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    command = ("train", capture_copy, *QUICK, "--checkpoint-interval", "2")
    with monkeypatch.context() as patch:
        patch.setattr("splatseg.scene.scene.write_ply", fail)  # when the scene itself is saved
        assert "No space left" in refused(*command)
    assert (capture_copy / "splatseg" / "checkpoints" / "latest.safetensors").is_file()
    assert main([*map(str, command)]) == 0
    load_scene(capture_copy / "splatseg")


def torch_runs_out() -> None:
    torch.empty(2**50)


def numpy_runs_out() -> None:
    np.empty(2**50)


def engine_runs_out() -> None:
    raise MemoryError("not enough memory to bin 9 Gaussians")


def gpu_runs_out() -> None:
    raise torch.cuda.OutOfMemoryError(
        "CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has a total capacity of 8.00 GiB"
    )


@pytest.mark.parametrize("run_out", [torch_runs_out, numpy_runs_out, engine_runs_out, gpu_runs_out])
def test_no_memory(run_out, synthetic, tmp_path: Path, refused: Refused, monkeypatch) -> None:
    monkeypatch.setattr("splatseg.training.trainer.train_step", lambda *arguments: run_out())
    sentence = refused("train", synthetic.root, "-o", tmp_path, *QUICK)
    found = "GPU memory (Tried to allocate 20.00 GiB)" if run_out is gpu_runs_out else "memory ("
    assert f"out of {found}" in sentence and "--max-gaussians" in sentence


def test_a_bug_keeps_its_traceback(synthetic, tmp_path: Path, monkeypatch) -> None:
    def bug(*arguments: object) -> None:
        raise RuntimeError("an index is off by one")

    monkeypatch.setattr("splatseg.training.trainer.train_step", bug)
    with pytest.raises(RuntimeError, match="off by one"):
        main(["train", str(synthetic.root), "-o", str(tmp_path), *QUICK])
