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
ALL = (0, 0, HEIGHT, WIDTH)


def boxes(*corners: tuple[int, int, int, int]) -> Segments:
    """Masks from y0, x0, y1, x1."""
    masks = np.zeros((len(corners), HEIGHT, WIDTH), dtype=bool)
    for mask, (y0, x0, y1, x1) in zip(masks, corners, strict=True):
        mask[y0:y1, x0:x1] = True
    return Segments.from_masks(masks)


def tiles(count: int, size: int = 3) -> Segments:
    """Masks side by side."""
    corners = [(3 * (i // 10), 3 * (i % 10)) for i in range(count)]
    return boxes(*[(y, x, y + size, x + size) for y, x in corners])


def problems(photos: list[PhotoStatistics]) -> list[tuple[str | None, str]]:
    return [(flag.frame, flag.problem) for flag in flag_photos(photos)]


def usual(count: int = 5, masks: int = 20) -> list[PhotoStatistics]:
    return [photo_statistics(f"good_{i}", tiles(masks + i % 2)) for i in range(count)]


def named(name: str, *each: Segments) -> list[PhotoStatistics]:
    return [photo_statistics(f"{name}{i}", segments) for i, segments in enumerate(each)]


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


def test_the_figures_of_all_photos():
    photos = named("", boxes((0, 0, 10, 10), (0, 0, 5, 10)), tiles(6), tiles(0))
    report = SetStatistics(tuple(photos), ()).to_json()
    assert (report["masks"], report["total_masks"], report["max_depth"]) == (2, 8, 1)
    assert report["coverage"] == pytest.approx((100 + 54) / 600 / 3)
    assert report["mean_depth"] == report["parts"] == pytest.approx(1 / 8)
    assert report["wholes"] == pytest.approx(7 / 8) and report["subparts"] == 0
    assert [photo["frame"] for photo in report["photos"]] == ["0", "1", "2"]
    assert json.loads(json.dumps(report, allow_nan=False)) == report


def test_a_table_row_for_each_photo_and_one_for_all():
    rows = SetStatistics(tuple(usual(3)), ()).rows()
    assert [row["frame"] for row in rows] == ["good_0", "good_1", "good_2", "all 3"]
    assert [row["masks"] for row in rows] == [20, 21, 20, 20]
    assert len({tuple(row) for row in rows}) == 1  # the same columns
    assert SetStatistics((), ()).rows()[0]["masks"] == 0


SINGLE = [boxes((0, 0, 5, 5 + i)) for i in range(4)]


@pytest.mark.parametrize(
    ("photos", "expected"),
    [
        ([], []),
        (usual(1), []),
        (usual(6), []),
        (usual(2, masks=2), []),
        (named("all", *[boxes(ALL, (0, 0, 5, 5), (9, 9, 15, 15))] * 3), []),
        (named("empty", tiles(0), tiles(0)), [("empty0", "no masks"), ("empty1", "no masks")]),
        (named("single", *SINGLE), [(None, "one mask")]),
        (named("bad", *SINGLE, tiles(0)), [("bad4", "no masks"), (None, "one mask")]),
        (usual() + [replace(usual(1)[0], masks=n, frame=f"{n}") for n in (9, 8)], []),
        ([*usual(), replace(usual(1)[0], masks=7, frame="7")], [("7", "few masks")]),
    ],
)
def test_what_is_flagged(photos, expected):
    assert problems(photos) == expected


def test_many_empty_photos_do_not_make_emptiness_usual():
    photos = named("empty", *[tiles(0)] * 9) + named("few", tiles(5)) + usual(3)
    assert problems(photos)[-1] == ("few0", "few masks")


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


def test_files_that_cannot_be_used_do_not_stop_the_others(tmp_path, monkeypatch):
    folder = tmp_path / "masks/sam"
    square = Segments.from_masks(np.ones((3, 20, 20), dtype=bool))
    stored = {"cam0/a": tiles(12), "b": tiles(12), "c": tiles(12), "d": tiles(2), "e": square}
    for name, segments_ in (stored | {"f": tiles(12), "g": tiles(13)}).items():
        write_segments(folder / f"{name}.json", segments_, f"{name}.jpg")
    (folder / "c.json").write_text((folder / "b.json").read_text()[:200])
    sizes = dict.fromkeys(["missing", *stored, "g"], (WIDTH, HEIGHT)) | {
        "f": (2 * WIDTH, 2 * HEIGHT)  # masks at half the photo's size are no fault
    }
    progress = Recorder()
    monkeypatch.setattr(segments, "MAX_PAIRED", 12)
    found = mask_statistics(open_masks(tmp_path, None, list(sizes)), sizes, progress)
    assert [photo.frame for photo in found.photos] == ["cam0/a", "b", "d", "f"]
    expected = {
        "missing": ("no file", "missing has no mask file in "),
        "c": ("refused", "c.json is not valid JSON"),
        "d": ("few masks", ""),
        "e": ("refused", "e.json is 20x20 but its photo is 30x20"),
        "g": ("refused", "g: a view has 13 masks; ex"),
    }
    assert {flag.frame: flag.problem for flag in found.flags} == {
        frame: problem for frame, (problem, _) in expected.items()
    }
    assert all(expected[flag.frame][1] in flag.sentence for flag in found.flags)
    assert progress.updates == [("reading masks", done, 8) for done in range(1, 9)]
    assert {flag["frame"] for flag in found.to_json()["flags"]} == set(expected)
