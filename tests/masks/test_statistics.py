"""Figures of masks that are easily counted, and flags for masks that were broken on purpose."""

import json
from dataclasses import replace

import numpy as np
import pytest
from builders.progress import Recorder

from splatseg.masks import Segments, open_masks, segments, write_segments
from splatseg.masks.statistics import (
    PhotoStatistics,
    SetStatistics,
    flag_photos,
    mask_statistics,
    photo_statistics,
)

HEIGHT, WIDTH = 20, 30


def boxes(*corners: tuple[int, int, int, int]) -> Segments:
    """Masks from y0, x0, y1, x1."""
    masks = np.zeros((len(corners), HEIGHT, WIDTH), dtype=bool)
    for mask, (y0, x0, y1, x1) in zip(masks, corners, strict=True):
        mask[y0:y1, x0:x1] = True
    return Segments.from_masks(masks)


def tiles(count: int, size: int = 3) -> Segments:
    """Masks side by side."""
    return boxes(*[(3 * (i // 10), 3 * (i % 10), 3 * (i // 10) + size, 3 * (i % 10) + size)
                   for i in range(count)])  # fmt: skip


ALL = (0, 0, HEIGHT, WIDTH)


def problems(photos: list[PhotoStatistics]) -> list[tuple[str | None, str]]:
    return [(flag.frame, flag.problem) for flag in flag_photos(photos)]


def usual(count: int = 5, masks: int = 20) -> list[PhotoStatistics]:
    return [photo_statistics(f"good_{i}", tiles(masks + i % 2)) for i in range(count)]


def test_the_figures_of_a_photo():
    segments = boxes((0, 0, 10, 10), (0, 0, 5, 10), (0, 0, 2, 2), (15, 0, 20, 30))
    assert photo_statistics("cam0/a", segments) == PhotoStatistics(
        frame="cam0/a",
        masks=4,
        coverage=250 / 600,
        mean_depth=3 / 4,
        max_depth=2,
        median_share=75 / 600,
        smallest_share=4 / 600,
        wholes=0.5,
        parts=0.25,
        subparts=0.25,
    )


def test_a_photo_without_masks_has_zeros():
    photo = photo_statistics("a", Segments.from_masks(np.zeros((0, HEIGHT, WIDTH), dtype=bool)))
    assert (photo.masks, photo.coverage, photo.max_depth, photo.wholes) == (0, 0, 0, 0)


def test_the_figures_of_all_photos():
    photos = (
        photo_statistics("a", boxes((0, 0, 10, 10), (0, 0, 5, 10))),
        photo_statistics("b", tiles(6)),
        photo_statistics("c", tiles(0)),
    )
    report = SetStatistics(photos, ()).to_json()
    assert (report["masks"], report["total_masks"], report["max_depth"]) == (2, 8, 1)
    assert report["coverage"] == pytest.approx((100 + 54) / 600 / 3)
    assert report["mean_depth"] == report["parts"] == pytest.approx(1 / 8)
    assert report["wholes"] == pytest.approx(7 / 8) and report["subparts"] == 0
    assert [photo["frame"] for photo in report["photos"]] == ["a", "b", "c"]
    assert json.loads(json.dumps(report, allow_nan=False)) == report


def test_a_table_row_for_each_photo_and_one_for_all():
    rows = SetStatistics(tuple(usual(3)), ()).rows()
    assert [row["frame"] for row in rows] == ["good_0", "good_1", "good_2", "all 3"]
    assert [row["masks"] for row in rows] == [20, 21, 20, 20]
    assert len({tuple(row) for row in rows}) == 1  # the same columns
    assert SetStatistics((), ()).rows()[0]["masks"] == 0


@pytest.mark.parametrize("photos", [[], usual(1), usual(6), usual(2, masks=2)])
def test_good_photos_are_not_flagged(photos):
    assert flag_photos(photos) == []


@pytest.mark.parametrize(
    ("segments", "problem", "sentence"),
    [
        (tiles(0), "no masks", "bad has no masks"),
        (boxes(ALL), "only all", "bad has nothing apart: its only mask covers 100% of the photo"),
        (boxes(ALL, ALL), "only all", "each of its 2 masks covers 100% of the photo"),
        (boxes((0, 0, 9, 9)), "one mask", "bad has a single mask"),
        (tiles(7), "few masks", "bad has only 7 masks; half of the photos have 20 or more"),
        (tiles(21, size=1), "coverage", "bad is covered by 4% only; half of the photos are cove"),
    ],
)
def test_a_broken_photo_is_flagged_for_its_worst_fault(segments, problem, sentence):
    (flag,) = flag_photos([*usual(), photo_statistics("bad", segments)])
    assert (flag.frame, flag.problem) == ("bad", problem)
    assert sentence in flag.sentence


def test_a_mask_of_everything_beside_others_is_no_fault():
    photos = [photo_statistics(f"{i}", boxes(ALL, (0, 0, 5, 5), (9, 9, 15, 15))) for i in range(3)]
    assert flag_photos(photos) == []


def test_many_empty_photos_do_not_make_emptiness_usual():
    empty = [photo_statistics(f"empty_{i}", tiles(0)) for i in range(9)]
    few = photo_statistics("few", tiles(5))
    assert problems([*empty, few, *usual(3)])[-1] == ("few", "few masks")
    assert {problem for _, problem in problems(empty)} == {"no masks"}


def test_a_set_of_single_masks_is_flagged_once():
    single = [photo_statistics(f"{i}", boxes((0, 0, 5, 5 + i))) for i in range(4)]
    assert problems(single) == [(None, "one mask")]
    assert problems([*single, photo_statistics("bad", tiles(0))]) == [
        ("bad", "no masks"),
        (None, "one mask"),
    ]


def test_fewer_masks_than_usual_is_relative():
    photos = usual()
    at = [replace(photos[0], frame=f"{count}", masks=count) for count in (9, 8, 7)]
    assert problems([*photos, *at]) == [("7", "few masks")]


def test_files_that_cannot_be_used_do_not_stop_the_others(tmp_path):
    folder = tmp_path / "masks/sam"
    for name in ("cam0/a", "b", "d", "f"):
        write_segments(folder / f"{name}.json", tiles(12), f"{name}.jpg")
    (folder / "c.json").write_text((folder / "b.json").read_text()[:200])
    write_segments(
        folder / "e.json", Segments.from_masks(np.ones((3, 20, 20), dtype=bool)), "e.jpg"
    )
    write_segments(folder / "d.json", tiles(2), "d.jpg")
    sizes = {name: (WIDTH, HEIGHT) for name in ("missing", "cam0/a", "b", "c", "d", "e", "f")}
    progress = Recorder()
    found = mask_statistics(open_masks(tmp_path, None, list(sizes)), sizes, progress)
    assert [photo.frame for photo in found.photos] == ["cam0/a", "b", "d", "f"]
    assert [(flag.frame, flag.problem) for flag in found.flags] == [
        ("missing", "no file"),
        ("c", "refused"),
        ("d", "few masks"),
        ("e", "refused"),
    ]
    sentences = [flag.sentence for flag in found.flags]
    assert sentences[0].startswith("missing has no mask file in ")
    assert "c.json is not valid JSON" in sentences[1] and "half written" in sentences[1]
    assert "e.json is 20x20 but its photo is 30x20" in sentences[3]
    assert progress.updates == [("reading masks", done, 7) for done in range(1, 8)]
    assert [flag["frame"] for flag in found.to_json()["flags"]] == ["missing", "c", "d", "e"]


def test_masks_at_half_the_photos_size_are_no_fault(tmp_path):
    write_segments(tmp_path / "masks/sam/a.json", tiles(12), "a.jpg")
    found = mask_statistics(open_masks(tmp_path, None, ["a"]), {"a": (2 * WIDTH, 2 * HEIGHT)})
    assert found.flags == () and found.photos[0].masks == 12


def test_too_many_masks_to_compare_are_a_flag(tmp_path, monkeypatch):
    monkeypatch.setattr(segments, "MAX_PAIRED", 11)
    write_segments(tmp_path / "masks/sam/a.json", tiles(12), "a.jpg")
    found = mask_statistics(open_masks(tmp_path, None, ["a"]), {"a": (WIDTH, HEIGHT)})
    assert [flag.sentence[:26] for flag in found.flags] == ["a: a view has 12 masks; ex"]
