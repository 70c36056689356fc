"""Poses and sparse points for photos that have none, through pycolmap.

`prepare`, `find_features`, `choose_pairs`, `match_pairs`, `find_poses` and `write_model` follow
each other. What they find is kept in `.splatseg/reconstruction/` of the capture: a COLMAP database,
and the photos that it is about, by size and modification time. An interrupted step goes on where it
was; when photos are added, replaced or removed, what is known of the others is kept.

A photo's id in a database is its place among the photos, from 1. All seeds are 0. Scales of
features are in pixels of the photo once its longest side is at most LONGEST_SIDE.
"""

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import numpy as np
import pycolmap
from jaxtyping import Bool, UInt8

from splatseg.capture.frame import PHOTO_FOLDER
from splatseg.capture.photo import lens_tags, photo_size
from splatseg.errors import SplatsegError
from splatseg.files import replacing_folder
from splatseg.progress import SILENT, Progress
from splatseg.sfm.config import CameraSharing
from splatseg.sfm.gather import MIN_PHOTOS
from splatseg.sfm.pairs import (
    ALL_PAIRS_UP_TO,
    learn_words,
    neighbor_pairs,
    sample_rows,
    similar_pairs,
    vlad,
)

WORK_FOLDER = Path(".splatseg", "reconstruction")
MODEL_FOLDER = Path("sparse", "0")
DATABASE, STATE_FILE, PAIR_FILE = "database.db", "state.json", "pairs.txt"
RECORD_FILE = "capture.json"

LONGEST_SIDE = 1600  # SIFT doubles it, and takes about 0.45 GB a thread then
FEATURES = 4096
MAX_FEATURE_THREADS = 4  # for the memory
PHOTOS_PER_THREAD = 2  # between updates of progress
PAIRS_PER_THREAD = 32  # likewise
MIN_INLIERS = 15  # COLMAP's: with fewer a pair is not verified

# Fine texture repeats (weave, print, wood grain) and verifies pairs that show different places, by
# up to 120 matches of small features in the captures measured, but never by three of coarse ones.
COARSE_PIXELS = 2.0
MIN_COARSE_MATCHES = 3
FEW = 0.5  # of the photos: if fewer are placed, the scene may have no coarse features

# Distortion in full needs a camera with many photos; of a few, no more is told than this.
SHARED_LENS, LONE_LENS = "OPENCV", "SIMPLE_RADIAL"
SHARED_FROM = 10  # photos
DEFAULT_FOCAL = 1.2  # times the longest side, COLMAP's guess where EXIF tells nothing

T = TypeVar("T")
Pair = tuple[int, int]
"""Two photos' ids, the smaller first."""


@dataclass(frozen=True)
class Work:
    """A reconstruction under way."""

    root: Path
    state: dict[str, Any]
    """`state_of` the photos."""
    threads: int

    @property
    def photos(self) -> tuple[str, ...]:
        """Under `images/`."""
        return tuple(self.state["photos"])

    @property
    def folder(self) -> Path:
        """What is kept between runs."""
        return self.root / WORK_FOLDER

    @property
    def database(self) -> Path:
        """Cameras, features and matches."""
        return self.folder / DATABASE


@dataclass(frozen=True)
class Reconstruction:
    """The largest model, and how many photos each of the others places."""

    model: pycolmap.Reconstruction
    others: tuple[int, ...]

    @property
    def placed(self) -> frozenset[str]:
        """The photos with a pose."""
        return frozenset(self.model.images[i].name for i in self.model.reg_image_ids())


def state_of(root: Path, photos: Sequence[str], sharing: CameraSharing) -> dict[str, Any]:
    """What a reconstruction depends on, ready for JSON."""
    stats = {photo: (root / PHOTO_FOLDER / photo).stat() for photo in photos}
    return {
        "version": 1,
        "photos": {photo: [stat.st_size, stat.st_mtime_ns] for photo, stat in stats.items()},
        "features": {"longest_side": LONGEST_SIDE, "count": FEATURES},
        "cameras": sharing,
    }


def read_record(root: Path) -> dict[str, Any] | None:
    """What `write_model` noted beside the model in `sparse/0`, if that made it."""
    return _read_json(root / MODEL_FOLDER / RECORD_FILE)


def prepare(root: Path, photos: Sequence[str], sharing: CameraSharing, threads: int) -> Work:
    """Make the database for these photos, with all that an earlier one knows of them."""
    if not hasattr(pycolmap, "match_image_pairs"):
        raise SplatsegError(
            f"pycolmap {pycolmap.__version__} is installed",
            expected="pycolmap 4 or later, to find poses",
            remedy="pip install -U pycolmap",
        )
    state = state_of(root, photos, sharing)
    work = Work(root, state, threads)
    before = _read_json(work.folder / STATE_FILE)
    if before == state:
        return work
    with replacing_folder(work.folder) as folder, _pycolmap(work):
        with pycolmap.Database.open(folder / DATABASE) as database:
            for group in _camera_groups(root, photos, sharing):
                _add_camera(database, root, photos, group)
            if before is not None and before["features"] == state["features"]:
                with _opened(work) as known:
                    _carry_over(known, database, before, state)
        (folder / STATE_FILE).write_text(json.dumps(state))
    return work


def without_features(work: Work) -> list[str]:
    """The photos whose features are still to be found."""
    with _opened(work) as database:
        return [photo for i, photo in enumerate(work.photos, 1) if not _has_features(database, i)]


def find_features(work: Work, photos: Sequence[str], progress: Progress = SILENT) -> None:
    """Find the SIFT features of these photos."""
    with _opened(work) as database:
        _name_images(database, work.photos)
    options = pycolmap.FeatureExtractionOptions()
    options.num_threads = min(work.threads, MAX_FEATURE_THREADS)
    options.max_image_size = LONGEST_SIDE
    options.sift.max_num_features = FEATURES
    with _pycolmap(work):
        for block in _blocks(
            photos, PHOTOS_PER_THREAD * options.num_threads, progress, "finding features"
        ):
            pycolmap.extract_features(
                work.database,
                work.root / PHOTO_FOLDER,
                image_names=block,
                extraction_options=options,
                device=pycolmap.Device.cpu,
            )


def choose_pairs(work: Work) -> list[Pair]:
    """The pairs of photos to match, as ids: all of a few photos, else neighbors and similar."""
    count = len(work.photos)
    if count <= ALL_PAIRS_UP_TO:
        return list(combinations(range(1, count + 1), 2))
    with _opened(work) as database:
        words = learn_words([sample_rows(_descriptors(database, i + 1)) for i in range(count)])
        vectors = np.stack([vlad(_descriptors(database, i + 1), words) for i in range(count)])
    chosen = neighbor_pairs(work.photos) | similar_pairs(vectors)
    return sorted((i + 1, j + 1) for i, j in chosen)


def without_matches(work: Work, pairs: Sequence[Pair]) -> list[Pair]:
    """The pairs that are still to be matched and verified."""
    with _opened(work) as database:
        return [pair for pair in pairs if not _is_matched(database, *pair)]


def match_pairs(work: Work, pairs: Sequence[Pair], progress: Progress = SILENT) -> None:
    """Match the features of these pairs, and verify the matches."""
    with _opened(work) as database:
        # A list of pairs has names between spaces, which photos' own names may contain.
        _name_images(database, [str(i) for i in range(1, len(work.photos) + 1)])
    matching, pairing = pycolmap.FeatureMatchingOptions(), pycolmap.ImportedPairingOptions()
    matching.num_threads = work.threads
    pairing.match_list_path = work.folder / PAIR_FILE
    verification = pycolmap.TwoViewGeometryOptions()
    verification.ransac.random_seed = 0
    with _pycolmap(work):
        for block in _blocks(pairs, PAIRS_PER_THREAD * work.threads, progress, "matching pairs"):
            (work.folder / PAIR_FILE).write_text("".join(f"{i} {j}\n" for i, j in block))
            pycolmap.match_image_pairs(
                work.database,
                matching_options=matching,
                pairing_options=pairing,
                verification_options=verification,
                device=pycolmap.Device.cpu,
            )


def find_poses(work: Work, pairs: Sequence[Pair], progress: Progress = SILENT) -> Reconstruction:
    """Find the model that places most photos, from those of `pairs` that agree in coarse features.

    If these place less than half of the photos, in whatever models, all verified pairs are tried.

    Raises:
        SplatsegError: no model places three photos or more.
    """
    coarse = _coarse_matches(work, pairs)
    models = _map(work, [pair for pair in coarse if coarse[pair] >= MIN_COARSE_MATCHES], progress)
    if sum(map(_size, models)) < FEW * len(work.photos):
        retried = _map(work, list(coarse), progress)
        models = max(models, retried, key=lambda tried: _size(tried[0]) if tried else 0)
    if not models:
        raise SplatsegError(
            f"no poses were found for the {len(work.photos)} photos in "
            f"{work.root / PHOTO_FOLDER}: too little is seen again from photo to photo, or all "
            "from one place",
            remedy=(
                "walk around something with texture, and take sharp photos, each overlapping "
                "the next by two thirds or more"
            ),
        )
    return Reconstruction(models[0], tuple(_size(model) for model in models[1:]))


def write_model(work: Work, found: Reconstruction) -> dict[str, Any]:
    """Write the model to `sparse/0`, with a record of what it was made from: the record."""
    model = found.model
    record = {
        "state": work.state,
        "photos": len(work.photos),
        "registered": _size(model),
        "unregistered": [photo for photo in work.photos if photo not in found.placed],
        "other_models": list(found.others),
        "points": model.num_points3D(),
        "cameras": model.num_cameras(),
        "reprojection_error": model.compute_mean_reprojection_error(),
    }
    with replacing_folder(work.root / MODEL_FOLDER) as folder:
        model.write_binary(folder)
        (folder / RECORD_FILE).write_text(json.dumps(record, indent=1))
    return record


def _camera_groups(root: Path, photos: Sequence[str], sharing: CameraSharing) -> list[list[str]]:
    """The photos that share a camera; those of different size never do."""
    groups: dict[Any, list[str]] = {}
    for photo in photos:
        path = root / PHOTO_FOLDER / photo
        owner: Any = photo
        if sharing != "photo":
            owner = lens_tags(path) if sharing == "auto" else PurePosixPath(photo).parent
        groups.setdefault((photo_size(path), owner), []).append(photo)
    return list(groups.values())


def _add_camera(
    database: pycolmap.Database, root: Path, photos: Sequence[str], group: Sequence[str]
) -> None:
    """A camera with the photos that it took."""
    path = root / PHOTO_FOLDER / group[0]
    width, height = photo_size(path)
    focal, known = DEFAULT_FOCAL * max(width, height), False
    with suppress(ValueError):  # a kind of file that pycolmap does not read gives no focal length
        guess = pycolmap.infer_camera_from_image(path)
        if guess.has_prior_focal_length:
            focal, known = guess.mean_focal_length(), True
    model = SHARED_LENS if len(group) >= SHARED_FROM else LONE_LENS
    camera = pycolmap.Camera.create_from_model_name(0, model, focal, width, height)
    camera.has_prior_focal_length = known
    camera.camera_id = database.write_camera(camera)
    rig = pycolmap.Rig()
    rig.add_ref_sensor(camera.sensor_id)
    rig.rig_id = database.write_rig(rig)
    for photo in group:
        image = pycolmap.Image(name=photo, camera_id=camera.camera_id)
        image.image_id = photos.index(photo) + 1
        database.write_image(image, use_image_id=True)
        frame = pycolmap.Frame()
        frame.rig_id = rig.rig_id
        frame.add_data_id(image.data_id)
        database.write_frame(frame)


def _carry_over(
    known: pycolmap.Database,
    database: pycolmap.Database,
    before: dict[str, Any],
    state: dict[str, Any],
) -> None:
    """Copy features and matches of the photos that are the same as before."""
    now = {photo: i for i, photo in enumerate(state["photos"], 1)}
    ids = {
        i: now[photo]
        for i, photo in enumerate(before["photos"], 1)
        if before["photos"][photo] == state["photos"].get(photo) and _has_features(known, i)
    }
    for old, new in ids.items():
        database.write_keypoints(new, known.read_keypoints(old))
        database.write_descriptors(new, known.read_descriptors(old))
    same_cameras = before["cameras"] == state["cameras"]  # verification goes by them
    for i, j in combinations(ids, 2):
        if known.exists_matches(i, j):
            database.write_matches(ids[i], ids[j], known.read_matches(i, j))
        if same_cameras and known.exists_two_view_geometry(i, j):
            pair = known.read_two_view_geometry(i, j)
            database.write_two_view_geometry(ids[i], ids[j], pair)


def _coarse_matches(work: Work, pairs: Sequence[Pair]) -> dict[Pair, int]:
    """For each verified pair of `pairs`, how many of its matches join two coarse features."""
    with _opened(work) as database:
        coarse = {i: _is_coarse(database, i) for i in range(1, len(work.photos) + 1)}
        counts = {}
        for i, j in pairs:
            matches = database.read_two_view_geometry(i, j).inlier_matches
            if len(matches) >= MIN_INLIERS:
                counts[i, j] = int(np.sum(coarse[i][matches[:, 0]] & coarse[j][matches[:, 1]]))
    return counts


def _is_coarse(database: pycolmap.Database, image_id: int) -> Bool[np.ndarray, " n"]:
    """Which features of the photo are coarse."""
    camera = database.read_camera(database.read_image(image_id).camera_id)
    shrunk = max(1.0, max(camera.width, camera.height) / LONGEST_SIDE)
    keypoints = database.read_keypoints(image_id)
    scales = keypoints[:, 2] if len(keypoints) else np.zeros(0)  # of none, there are no columns
    return scales >= COARSE_PIXELS * shrunk


def _map(work: Work, pairs: Sequence[Pair], progress: Progress) -> list[pycolmap.Reconstruction]:
    """Incremental mapping from these pairs: the models, the largest first."""
    options = pycolmap.IncrementalPipelineOptions()
    options.num_threads = work.threads
    options.min_num_matches = MIN_INLIERS
    options.min_model_size = MIN_PHOTOS
    options.random_seed = options.mapper.random_seed = 0
    placed = 0

    def place(count: int) -> None:
        nonlocal placed
        placed = count
        progress.update("placing photos", placed, len(work.photos))

    place(0)
    with TemporaryDirectory(dir=work.folder) as name, _pycolmap(work):
        folder = Path(name)
        _write_mapping_database(work, folder / DATABASE, pairs)
        models = pycolmap.incremental_mapping(
            folder / DATABASE,
            work.root / PHOTO_FOLDER,
            folder,
            options=options,
            initial_image_pair_callback=lambda: place(2),
            next_image_callback=lambda: place(placed + 1),
        )
    whole = [model for model in models.values() if _size(model) >= MIN_PHOTOS]
    return sorted(whole, key=_size, reverse=True)


def _write_mapping_database(work: Work, path: Path, pairs: Sequence[Pair]) -> None:
    """What mapping reads, for these pairs only, with the photos' own names."""
    with _opened(work) as known, pycolmap.Database.open(path) as database:
        for camera in known.read_all_cameras():
            database.write_camera(camera, use_camera_id=True)
        for rig in known.read_all_rigs():
            database.write_rig(rig, use_rig_id=True)
        for frame in known.read_all_frames():
            database.write_frame(frame, use_frame_id=True)
        for image in known.read_all_images():
            image.name = work.photos[image.image_id - 1]
            database.write_image(image, use_image_id=True)
            database.write_keypoints(image.image_id, known.read_keypoints(image.image_id))
        for i, j in pairs:
            database.write_two_view_geometry(i, j, known.read_two_view_geometry(i, j))


def _size(model: pycolmap.Reconstruction) -> int:
    return model.num_reg_images()


def _has_features(database: pycolmap.Database, image_id: int) -> bool:
    return database.exists_keypoints(image_id) and database.exists_descriptors(image_id)


def _is_matched(database: pycolmap.Database, i: int, j: int) -> bool:
    """Also if nothing matched: lists of all pairs pass those over."""
    return database.exists_matches(i, j) and database.exists_two_view_geometry(i, j)


def _descriptors(database: pycolmap.Database, image_id: int) -> UInt8[np.ndarray, "n d"]:
    return database.read_descriptors(image_id).data


def _name_images(database: pycolmap.Database, names: Sequence[str]) -> None:
    """Give the images these names, in the order of their ids."""
    for image in database.read_all_images():
        if image.name != names[image.image_id - 1]:
            image.name = names[image.image_id - 1]
            database.update_image(image)


def _blocks(items: Sequence[T], size: int, progress: Progress, stage: str) -> Iterator[Sequence[T]]:
    """Yield `size` items at a time, and update the stage with what has been gone through."""
    for start in range(0, len(items), size):
        progress.update(stage, start, len(items))
        yield items[start : start + size]
    if items:
        progress.update(stage, len(items), len(items))


@contextmanager
def _opened(work: Work) -> Iterator[pycolmap.Database]:
    """The database; it must be closed before pycolmap's own steps open it."""
    with _pycolmap(work), pycolmap.Database.open(work.database) as database:
        yield database


@contextmanager
def _pycolmap(work: Work) -> Iterator[None]:
    """Without pycolmap's log, which goes to stderr, and with a sentence if the database fails."""
    level = pycolmap.logging.minloglevel
    pycolmap.logging.minloglevel = int(pycolmap.logging.Level.FATAL)
    try:
        yield
    except RuntimeError as error:
        free = shutil.disk_usage(work.root).free / 1e6
        raise SplatsegError(
            f"pycolmap cannot work with {work.database} ({error}; {free:.3g} MB free)",
            remedy="make room on the disk, or begin anew with `restart` if the file is damaged",
        ) from error
    finally:
        pycolmap.logging.minloglevel = level


def _read_json(path: Path) -> dict[str, Any] | None:
    """A JSON object of our own, None if there is none, or half of one."""
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
