"""Mask files: what is written comes back; what is broken is named."""

import json
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image

from splatseg.errors import SplatsegError
from splatseg.masks import (
    Segments,
    read_label_map,
    read_segments,
    write_label_map,
    write_segments,
)
from splatseg.masks.files import read_size

repeatable = settings(derandomize=True, deadline=None, max_examples=30)


@pytest.fixture
def segments():
    masks = np.random.default_rng(0).random((3, 5, 8)) > 0.6
    masks[1] = False
    return Segments.from_masks(masks, np.array([0.9, np.nan, 0.5]), np.array([np.nan, 0.25, 1.0]))


def sa1b(**changes):
    """One 2x3 mask with a single pixel, and `changes` to its annotation."""
    annotation = {"id": 7, "segmentation": {"size": [2, 3], "counts": [2, 1, 3]}} | changes
    return {"image": {"file_name": "a.jpg", "width": 3, "height": 2}, "annotations": [annotation]}


def test_json_round_trip(tmp_path, segments):
    path = tmp_path / "cam0" / "0001.json"
    write_segments(path, segments, "cam0/0001.jpg")
    read = read_segments(path)
    assert (read.height, read.width, read.rles) == (5, 8, segments.rles)
    np.testing.assert_array_equal(read.predicted_iou, segments.predicted_iou)
    np.testing.assert_array_equal(read.stability_score, segments.stability_score)


def test_json_is_sa1b(tmp_path, segments):
    write_segments(tmp_path / "a.json", segments, "a.jpg")
    data = json.loads((tmp_path / "a.json").read_text())
    assert data["image"] == {"file_name": "a.jpg", "width": 8, "height": 5}
    assert [annotation["id"] for annotation in data["annotations"]] == [1, 2, 3]
    first, second, _ = data["annotations"]
    assert first["area"] == segments.mask(0).sum()
    assert first["bbox"] == segments.boxes[0].tolist()
    assert first["predicted_iou"] == 0.9 and "stability_score" not in first
    assert second["bbox"] == [0, 0, 0, 0] and second["area"] == 0


def test_json_says_how_its_masks_were_made_and_readers_pass_over_it(tmp_path, segments):
    path = tmp_path / "a.json"
    write_segments(path, segments, "a.jpg", {"model": "sam", "grid": 16})
    assert json.loads(path.read_text())["splatseg"] == {"model": "sam", "grid": 16}
    assert read_segments(path).rles == segments.rles
    assert read_size(path) == (8, 5)


def test_uncompressed_counts_and_missing_qualities(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps(sa1b(predicted_iou=None)))
    segments = read_segments(tmp_path / "a.json")
    assert segments.masks().astype(int).tolist() == [[[0, 1, 0], [0, 0, 0]]]
    assert np.isnan(segments.predicted_iou).all() and np.isnan(segments.stability_score).all()


def test_json_without_annotations_is_an_empty_view(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps(sa1b() | {"annotations": []}))
    segments = read_segments(tmp_path / "a.json")
    assert len(segments) == 0
    assert segments.masks().shape == (0, 2, 3)
    assert not segments.label_map().any()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ([], "expected an object at 'image', found null"),
        ({"image": {"width": 3, "height": 2}}, "expected a list at 'annotations', found null"),
        (
            sa1b() | {"image": {"width": "3", "height": 2}},
            "expected a whole number at 'width', found \"3\"",
        ),
        (sa1b() | {"image": {"width": 0, "height": 2}}, "its image is 0x2"),
        (sa1b() | {"annotations": [3]}, "annotation 1 of 1: expected an object"),
        (
            sa1b(segmentation=[[0, 0, 1, 1]]),
            r"an object at 'segmentation', found \[\[0, 0, 1, 1\]\]",
        ),
        (
            sa1b(segmentation={"size": [4, 6], "counts": [24]}),
            r"its size \[h, w\] is \[4, 6\] but its image's is \[2, 3\]",
        ),
        (sa1b(segmentation={"size": [2, 3], "counts": [2, 1]}), "do not add up to 3x2 pixels"),
        (sa1b(segmentation={"size": [2, 3], "counts": [1.5, 4.5]}), "not whole numbers"),
        (sa1b(segmentation={"size": [2, 3], "counts": "zz"}), "not a compressed run-length code"),
        (
            sa1b(segmentation={"size": [2, 3], "counts": None}),
            "expected run lengths at 'counts', found null",
        ),
        (sa1b(segmentation={"size": [2, 3], "counts": [2**70]}), "too large"),
        (sa1b(predicted_iou="high"), "a 'predicted_iou' is not a number"),
    ],
)
def test_json_of_another_form_is_refused_by_name(tmp_path, data, reason):
    path = tmp_path / "frame.json"
    path.write_text(json.dumps(data))
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


@pytest.mark.parametrize("broken", [b"\xff\xfe{}", b"[" * 100_000])
def test_bytes_that_are_no_json_are_refused(tmp_path, broken):
    (tmp_path / "frame.json").write_bytes(broken)
    with pytest.raises(SplatsegError, match=r"frame\.json is not valid JSON"):
        read_segments(tmp_path / "frame.json")


@pytest.mark.parametrize(
    ("name", "sentence"),
    [("a.json", "does not exist"), ("a.png", "cannot be read"), ("a.npy", "is no mask file")],
)
def test_a_missing_file_is_named(tmp_path, name, sentence):
    with pytest.raises(SplatsegError, match=f"{name} {sentence}"):
        read_segments(tmp_path / name)


@repeatable
@given(arrays(np.uint16, array_shapes(min_dims=2, max_dims=2, max_side=9)))
def test_png_round_trip(tmp_path_factory, label_map):
    path = tmp_path_factory.mktemp("png") / "frame.png"
    write_label_map(path, label_map)
    read = read_label_map(path)
    assert np.array_equal(read, label_map)
    assert read.dtype == (np.uint8 if label_map.max() < 256 else np.uint16)
    assert len(read_segments(path)) == len(np.unique(label_map[label_map > 0]))


def test_palette_png_reads_indices(tmp_path):
    indices = np.array([[0, 2], [1, 2]], dtype=np.uint8)
    image = Image.fromarray(indices, mode=None)
    image.putpalette([0, 0, 0, 9, 9, 9, 200, 0, 0])
    image.save(tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as saved:
        assert saved.mode == "P"
    assert np.array_equal(read_label_map(tmp_path / "a.png"), indices)


def test_bilevel_png_is_one_segment(tmp_path):
    mask = np.array([[True, False], [False, True]])
    Image.fromarray(mask).save(tmp_path / "a.png")
    assert np.array_equal(read_segments(tmp_path / "a.png").masks(), mask[None])


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA"])
def test_color_png_is_refused(tmp_path, mode):
    Image.new(mode, (4, 3)).save(tmp_path / "frame.png")
    with pytest.raises(SplatsegError, match=rf"frame\.png is a {mode} image; expected one label"):
        read_segments(tmp_path / "frame.png")


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


def test_a_jpeg_named_png_is_refused(tmp_path):
    Image.new("L", (8, 8)).save(tmp_path / "frame.png", format="JPEG")
    with pytest.raises(SplatsegError, match=r"frame\.png cannot be read as PNG"):
        read_label_map(tmp_path / "frame.png")


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
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


# Sizes from the first bytes


def test_size_of_what_this_package_writes(tmp_path, segments):
    write_segments(tmp_path / "a.json", segments, "a" * 300 + ".jpg")
    write_label_map(tmp_path / "a.png", np.ones((5, 8), dtype=np.uint8))
    write_label_map(tmp_path / "b.PNG", np.full((5, 8), 300))
    assert [read_size(tmp_path / name) for name in ("a.json", "a.png", "b.PNG")] == [(8, 5)] * 3


@pytest.mark.parametrize(
    ("text", "size"),
    [
        (json.dumps(sa1b(), indent=2), (3, 2)),
        (json.dumps(sa1b())[:80], (3, 2)),  # half written: the size is there, the masks are not
        (json.dumps(dict(reversed(sa1b().items()))), None),  # the image comes last
        ('{"image": {"width": 3, "height": 2', None),
        ('{"image": {"width": "3", "height": 2}}', None),
        ('{"image": [3, 2]}', None),
        ("[" * 5000, None),
        ("", None),
        ("é\0", None),
    ],
)
def test_size_in_the_beginning_of_json(tmp_path, text, size):
    (tmp_path / "a.json").write_text(text)
    assert read_size(tmp_path / "a.json") == size


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n", b"GIF89a" + bytes(40)])
def test_no_size_in_what_is_no_png(tmp_path, content):
    (tmp_path / "a.png").write_bytes(content)
    assert read_size(tmp_path / "a.png") is None


def test_size_of_a_file_that_cannot_be_read(tmp_path):
    (tmp_path / "a.json").mkdir()
    with pytest.raises(SplatsegError, match=r"a\.json cannot be read"):
        read_size(tmp_path / "a.json")
