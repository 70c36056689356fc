"""Mask files: what is written comes back; what is broken is named."""

import json
import os

import numpy as np
import pytest
from builders.mask_files import put
from hypothesis import given, settings
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image

from splatseg.errors import SplatsegError
from splatseg.masks import Segments, read_label_map, read_segments, write_label_map, write_segments
from splatseg.masks.files import read_size


@pytest.fixture
def segments():
    masks = np.random.default_rng(0).random((3, 5, 8)) > 0.6
    masks[1] = False
    return Segments.from_masks(masks, np.array([0.9, np.nan, 0.5]), np.array([np.nan, 0.25, 1.0]))


def sa1b(counts=(2, 1, 3), size=(2, 3), **changes):
    """One 2x3 mask with a single pixel, and `changes` to its annotation."""
    segmentation = {"size": size, "counts": counts}
    return {
        "image": {"file_name": "a.jpg", "width": 3, "height": 2},
        "annotations": [{"id": 7, "segmentation": segmentation} | changes],
    }


def test_json_is_sa1b_and_comes_back(tmp_path, segments):
    """It says how its masks were made, and readers pass over that."""
    path = tmp_path / "cam0" / "0001.json"
    write_segments(path, segments, "a.jpg", {"model": "sam", "grid": 16})
    read = read_segments(path)
    assert (read.height, read.width, read.rles) == (5, 8, segments.rles)
    np.testing.assert_array_equal(read.predicted_iou, segments.predicted_iou)
    np.testing.assert_array_equal(read.stability_score, segments.stability_score)
    data = json.loads(path.read_text())
    assert data["splatseg"] == {"model": "sam", "grid": 16}
    assert data["image"] == {"file_name": "a.jpg", "width": 8, "height": 5}
    assert [annotation["id"] for annotation in data["annotations"]] == [1, 2, 3]
    first, second, _ = data["annotations"]
    assert first["area"] == segments.mask(0).sum()
    assert first["bbox"] == segments.boxes[0].tolist()
    assert first["predicted_iou"] == 0.9 and "stability_score" not in first
    assert second["bbox"] == [0, 0, 0, 0] and second["area"] == 0


def test_uncompressed_counts_missing_qualities_and_an_empty_view(tmp_path):
    segments = read_segments(put(tmp_path / "a.json", sa1b(predicted_iou=None)))
    assert segments.masks().astype(int).tolist() == [[[0, 1, 0], [0, 0, 0]]]
    assert np.isnan(segments.predicted_iou).all() and np.isnan(segments.stability_score).all()
    empty = read_segments(put(tmp_path / "a.json", sa1b() | {"annotations": []}))
    assert empty.masks().shape == (0, 2, 3) and not empty.label_map().any()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ([], "expected an object at 'image', found null"),
        ({"image": {"width": 3, "height": 2}}, "expected a list at 'annotations', found null"),
        ({"image": {"width": "3", "height": 2}}, "expected a whole number at 'width', found \"3\""),
        ({"image": {"width": 0, "height": 2}, "annotations": []}, "its image is 0x2"),
        (sa1b() | {"annotations": [3]}, "annotation 1 of 1: expected an object"),
        (sa1b(segmentation=[[0, 1]]), r"an object at 'segmentation', found \[\[0, 1\]\]"),
        (sa1b([24], [4, 6]), r"its size \[h, w\] is \[4, 6\] but its image's is \[2, 3\]"),
        (sa1b([2, 1]), "do not add up to 3x2 pixels"),
        (sa1b([1.5, 4.5]), "not whole numbers"),
        (sa1b("zz"), "not a compressed run-length code"),
        (sa1b(None), "expected run lengths at 'counts', found null"),
        (sa1b([2**70]), "too large"),
        (sa1b(predicted_iou="high"), "a 'predicted_iou' is not a number"),
    ],
)
def test_json_of_another_form_is_refused_by_name(tmp_path, data, reason):
    if isinstance(data, dict):
        data = {"annotations": None} | data
    path = put(tmp_path / "frame.json", data)
    with pytest.raises(SplatsegError, match=rf"frame\.json is not an SA-1B mask file: .*{reason}"):
        read_segments(path)


def test_a_half_written_json_is_refused_at_every_length(tmp_path, segments):
    path = tmp_path / "frame.json"
    write_segments(path, segments, "a.jpg")
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(SplatsegError, match=r"frame\.json is not valid JSON .* half written"):
            read_segments(path)


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.json", b"\xff\xfe{}", "is not valid JSON"),
        ("a.json", b"[" * 100_000, "is not valid JSON"),
        ("a.json", None, "does not exist"),
        ("a.png", None, "cannot be read"),
        ("a.npy", None, "is no mask file"),
        ("a.png", "RGB", "is a RGB image; expected one label"),
        ("a.png", "RGBA", "is a RGBA image; expected one label"),
        ("a.png", "LA", "is a LA image; expected one label"),
        ("a.png", "CMYK", "cannot be read as PNG"),  # a JPEG
    ],
)
def test_other_files_are_refused_by_name(tmp_path, name, content, sentence):
    path = tmp_path / name
    if isinstance(content, str):
        Image.new(content, (4, 3)).save(path, format="JPEG" if content == "CMYK" else "PNG")
    elif content is not None:
        path.write_bytes(content)
    with pytest.raises(SplatsegError, match=f"{name} {sentence}"):
        read_segments(path)


@settings(derandomize=True, deadline=None, max_examples=30)
@given(arrays(np.uint16, array_shapes(min_dims=2, max_dims=2, max_side=9)))
def test_png_round_trip(tmp_path_factory, label_map):
    path = tmp_path_factory.mktemp("png") / "frame.png"
    write_label_map(path, label_map)
    read = read_label_map(path)
    assert np.array_equal(read, label_map)
    assert read.dtype == (np.uint8 if label_map.max() < 256 else np.uint16)
    assert len(read_segments(path)) == len(np.unique(label_map[label_map > 0]))


def test_palettes_are_read_as_indices_and_two_levels_as_one_segment(tmp_path):
    indices = np.array([[0, 2], [1, 2]], dtype=np.uint8)
    image = Image.fromarray(indices)
    image.putpalette([0, 0, 0, 9, 9, 9, 200, 0, 0])
    image.save(tmp_path / "a.png")
    assert np.array_equal(read_label_map(tmp_path / "a.png"), indices)
    mask = np.array([[True, False], [False, True]])
    Image.fromarray(mask).save(tmp_path / "a.png")
    assert np.array_equal(read_segments(tmp_path / "a.png").masks(), mask[None])


def test_a_truncated_png_is_refused_or_whole(tmp_path):
    label_map = np.random.default_rng(0).integers(0, 2**16, (9, 11))
    path = tmp_path / "frame.png"
    write_label_map(path, label_map)
    whole = path.read_bytes()
    refused = 0
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        try:
            assert np.array_equal(read_label_map(path), label_map)
        except SplatsegError as error:
            assert "frame.png cannot be read as PNG" in str(error)
            refused += 1
    # Only the last chunk (12 bytes) and the two checksums before it hold no pixels.
    assert refused >= len(whole) - 20


@pytest.mark.parametrize("label", [-1, 65536])
def test_labels_that_no_png_holds_are_refused(tmp_path, label):
    with pytest.raises(SplatsegError, match=r"frame\.png go from .*; expected 0 to 65535"):
        write_label_map(tmp_path / "frame.png", np.array([[0, label]]))
    assert not list(tmp_path.iterdir())


def test_a_failed_write_leaves_the_old_file_alone(tmp_path, segments, monkeypatch):
    path = tmp_path / "frame.json"
    write_segments(path, segments, "a.jpg")
    before = path.read_bytes()

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(SplatsegError, match="disk full"):
        write_segments(path, segments.resized(2, 2), "a.jpg")
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_size_of_what_this_package_writes(tmp_path, segments):
    write_segments(tmp_path / "a.json", segments, "a" * 300 + ".jpg", {"model": "sam"})
    write_label_map(tmp_path / "a.png", np.ones((5, 8), dtype=np.uint8))
    write_label_map(tmp_path / "b.PNG", np.full((5, 8), 300))
    assert [read_size(tmp_path / name) for name in ("a.json", "a.png", "b.PNG")] == [(8, 5)] * 3


@pytest.mark.parametrize(
    ("name", "content", "size"),
    [
        ("a.json", json.dumps(sa1b(), indent=2), (3, 2)),
        ("a.json", json.dumps(sa1b())[:80], (3, 2)),  # half written: the masks are not there
        ("a.json", json.dumps(dict(reversed(sa1b().items()))), None),  # the image comes last
        ("a.json", '{"image": {"width": 3, "height": 2', None),
        ("a.json", '{"image": {"width": "3", "height": 2}}', None),
        ("a.json", '{"image": [3, 2]}', None),
        ("a.json", "[" * 5000, None),
        ("a.json", "", None),
        ("a.json", "é\0", None),
        ("a.png", "", None),
        ("a.png", b"\x89PNG\r\n\x1a\n", None),
        ("a.png", b"GIF89a" + bytes(40), None),
    ],
)
def test_size_in_the_first_bytes(tmp_path, name, content, size):
    assert read_size(put(tmp_path / name, content)) == size


def test_size_of_a_file_that_cannot_be_read(tmp_path):
    (tmp_path / "a.json").mkdir()
    with pytest.raises(SplatsegError, match=r"a\.json cannot be read"):
        read_size(tmp_path / "a.json")
