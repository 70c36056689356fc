"""Protocols run on the trained synthetic scene: figures, and what is refused."""

import dataclasses
import json
import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from splatseg.evaluation.runner import Protocol, evaluate

from splatseg.capture import load_capture
from splatseg.errors import SplatsegError
from splatseg.evaluation import Case, psnr
from splatseg.masks import write_label_map
from splatseg.render import render
from splatseg.scene import Scene
from splatseg.segmentation import cluster_gaussians
from splatseg.text import BoxFile, Grounder, MaskFolder

MIN_MIOU = 0.85  # of click; seeds 0 to 4 of the synthetic scene reach 0.93 to 0.97
MIN_CLUSTERS_MIOU = 0.9  # the same seeds reach 0.97
MIN_RANDOM_MIOU = 0.7  # the same seeds reach 0.81 to 0.88: some clicks hit an outline
MIN_CLICK3D_MIOU = 0.8  # 0.89 to 0.99
MAX_OUTSIDE = 0.1  # 0.03 to 0.04
MIN_TEXT_MIOU = 0.9  # 0.96 to 0.99
SCALE_TOLERANCE = 0.1  # mIoU at half the size: an outline of a 15-pixel ball moves by half a pixel


def report_of(scene: Scene, root, protocol: Protocol, **options) -> dict:
    report = evaluate(scene, load_capture(root), protocol, **options)
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    return report


@pytest.fixture(scope="module")
def clustered(trained: Scene) -> Scene:
    training = [frame for frame in trained.frames if not frame.is_test]
    return dataclasses.replace(trained, labels=cluster_gaussians(trained.gaussians, training))


def test_nvs_compares_the_held_out_photos(trained: Scene, synthetic) -> None:
    report = report_of(trained, synthetic.root, "nvs")
    assert [row["frame"] for row in report["frames"]] == ["view_1", "view_7"]
    capture = load_capture(synthetic.root)
    for row in report["frames"]:
        frame = capture.frame(row["frame"])
        photo = torch.from_numpy(capture.image(frame).astype(np.float32) / 255)
        image = render(trained.gaussians, frame.camera).image.clamp(0, 1)
        assert row["psnr"] == pytest.approx(psnr(image, photo))
    assert report["psnr"] == pytest.approx(np.mean([row["psnr"] for row in report["frames"]]))


@pytest.mark.parametrize(("protocol", "clicks"), [("click", 1), ("click3", 3), ("random-click", 5)])
def test_clicks_score_every_object(
    trained: Scene, synthetic, protocol: Protocol, clicks: int
) -> None:
    report = report_of(trained, synthetic.root, protocol)
    assert report["protocol"] == f"{protocol}/1"
    assert [row["name"] for row in report["objects"]] == ["red ball", "green ball", "blue ball"]
    assert all(row["views"] == 2 and len(row["clicks"]) == clicks for row in report["objects"])
    assert report["miou"] > (MIN_RANDOM_MIOU if protocol == "random-click" else MIN_MIOU)
    assert report["best"]["miou"] >= report["miou"]
    frames = {click["frame"] for row in report["objects"] for click in row["clicks"]}
    assert frames <= set(synthetic.train_frames)


def test_clusters_score_every_object(clustered: Scene, synthetic) -> None:
    report = report_of(clustered, synthetic.root, "clusters")
    assert report["miou"] > MIN_CLUSTERS_MIOU
    assert len({row["cluster"] for row in report["objects"]}) == 3


def test_shuffled_cluster_ids_score_the_same(clustered: Scene, synthetic) -> None:
    assert clustered.labels is not None
    order = torch.randperm(20, generator=torch.Generator().manual_seed(0)) + 1
    order = torch.cat([torch.zeros(1, dtype=torch.long), order])
    shuffled = dataclasses.replace(clustered, labels=order[clustered.labels])
    one, other = (report_of(s, synthetic.root, "clusters") for s in (clustered, shuffled))
    assert one["miou"] == other["miou"]


def test_truth_at_half_the_size_scores_about_the_same(
    clustered: Scene, synthetic, capture_copy
) -> None:
    for name, instance_map in synthetic.truth.items():
        write_label_map(capture_copy / "gt_instances" / f"{name}.png", instance_map[1::2, 1::2])
    for protocol in ("click", "clusters"):
        full = report_of(clustered, synthetic.root, protocol)["miou"]
        half = report_of(clustered, capture_copy, protocol)["miou"]
        assert half == pytest.approx(full, abs=SCALE_TOLERANCE)


def test_the_scene_decides_on_the_split(trained: Scene, capture_copy) -> None:
    """Photos that were trained on stay out of the figures, whatever the capture says now."""
    (capture_copy / "split.json").unlink()
    report = report_of(trained, capture_copy, "nvs")
    assert [row["frame"] for row in report["frames"]] == ["view_1", "view_7"]


def test_a_click_on_background_scores_nothing(trained: Scene, capture_copy, synthetic) -> None:
    prompts = json.loads((capture_copy / "prompts.json").read_text())
    for click in prompts[0]["clicks"]:
        click["x"] = click["y"] = 0
    (capture_copy / "prompts.json").write_text(json.dumps(prompts))
    red, green, _ = report_of(trained, capture_copy, "click3")["objects"]
    assert red["miou"] == 0
    assert green["miou"] > 0.5


def test_the_worst_masks_of_clicks_are_told(trained: Scene, synthetic) -> None:
    cases: list[Case] = []
    report = report_of(trained, synthetic.root, "random-click", on_worst=cases.extend)
    assert {case.name for case in cases} == {row["name"] for row in report["objects"]}
    assert [case.iou for case in cases] == sorted(case.iou for case in cases)
    worst = min(click["miou"] for row in report["objects"] for click in row["clicks"])
    assert 0 <= cases[0].iou <= worst
    for case in cases:
        assert np.array_equal(case.truth, synthetic.truth[case.frame] == case.query.object_id)


# ---- Gaussians, and all objects


def write_boxes(root: Path, balls, grown: float = 1.0) -> None:
    """The corners of each ball's box as its true points."""
    corners = np.array([[-1, -1, -1], [1, 1, 1]]) * grown
    points = [np.array(center) + radius * corners for center, radius in balls.values()]
    labels = np.repeat(list(balls), 2)
    np.savez(
        root / "points_gt.npz",
        xyz_clean=np.concatenate(points),
        label=labels,
        outlier=np.zeros(len(labels), dtype=bool),
    )


def test_click3d_compares_gaussians(trained: Scene, capture_copy, balls) -> None:
    report = report_of(trained, capture_copy, "click3d")
    assert [row["name"] for row in report["objects"]] == ["red ball", "green ball", "blue ball"]
    assert report["miou"] > MIN_CLICK3D_MIOU
    assert report["outside"] is None  # the capture has no points
    write_boxes(capture_copy, balls)
    assert report_of(trained, capture_copy, "click3d")["outside"] < MAX_OUTSIDE
    write_boxes(capture_copy, balls, grown=0.0)
    assert report_of(trained, capture_copy, "click3d")["outside"] > 0.9


def test_clicks_on_background_select_nothing(trained: Scene, capture_copy, synthetic) -> None:
    """Each object's only true pixels are in a corner of one view, which shows nothing."""
    for name in synthetic.truth:
        instance_map = np.zeros_like(synthetic.truth[name])
        instance_map[:3, :3] = name == "view_0"
        write_label_map(capture_copy / "gt_instances" / f"{name}.png", instance_map)
    report = report_of(trained, capture_copy, "click3d")
    assert [(row["miou"], row["outside"]) for row in report["objects"]] == [(0, None)]


def test_objects_score_the_clusters(clustered: Scene, synthetic, capture_copy) -> None:
    clusters = report_of(clustered, synthetic.root, "clusters")
    report = report_of(clustered, synthetic.root, "objects")
    assert report["miou"] == clusters["miou"]
    assert [row["matched"] for row in report["objects"]] == [True] * 3
    assert (report["tp"], report["fp"], report["fn"]) == (3, 0, 0)
    assert report["ignored"] >= 1  # the ground, which is void where nothing else is said
    for name, instance_map in synthetic.truth.items():
        write_label_map(capture_copy / "gt_stuff" / f"{name}.png", np.zeros_like(instance_map))
    strict = report_of(clustered, capture_copy, "objects")
    assert strict["ignored"] == 0 and strict["fp"] == report["ignored"]


# ---- prompts

PROMPTS = {"red ball": 1, "green ball": 2, "blue ball": 3}


def write_mask(path: Path, mask: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(255 * mask.astype(np.uint8)).save(path)


def masks_in(folder: Path) -> Grounder:
    return Grounder(MaskFolder(folder))


@pytest.fixture
def prompts(capture_copy: Path, synthetic) -> Path:
    """The capture with LERF-Mask's and 3D-OVS's folders, and masks in `grounding`."""
    for prompt, object_id in PROMPTS.items():
        truth = {name: m == object_id for name, m in synthetic.truth.items()}
        write_mask(capture_copy / "grounding" / f"{prompt}.png", truth["view_1"])
        write_mask(capture_copy / "test_mask" / "0" / f"{prompt}.png", truth["view_1"])
        write_mask(capture_copy / "segmentations" / "view_1" / f"{prompt}.png", truth["view_1"])
        if prompt != "blue ball":
            write_mask(capture_copy / "test_mask" / "1" / f"{prompt}.png", truth["view_7"])
        write_mask(capture_copy / "segmentations" / "view_4" / f"{prompt}.png", truth["view_4"])
    (capture_copy / "segmentations" / "classes.txt").write_text("\n".join(PROMPTS))
    return capture_copy


def test_text_scores_lerf_masks_folders(trained: Scene, prompts: Path) -> None:
    report = report_of(trained, prompts, "text", grounder=masks_in(prompts / "grounding"))
    assert report["reference"] == "view_1" and report["threshold"] == 0.7
    assert report["views"] == [
        {"frame": "view_1", "held_out": True},
        {"frame": "view_7", "held_out": True},
    ]
    assert report["not_grounded"] == []
    assert {row["name"]: row["views"] for row in report["objects"]} == {
        "red ball": 2,
        "green ball": 2,
        "blue ball": 1,
    }
    assert min(report["miou"], report["other_views"]["miou"]) > MIN_TEXT_MIOU
    assert report["objects"][0]["name"] == "blue ball"
    assert report["objects"][0]["other_views"]["miou"] is None


def test_3d_ovs_scores_classes(trained: Scene, prompts: Path) -> None:
    report = report_of(trained, prompts, "3d-ovs", grounder=masks_in(prompts / "grounding"))
    assert [row["name"] for row in report["objects"]] == list(PROMPTS)
    assert [view["held_out"] for view in report["views"]] == [True, False]
    assert min(report["miou"], report["other_views"]["miou"]) > MIN_TEXT_MIOU
    assert "mbiou" not in report


def test_groundings_of_another_size(trained: Scene, prompts: Path) -> None:
    options = {"grounder": masks_in(prompts / "grounding")}
    before = report_of(trained, prompts, "text", **options)["miou"]
    for path in (prompts / "grounding").iterdir():
        with Image.open(path) as image:
            image.resize((250, 200), Image.Resampling.NEAREST).save(path)
    assert report_of(trained, prompts, "text", **options)["miou"] == pytest.approx(before, abs=0.02)


def test_prompts_without_a_grounding_score_zero(trained: Scene, prompts: Path) -> None:
    grounding = prompts / "grounding"
    (grounding / "red ball.png").unlink()
    write_mask(grounding / "blue ball.png", np.zeros((72, 96), dtype=bool))
    report = report_of(trained, prompts, "text", grounder=masks_in(grounding))
    assert report["not_grounded"] == ["blue ball", "red ball"]
    scores = {row["name"]: row["miou"] for row in report["objects"]}
    assert scores["red ball"] == scores["blue ball"] == 0
    assert scores["green ball"] > MIN_TEXT_MIOU
    assert report["miou"] == pytest.approx(scores["green ball"] / 3)


def test_boxes_for_the_prompts(trained: Scene, prompts: Path, synthetic, tmp_path: Path) -> None:
    """A box is asked for the thing that fills it best; one on empty space for nothing."""
    boxes = [{"prompt": "Blue ball", "box": [0, 0, 2, 2]}]
    for prompt in ("red ball", "green ball"):
        rows, columns = np.nonzero(synthetic.truth["view_1"] == PROMPTS[prompt])
        box = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        boxes.append({"prompt": prompt, "box": [int(edge) for edge in box]})
    (tmp_path / "boxes.json").write_text(json.dumps({"view_1": boxes}))
    height, width = synthetic.truth["view_1"].shape
    sizes = {frame.name: (width, height) for frame in trained.frames}
    shown = []
    report = report_of(
        *(trained, prompts, "text"),
        grounder=Grounder(BoxFile(tmp_path / "boxes.json", sizes)),
        on_grounded=lambda image, found: shown.append((image.shape, set(found))),
    )
    assert shown == [((height, width, 3), set(PROMPTS))]
    assert report["not_grounded"] == ["blue ball"] and report["grounded_by"] == "boxes.json"
    scores = {row["name"]: row["miou"] for row in report["objects"]}
    assert min(scores["red ball"], scores["green ball"]) > MIN_TEXT_MIOU


def test_truth_in_another_folder(trained: Scene, prompts: Path) -> None:
    elsewhere = (prompts / "test_mask").rename(prompts / "masks_of_mine")
    options = {"grounder": masks_in(prompts / "grounding"), "truth": elsewhere}
    assert report_of(trained, prompts, "text", **options)["miou"] > MIN_TEXT_MIOU


def test_scoring_in_trained_frames_is_said(trained: Scene, prompts: Path, caplog) -> None:
    with caplog.at_level(logging.WARNING):
        grounder = masks_in(prompts / "grounding")
        options = {"grounder": grounder, "truth": prompts / "segmentations"}
        report_of(trained, prompts, "text", **options)
    assert "scored in frames that the scene was trained on: view_4" in caplog.text


def refusal(scene: Scene, root, protocol: Protocol, **options) -> str:
    with pytest.raises(SplatsegError) as caught:
        evaluate(scene, load_capture(root), protocol, **options)
    return str(caught.value)


def test_prompts_need_a_grounding(trained: Scene, prompts: Path) -> None:
    assert "--boxes FILE, or --grounding FOLDER" in refusal(trained, prompts, "text")
    sentence = refusal(trained, prompts, "text", grounder=masks_in(prompts / "images"))
    assert "images has an answer to none of the 3 prompts, such as 'blue ball'" in sentence
    assert "in the reference view view_1" in sentence


def test_clicks_take_no_grounding(trained: Scene, prompts: Path) -> None:
    sentence = refusal(trained, prompts, "click", grounder=masks_in(prompts / "grounding"))
    assert "are for the protocols text and 3d-ovs; the truth for click is in" in sentence


def test_clusters_before_clustering_are_refused(trained: Scene, synthetic) -> None:
    assert "run splatseg cluster" in refusal(trained, synthetic.root, "clusters")
    assert "run splatseg cluster" in refusal(trained, synthetic.root, "objects")


def test_click3_without_prompts_is_refused(trained: Scene, capture_copy) -> None:
    (capture_copy / "prompts.json").unlink()
    assert "there is no" in (sentence := refusal(trained, capture_copy, "click3"))
    assert "prompts.json" in sentence


def test_click_without_truth_is_refused(trained: Scene, capture_copy) -> None:
    (capture_copy / "objects.json").unlink()
    assert "needs a capture with ground truth" in refusal(trained, capture_copy, "click")


def test_the_ceiling_needs_no_features_and_says_what_the_geometry_allows(
    trained: Scene, capture_copy
) -> None:
    bare = dataclasses.replace(trained.gaussians, features=torch.zeros(len(trained.gaussians), 0))
    report = report_of(dataclasses.replace(trained, gaussians=bare), capture_copy, "ceiling")
    assert report["protocol"] == "ceiling/1"
    assert 0.85 < report["miou"] < 1
    assert report["miou"] == report_of(trained, capture_copy, "ceiling")["miou"]


@pytest.mark.parametrize("protocol", ["click", "click3d", "text"])
def test_queries_without_features_are_refused(trained: Scene, prompts, protocol: Protocol) -> None:
    bare = dataclasses.replace(trained.gaussians, features=torch.zeros(len(trained.gaussians), 0))
    scene = dataclasses.replace(trained, gaussians=bare)
    options = {"grounder": masks_in(prompts / "grounding")} if protocol == "text" else {}
    assert "no segmentation features" in refusal(scene, prompts, protocol, **options)


def test_nvs_without_held_out_photos_is_refused(trained: Scene, synthetic) -> None:
    frames = tuple(dataclasses.replace(frame, is_test=False) for frame in trained.frames)
    scene = dataclasses.replace(trained, frames=frames)
    assert "holds out no photo" in refusal(scene, synthetic.root, "nvs")


def test_a_photo_that_is_gone_is_named(trained: Scene, capture_copy) -> None:
    (capture_copy / "images" / "view_7.png").unlink()
    assert "view_7.png" in refusal(trained, capture_copy, "nvs")
