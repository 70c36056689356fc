"""Reports are JSON, and their means are those of their rows."""

import json

import pytest

from splatseg.evaluation import (
    ClickScore,
    FrameScore,
    MaskScores,
    Match,
    ObjectScore,
    Query,
    clicks_report,
    clusters_report,
    nvs_report,
)


def object_score(object_id: int, *mious: float) -> ObjectScore:
    clicks = [
        ClickScore(
            query=Query(object_id, "train", 1.5, 2.5),
            scores=MaskScores(miou=miou, mbiou=miou / 2, biou2=miou / 4),
            best=MaskScores(miou=1.0, mbiou=0.5, biou2=0.25),
        )
        for miou in mious
    ]
    return ObjectScore(object_id, f"object {object_id}", 11, 0.85, clicks)


def test_click_report():
    report = clicks_report("click/1", [object_score(1, 1.0), object_score(2, 0.5)])
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    rows = report.pop("objects")
    assert report == {
        "protocol": "click/1",
        "miou": 0.75,
        "mbiou": 0.375,
        "biou2": 0.1875,
        "best": {"miou": 1.0, "mbiou": 0.5, "biou2": 0.25},
    }
    assert rows[1] == {
        "id": 2,
        "name": "object 2",
        "views": 11,
        "miou": 0.5,
        "mbiou": 0.25,
        "biou2": 0.125,
        "best": {"threshold": 0.85, "miou": 1.0, "mbiou": 0.5, "biou2": 0.25},
        "clicks": [
            {"frame": "train", "x": 1.5, "y": 2.5, "miou": 0.5, "mbiou": 0.25, "biou2": 0.125}
        ],
    }


def test_click3_report_adds_the_worst_click():
    report = clicks_report(
        "click3/1", [object_score(1, 1.0, 0.0, 0.5), object_score(2, 0.5, 1.0, 1.0)]
    )
    assert report["miou"] == pytest.approx((0.5 + 2.5 / 3) / 2)
    assert report["worst"] == {"miou": 0.25, "mbiou": 0.125, "biou2": 0.0625}
    assert len(report["objects"][0]["clicks"]) == 3


def test_clusters_report():
    report = clusters_report({1: Match(5, 0.5), 2: Match(None, 0.0)}, {1: "cup", 2: "can"})
    assert report == {
        "protocol": "clusters/1",
        "miou": 0.25,
        "objects": [
            {"id": 1, "name": "cup", "miou": 0.5, "cluster": 5},
            {"id": 2, "name": "can", "miou": 0.0, "cluster": None},
        ],
    }


def test_nvs_report():
    report = nvs_report([FrameScore("a", 20.0, 0.5), FrameScore("b", 30.0, 1.0)])
    rows = [{"frame": "a", "psnr": 20.0, "ssim": 0.5}, {"frame": "b", "psnr": 30.0, "ssim": 1.0}]
    assert report == {"protocol": "nvs/1", "psnr": 25.0, "ssim": 0.75, "frames": rows}
