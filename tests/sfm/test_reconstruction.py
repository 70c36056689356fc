"""pycolmap places the photos of a tiny scene; what was found before is not done again."""

import math
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pycolmap
import pytest
from builders import textured_scene as scene
from builders.progress import Recorder

from splatseg.capture import Capture, load_capture
from splatseg.errors import SplatsegError
from splatseg.progress import SILENT, Canceled, Progress
from splatseg.sfm import reconstruction
from splatseg.sfm.config import CameraSharing
from splatseg.sfm.reconstruction import (
    choose_pairs,
    find_features,
    find_poses,
    match_pairs,
    prepare,
    read_record,
    state_of,
    without_features,
    without_matches,
    write_model,
)

VIEWS = 7
DEGREES = 0.5  # median rotation error of 320 x 240 photos; 0.1 is usual
FRACTION = 0.01  # of the distance between cameras


def photos_of(root: Path) -> list[str]:
    folder = root / "images"
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def reconstruct(
    root: Path, sharing: CameraSharing = "auto", progress: Progress = SILENT
) -> dict[str, Any]:
    """All steps; the record, and what was left to do."""
    work = prepare(root, photos_of(root), sharing, 1)
    new = without_features(work)
    find_features(work, new, progress)
    pairs = choose_pairs(work)
    unmatched = without_matches(work, pairs)
    match_pairs(work, unmatched, progress)
    record = write_model(work, find_poses(work, pairs, progress))
    return record | {"new": new, "matched": len(unmatched)}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A capture with poses: read it, or take `copy`."""
    root = tmp_path_factory.mktemp("made")
    scene.write_photos(root / "images", range(VIEWS))
    reconstruct(root)
    return root


@pytest.fixture
def copy(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "copy"))


def pose_errors(capture: Capture) -> tuple[float, float]:
    """Largest errors of relative rotation, in degrees, and of distance, as a fraction."""
    found = [frame.camera.cam_from_world.numpy() for frame in capture.frames]
    views = [int(frame.name.split("_")[1]) for frame in capture.frames]
    known = [scene.camera(view) for view in views]
    turns, ratios = [], []
    for i in range(len(views)):
        for j in range(i):
            a, b = (p[i][:3, :3] @ p[j][:3, :3].T for p in (found, known))
            turns.append(math.degrees(math.acos(min(1.0, (np.trace(a @ b.T) - 1) / 2))))
            ends = [[-p[k][:3, :3].T @ p[k][:3, 3] for k in (i, j)] for p in (found, known)]
            lengths = [float(np.linalg.norm(a - b)) for a, b in ends]
            ratios.append(lengths[0] / lengths[1])
    return max(turns), float(np.ptp(ratios) / np.mean(ratios))


def test_poses_are_those_that_the_photos_were_made_from(made: Path) -> None:
    capture = load_capture(made)
    assert len(capture.frames) == VIEWS and len(capture.points) > 200
    degrees, fraction = pose_errors(capture)
    assert degrees < DEGREES and fraction < FRACTION * VIEWS
    assert abs(capture.frames[0].lens.pinhole()[0] / scene.FOCAL - 1) < 0.02
    assert np.ptp(capture.colors.astype(int), axis=0).min() > 100  # the photos' own
    record = read_record(made)
    assert record is not None and record["state"] == state_of(made, photos_of(made), "auto")
    assert (record["registered"], record["unregistered"], record["other_models"]) == (VIEWS, [], [])
    assert 0 < record["reprojection_error"] < 1


def test_the_same_again_does_nothing_again_and_gives_the_same(copy: Path, made: Path) -> None:
    record = reconstruct(copy)
    assert record["new"] == [] and record["matched"] == 0
    for name in ("images.bin", "points3D.bin", "cameras.bin"):
        path = Path("sparse", "0", name)
        assert (copy / path).read_bytes() == (made / path).read_bytes()


def test_added_and_replaced_photos_alone_are_new(copy: Path) -> None:
    scene.write_photos(copy / "images", range(VIEWS, VIEWS + 1))
    replaced = copy / "images" / "view_2.png"
    os.utime(replaced, ns=(0, replaced.stat().st_mtime_ns + 1))
    record = reconstruct(copy)
    assert record["new"] == ["view_2.png", f"view_{VIEWS}.png"]
    assert record["matched"] == (VIEWS - 1) + VIEWS
    assert record["registered"] == VIEWS + 1


def test_removed_photos_and_other_cameras_keep_the_features(copy: Path) -> None:
    (copy / "images" / "view_0.png").unlink()
    work = prepare(copy, photos_of(copy), "photo", 1)
    assert without_features(work) == []
    pairs = choose_pairs(work)
    assert without_matches(work, pairs) == pairs  # verified again with these cameras


def test_canceling_loses_nothing_and_pycolmap_is_quiet(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconstruction, "PAIRS_PER_THREAD", 4)
    scene.write_photos(tmp_path / "images", range(6))
    left = []
    for stage, done in (("finding features", 2), ("matching pairs", 4), ("placing photos", 3)):
        with pytest.raises(Canceled):
            reconstruct(tmp_path, progress=Recorder(cancel_in=stage, cancel_at=done))
        work = prepare(tmp_path, photos_of(tmp_path), "auto", 1)
        left.append((len(without_features(work)), len(without_matches(work, choose_pairs(work)))))
    assert left == [(4, 15), (0, 11), (0, 0)]
    assert not (tmp_path / "sparse").exists()
    progress = Recorder()
    assert reconstruct(tmp_path, progress=progress)["registered"] == 6
    assert progress.updates == [("placing photos", done, 6) for done in (0, 2, 3, 4, 5, 6)]
    assert capfd.readouterr() == ("", "")


def test_two_places_give_the_larger_and_name_the_rest(copy: Path) -> None:
    scene.write_photos(copy / "images" / "other place", range(3), scene=1)
    record = reconstruct(copy)
    assert record["registered"] == VIEWS
    assert record["unregistered"] == [f"other place/view_{i}.png" for i in range(3)]
    assert record["other_models"] == [3]
    assert len(load_capture(copy).frames) == VIEWS


@pytest.mark.parametrize("has_features", [True, False])
def test_photos_that_show_nothing_in_common(has_features: bool, tmp_path: Path) -> None:
    for number in range(3):
        folder = tmp_path / "images" / str(number)
        scene.write_photos(folder, range(1), scene=number)
        if not has_features:
            scene.Image.new("RGB", (160, 120)).save(folder / "view_0.png")
    with pytest.raises(SplatsegError, match=r"no poses were found for the 3 photos.*two thirds"):
        reconstruct(tmp_path)
    assert not (tmp_path / "sparse").exists()


def test_many_photos_are_matched_with_neighbors_and_similar_ones(
    made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconstruction, "ALL_PAIRS_UP_TO", VIEWS - 1)
    pairs = choose_pairs(prepare(made, photos_of(made), "auto", 1))
    assert {(i, i + 1) for i in range(1, VIEWS)} <= set(pairs)
    assert pairs == sorted(set(pairs)) and all(1 <= i < j <= VIEWS for i, j in pairs)


@pytest.mark.parametrize(
    ("sharing", "count", "known", "models"),
    [
        ("auto", 2, 1, {"OPENCV", "SIMPLE_RADIAL"}),
        ("folder", 3, 1, {"OPENCV", "SIMPLE_RADIAL"}),
        ("photo", 14, 2, {"SIMPLE_RADIAL"}),
    ],
)
def test_cameras_are_shared(
    sharing: CameraSharing, count: int, known: int, models: set[str], tmp_path: Path
) -> None:
    exif = scene.Image.Exif()
    exif.get_ifd(0x8769)[0xA405] = 26  # the focal length on 35 mm film
    gray = scene.Image.new("L", (80, 60))
    for folder, size, saving in (("a", 11, {}), ("b", 1, {}), ("c", 2, {"exif": exif})):
        (tmp_path / "images" / folder).mkdir(parents=True)
        for number in range(size):
            gray.save(tmp_path / "images" / folder / f"{number}.jpg", **saving)
    work = prepare(tmp_path, photos_of(tmp_path), sharing, 1)
    with pycolmap.Database.open(work.database) as database:
        cameras = database.read_all_cameras()
    assert len(cameras) == count and {camera.model.name for camera in cameras} == models
    focal = [camera.mean_focal_length() for camera in cameras if camera.has_prior_focal_length]
    assert [round(length, 1) for length in focal] == [60.1] * known


def test_what_is_damaged_is_begun_again_or_named(copy: Path) -> None:
    folder = copy / ".splatseg" / "reconstruction"
    (folder / "database.db").write_bytes(b"no database" * 1000)
    with pytest.raises(SplatsegError, match=r"database\.db .* begin anew with `restart`"):
        reconstruct(copy)
    (folder / "state.json").write_bytes((folder / "state.json").read_bytes()[:50])
    assert len(without_features(prepare(copy, photos_of(copy), "auto", 1))) == VIEWS


def test_an_old_pycolmap(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(pycolmap, "match_image_pairs")
    with pytest.raises(SplatsegError, match=r"expected pycolmap 4 or later.* -U pycolmap"):
        prepare(made, photos_of(made), "auto", 1)
