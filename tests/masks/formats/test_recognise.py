"""What a folder holds is seen from its files; what cannot be read at all is refused."""

import json
import logging
import os

import numpy as np
import pytest
import torch

from splatseg.errors import SplatsegError
from splatseg.masks import Segments, write_label_map, write_segments
from splatseg.masks.formats import FORMATS, Photo, read_masks, recognize


def put(path, text=""):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def make_label_map(root):
    write_label_map(root / "cam0/0001.png", np.eye(6, 8, dtype=int))


def make_sam(root):
    put(root / "0001/metadata.csv")
    write_label_map(root / "0001/0.png", np.eye(6, 8, dtype=int))


def make_sam_json(root):
    put(root / "0001.json", json.dumps([{"segmentation": {}}]))


def make_sa1b(root):
    write_segments(root / "0001.json", Segments.from_masks(np.ones((1, 6, 8), bool)), "0001.jpg")


def make_no_records(root):
    put(root / "0001.json", " [ ]\n")


def make_saga(root):
    root.mkdir(parents=True)
    torch.save(torch.ones(1, 6, 8), root / "0001.pt")


def make_omniseg3d(root):
    root.mkdir(parents=True)
    np.savez(root / "0001.npz", indices=np.zeros((6, 8), int), correlation=np.ones((1, 1), int))


def make_garfield(root):
    put(root / "sam_data.hdf5")


def make_coco(root):
    put(root / "annotations/instances_default.json", '{"images": [], "annotations": []}')
    write_label_map(root / "images/default/0001.png", np.eye(6, 8, dtype=int))


def make_label_studio(root):
    put(root / "result.json", json.dumps({"images": [], "annotations": []}, indent=2))


def make_coco_panoptic(root):
    put(root / "a.json", '{"images": [], "annotations": [{"segments_info": []}]}')
    write_label_map(root / "a/0001.png", np.eye(6, 8, dtype=int))


MAKERS = {
    make_label_map: "label-map",
    make_sam: "sam",
    make_sam_json: "sam",
    make_sa1b: "sam",
    make_no_records: "sam",
    make_saga: "saga",
    make_omniseg3d: "omniseg3d",
    make_garfield: "garfield",
    make_coco: "coco",
    make_label_studio: "coco",
    make_coco_panoptic: "coco-panoptic",
}


@pytest.mark.parametrize("make", MAKERS)
def test_a_folder_is_recognized(tmp_path, make):
    make(tmp_path / "masks")
    assert recognize(tmp_path / "masks") == MAKERS[make]


@pytest.mark.parametrize(
    ("make", "file"),
    [
        (make_label_map, "cam0/0001.png"),
        (make_sa1b, "0001.json"),
        (make_saga, "0001.pt"),
        (make_omniseg3d, "0001.npz"),
        (make_garfield, "sam_data.hdf5"),
        (make_label_studio, "result.json"),
        (make_coco_panoptic, "a.json"),
    ],
)
def test_a_file_is_recognized(tmp_path, make, file):
    make(tmp_path / "masks")
    assert recognize(tmp_path / "masks" / file) == MAKERS[make]


def test_every_format_is_tried():
    assert set(MAKERS.values()) == set(FORMATS)


def test_several_formats_in_one_folder_need_a_name(tmp_path, photos):
    make_saga(tmp_path / "masks/a")
    make_omniseg3d(tmp_path / "masks/b")
    with pytest.raises(SplatsegError, match=r"several formats \(saga, omniseg3d\); name the one"):
        recognize(tmp_path / "masks")
    single = {"0001": photos["cam0/0001"]}
    assert read_masks(tmp_path / "masks", single, "saga").format == "saga"


def test_an_unknown_folder_is_told_what_it_holds(tmp_path):
    for name in ("a.jpg", "b.JPG", "notes", "empty.json", "results.json"):
        put(tmp_path / name)
    put(tmp_path / "results.json", '[{"image_id": 3, "segmentation": {}}]')
    put(tmp_path / "transforms.json", '{"frames": []}')
    with pytest.raises(
        SplatsegError, match=r"holds 3 \.json, 2 \.jpg, 1 other files, masks of no known format"
    ) as error:
        recognize(tmp_path)
    assert all(f"{name}: " in str(error.value) for name in FORMATS)


@pytest.mark.parametrize("name", ["a.jpg", "plain"])
def test_an_unknown_file_is_refused(tmp_path, name):
    put(tmp_path / name)
    with pytest.raises(SplatsegError, match="masks of no known format"):
        recognize(tmp_path / name)


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(SplatsegError, match="holds nothing, masks of no known format"):
        recognize(tmp_path)


def test_a_place_that_does_not_exist_is_refused(tmp_path, photos):
    for format in (None, "saga"):
        with pytest.raises(SplatsegError, match="nowhere does not exist"):
            read_masks(tmp_path / "nowhere", photos, format)


def test_another_tools_whole_data_folder_is_refused(tmp_path, photos):
    write_label_map(tmp_path / "images/0001.png", np.eye(6, 8, dtype=int))
    write_label_map(tmp_path / "seg_masks/0001.png", np.eye(6, 8, dtype=int))
    for format in (None, "label-map"):
        with pytest.raises(SplatsegError, match=r"more than masks; name .* as .*seg_masks$"):
            read_masks(tmp_path, photos, format)


def test_an_unknown_format_lists_those_there_are(tmp_path, photos):
    with pytest.raises(SplatsegError, match="no mask format png; there are label-map, sam, saga"):
        read_masks(tmp_path, photos, "png")


@pytest.mark.parametrize("format", FORMATS)
def test_a_folder_without_such_files_is_refused(tmp_path, photos, format):
    with pytest.raises(SplatsegError, match=str(tmp_path)):
        read_masks(tmp_path, photos, format)


# What all imports share


def test_masks_are_read_one_photo_at_a_time(tmp_path, photos):
    make_label_map(tmp_path)
    write_label_map(tmp_path / "cam0/0002.png", np.eye(6, 8, dtype=int))
    found = read_masks(tmp_path, photos)
    assert len(found) == 2
    os.remove(tmp_path / "cam0/0002.png")
    frames = iter(found)
    assert next(frames)[0] == "cam0/0001"
    with pytest.raises(SplatsegError, match=r"0002\.png"):
        next(frames)


def test_masks_of_a_downscaled_photo_keep_their_size(tmp_path, caplog):
    photos = {name: Photo(f"{name}.jpg", (31, 23)) for name in "abc"}
    for name, size in (("a", (6, 8)), ("b", (23, 31)), ("c", (12, 16))):
        write_label_map(tmp_path / f"{name}.png", np.eye(*size, dtype=int))
    sizes = {frame: (found.width, found.height) for frame, found in read_masks(tmp_path, photos)}
    assert sizes == {"a": (8, 6), "b": (31, 23), "c": (16, 12)}
    assert caplog.text.count("another size") == 1
    assert "2 of 3 photos have masks of another size, which is kept: those of a are 8x6, " in (
        caplog.text
    )
    assert "0.258 times its 31x23" in caplog.text


def test_masks_of_the_photos_size_need_no_notice(tmp_path, photos, caplog):
    make_label_map(tmp_path)
    with caplog.at_level(logging.WARNING):
        assert len(list(read_masks(tmp_path, photos))) == 1
    assert not caplog.records


def test_masks_of_another_shape_are_refused_by_name(tmp_path, photos):
    write_label_map(tmp_path / "0001.png", np.eye(8, 6, dtype=int))
    with pytest.raises(SplatsegError, match=r"0001\.png is 6x8 but its photo is 8x6"):
        list(read_masks(tmp_path, photos))
