"""Reports are JSON, and their means are those of their rows."""

import json

import numpy as np
import pytest

from splatseg.evaluation import (
    Case,
    ClickScore,
    FrameScore,
    MaskScores,
    Match,
    ObjectScore,
    PanopticScore,
    PromptScore,
    Query,
    SelectionScore,
    TubeScore,
    clicks_report,
    clusters_report,
    nvs_report,
    objects_report,
    prompts_report,
    selections_report,
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
    nothing, name = np.zeros((1, 1), dtype=bool), f"object {object_id}"
    case = Case(clicks[0].query, name, "test", min(mious), nothing, nothing)
    return ObjectScore(object_id, name, 11, 0.85, clicks, case)


def test_click_report():
    report = clicks_report("click", [object_score(1, 1.0), object_score(2, 0.5)])
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


@pytest.mark.parametrize("protocol", ["click3", "random-click"])
def test_several_clicks_add_the_worst(protocol):
    objects = [object_score(1, 1.0, 0.0, 0.5), object_score(2, 0.5, 1.0, 1.0)]
    report = clicks_report(protocol, objects)
    assert report["protocol"] == f"{protocol}/1"
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


def test_selections_report_leaves_unknown_boxes_out():
    queries = [Query(i, "train", 1.5, 2.5) for i in (1, 2, 3)]
    scores = [
        SelectionScore(queries[0], "cup", 1.0, 0.25),
        SelectionScore(queries[1], "can", 0.5, None),
        SelectionScore(queries[2], "mug", 0.0, 0.75),
    ]
    report = selections_report(scores)
    rows = report.pop("objects")
    assert report == {"protocol": "click3d/1", "miou": 0.5, "outside": 0.5}
    click = {"frame": "train", "x": 1.5, "y": 2.5}
    assert rows[1] == {"id": 2, "name": "can", "miou": 0.5, "outside": None, **click}
    assert selections_report(scores[1:2])["outside"] is None


def test_objects_report():
    tubes = [
        TubeScore(1, "cup", Match(5, 0.75), matched=True, parts=2),
        TubeScore(2, "can", Match(None, 0.0), matched=False, parts=0),
    ]
    score = PanopticScore(tubes, sq=0.75, tp=1, fp=2, fn=1, ignored=3, under_segmented=4)
    assert objects_report(score) == {
        "protocol": "objects/1",
        "miou": 0.375,
        "pq": 0.75 * 0.4,
        "sq": 0.75,
        "rq": 0.4,
        "tp": 1,
        "fp": 2,
        "fn": 1,
        "ignored": 3,
        "over_segmented": 1,
        "under_segmented": 4,
        "objects": [
            {"id": 1, "name": "cup", "miou": 0.75, "cluster": 5, "matched": True, "parts": 2},
            {"id": 2, "name": "can", "miou": 0.0, "cluster": None, "matched": False, "parts": 0},
        ],
    }


def test_prompts_report_with_and_without_the_reference():
    one, half = MaskScores(1.0, 1.0, 1.0), MaskScores(0.5, 0.25, 0.0)
    prompts = [
        PromptScore("red cup", "view_0", {"view_0": one, "view_2": half}),
        PromptScore("can", "view_0", {"view_0": half}),
    ]
    report = prompts_report("text", prompts)
    first, second = report.pop("objects")
    assert report == {
        "protocol": "text/2",
        "miou": 0.625,
        "mbiou": 0.4375,
        "biou2": 0.25,
        "other_views": {"miou": 0.5, "mbiou": 0.25, "biou2": 0.0},
        "reference": "view_0",
    }
    assert (first["name"], first["views"], first["miou"]) == ("red cup", 2, 0.75)
    assert first["other_views"] == {"miou": 0.5, "mbiou": 0.25, "biou2": 0.0}
    assert second["other_views"] == {"miou": None, "mbiou": None, "biou2": None}
    assert prompts_report("3d-ovs", prompts[1:]) == {
        "protocol": "3d-ovs/2",
        "miou": 0.5,
        "other_views": {"miou": None},
        "reference": "view_0",
        "objects": [{"name": "can", "views": 1, "miou": 0.5, "other_views": {"miou": None}}],
    }
