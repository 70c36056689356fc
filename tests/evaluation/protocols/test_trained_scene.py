"""Every protocol on the trained synthetic scene: figures, and what is refused."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from splatseg.capture import load_capture
from splatseg.errors import SplatsegError
from splatseg.evaluation import (
    Evaluation,
    EvaluationOptions,
    ProtocolName,
    find_protocol,
    psnr,
)
from splatseg.losses.photometric import ssim
from splatseg.masks import write_label_map
from splatseg.render import render
from splatseg.scene import Scene
from splatseg.segmentation import cluster_gaussians
from splatseg.text import BoxFile, Grounder, MaskFolder

BALLS = {"red ball": 1, "green ball": 2, "blue ball": 3}
MASKS = "miou mbiou biou2"
CLICK_ROW = f"id name views {MASKS} best clicks"
CLICKS = f"{MASKS} best worst objects query_radius"
PROMPTS = "other_views reference objects threshold grounded_by views not_grounded"
# What a report and its rows have, in order, and an mIoU below what seeds 0 to 4 of the scene reach:
# click 0.93 to 0.97, random-click 0.81 to 0.88 (some clicks hit an outline), click3d 0.89 to 0.99.
REPORTS: dict[ProtocolName, tuple[str, str, float]] = {
    "nvs": ("psnr ssim frames", "frame psnr ssim", 0),
    "click": (CLICKS.replace("worst ", ""), CLICK_ROW, 0.85),
    "click3": (CLICKS, CLICK_ROW, 0.85),
    "random-click": (CLICKS, CLICK_ROW, 0.7),
    "click3d": ("miou outside objects query_radius", "id name miou outside frame x y", 0.8),
    "ceiling": (f"{MASKS} best objects", CLICK_ROW, 0.85),
    "clusters": ("miou objects", "id name miou cluster", 0.9),
    "objects": (
        "miou pq sq rq tp fp fn ignored over_segmented under_segmented objects",
        "id name miou cluster matched parts",
        0.9,
    ),
    "text": (f"{MASKS} {PROMPTS}", f"name views {MASKS} other_views", 0.9),
    "3d-ovs": (f"miou {PROMPTS}", "name views miou other_views", 0.9),
}
WITH_PROMPTS = ("text", "3d-ovs")
SCALE_TOLERANCE = 0.1  # mIoU at half the size: an outline of a 15-pixel ball moves by half a pixel

Measure = Callable[..., Evaluation]


@pytest.fixture(scope="module")
def clustered(trained: Scene) -> Scene:
    return dataclasses.replace(trained, labels=cluster_gaussians(trained.gaussians, trained.train))


def write_mask(path: Path, mask: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(255 * mask.astype(np.uint8)).save(path)


@pytest.fixture
def capture(capture_copy: Path, synthetic) -> Path:
    """The capture with LERF-Mask's and 3D-OVS's folders, and masks in `grounding`."""
    folders = {"grounding": 1, "test_mask/0": 1, "test_mask/1": 7}
    folders |= {"segmentations/view_1": 1, "segmentations/view_4": 4}
    for folder, view in folders.items():
        for prompt, object_id in BALLS.items():
            if (folder, prompt) != ("test_mask/1", "blue ball"):
                mask = synthetic.truth[f"view_{view}"] == object_id
                write_mask(capture_copy / folder / f"{prompt}.png", mask)
    (capture_copy / "segmentations" / "classes.txt").write_text("\n".join(BALLS))
    return capture_copy


@pytest.fixture
def measure(clustered: Scene, capture: Path) -> Measure:
    """Run a protocol, with masks as groundings where it needs some."""

    def run(name: ProtocolName, scene: Scene = clustered, **options: Any) -> Evaluation:
        if name in WITH_PROMPTS:
            options = {"grounder": Grounder(MaskFolder(capture / "grounding"))} | options
        return find_protocol(name).run(scene, load_capture(capture), EvaluationOptions(**options))

    return run


def without_features(scene: Scene) -> Scene:
    bare = dataclasses.replace(scene.gaussians, features=torch.zeros(len(scene.gaussians), 0))
    return dataclasses.replace(scene, gaussians=bare)


@pytest.mark.parametrize("name", REPORTS)
def test_a_report_has_its_figures(name, measure):
    keys, row_keys, least = REPORTS[name]
    report = measure(name).report
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    assert list(report) == ["protocol", *keys.split()]
    rows = report.get("objects", report.get("frames"))
    assert all(list(row) == row_keys.split() for row in rows)
    for figure, value in find_protocol(name).headline(report).items():
        known = [row[figure] for row in rows if figure in row]
        assert not known or value == pytest.approx(np.mean(known))
    if name != "nvs":
        assert {row["name"] for row in rows} == set(BALLS)
        assert least < report["miou"] < 1


@pytest.mark.parametrize(("name", "clicks"), [("click", 1), ("click3", 3), ("random-click", 5)])
def test_clicks_are_in_training_views(name, clicks, measure, synthetic):
    found = measure(name)
    rows, ious = found.report["objects"], [case.iou for case in found.worst]
    assert all(row["views"] == 2 and len(row["clicks"]) == clicks for row in rows)
    assert found.report["best"]["miou"] >= found.report["miou"]
    assert {one["frame"] for row in rows for one in row["clicks"]} <= set(synthetic.train_frames)
    worst = [min(one["miou"] for one in row["clicks"]) for row in rows]
    if clicks > 1:
        assert found.report["worst"]["miou"] == pytest.approx(np.mean(worst))
    assert {case.name for case in found.worst} == set(BALLS)
    assert ious == sorted(ious) and ious[0] <= min(worst)
    for case in found.worst:
        assert np.array_equal(case.truth, synthetic.truth[case.frame] == case.click.object_id)


def test_nvs_compares_photos_held_out_of_the_scene(clustered, capture, measure):
    """Whatever split the capture has now; colors are clipped."""
    (capture / "split.json").unlink()
    rows, opened = measure("nvs").report["frames"], load_capture(capture)
    assert [row["frame"] for row in rows] == ["view_1", "view_7"]
    for row in rows:
        frame = opened.frame(row["frame"])
        photo = torch.from_numpy(opened.image(frame).astype(np.float32) / 255)
        image = render(clustered.gaussians, frame.camera).image.clamp(0, 1)
        assert row["psnr"] == pytest.approx(psnr(image, photo))
        assert row["ssim"] == pytest.approx(ssim(image, photo).item())


def test_objects_score_the_clusters_whose_ids_mean_nothing(clustered, capture, measure, synthetic):
    report = measure("objects").report
    order = torch.randperm(20, generator=torch.Generator().manual_seed(0)) + 1
    order = torch.cat([torch.zeros(1, dtype=torch.long), order])
    shuffled = dataclasses.replace(clustered, labels=order[clustered.labels])
    for scene in (clustered, shuffled):
        assert measure("clusters", scene).report["miou"] == report["miou"]
    assert [row["matched"] for row in report["objects"]] == [True] * 3
    assert (report["tp"], report["fp"], report["fn"]) == (3, 0, 0)
    assert report["ignored"] >= 1  # the ground, which is void where nothing else is said
    for name, instance_map in synthetic.truth.items():
        write_label_map(capture / "gt_stuff" / f"{name}.png", np.zeros_like(instance_map))
    strict = measure("objects").report
    assert strict["ignored"] == 0 and strict["fp"] == report["ignored"]


@pytest.mark.parametrize("name", ["click", "clusters", "ceiling"])
def test_truth_at_half_the_size_scores_about_the_same(name, capture, measure, synthetic):
    full = measure(name).report["miou"]
    for frame, instance_map in synthetic.truth.items():
        write_label_map(capture / "gt_instances" / f"{frame}.png", instance_map[1::2, 1::2])
    assert measure(name).report["miou"] == pytest.approx(full, abs=SCALE_TOLERANCE)


def test_a_click_on_background_finds_nothing(capture, measure, synthetic):
    prompts = json.loads((capture / "prompts.json").read_text())
    for click in prompts[0]["clicks"]:
        click["x"] = click["y"] = 0
    (capture / "prompts.json").write_text(json.dumps(prompts))
    red, green, _ = measure("click3").report["objects"]
    assert red["miou"] == 0 and green["miou"] > 0.5
    # Each object's only true pixels are in a corner of one view, which shows nothing.
    for name, instance_map in synthetic.truth.items():
        corner = np.zeros_like(instance_map)
        corner[:3, :3] = name == "view_0"
        write_label_map(capture / "gt_instances" / f"{name}.png", corner)
    report = measure("click3d").report
    assert [(row["miou"], row["outside"]) for row in report["objects"]] == [(0, None)]


@pytest.mark.parametrize(("grown", "low", "high"), [(1.0, 0.0, 0.1), (0.0, 0.9, 1.0)])
def test_selections_outside_the_objects_boxes(grown, low, high, capture, measure, balls):
    corners = np.array([[-1, -1, -1], [1, 1, 1]]) * grown
    points = [np.array(center) + radius * corners for center, radius in balls.values()]
    labels = np.repeat(list(balls), 2)
    arrays = {"xyz_clean": np.concatenate(points), "label": labels, "outlier": 0 * labels > 0}
    np.savez(capture / "points_gt.npz", **arrays)
    assert low <= measure("click3d").report["outside"] <= high


def test_gaussians_by_their_own_features(measure):
    """The paper's selection (Fig. 4), which is another one than that of votes."""
    own = measure("click3d", select_by_own_features=True).report["miou"]
    assert 0.3 < own != measure("click3d").report["miou"]


def test_the_ceiling_needs_no_features(clustered, measure):
    assert measure("ceiling", without_features(clustered)).report == measure("ceiling").report


def test_text_scores_lerf_masks_folders_and_groundings_of_any_size(capture, measure):
    report = measure("text").report
    assert report["reference"] == "view_1" and report["threshold"] == 0.7
    assert report["views"] == [{"frame": f"view_{k}", "held_out": True} for k in (1, 7)]
    assert report["not_grounded"] == []
    views = {row["name"]: row["views"] for row in report["objects"]}
    assert views == {"blue ball": 1, "green ball": 2, "red ball": 2}
    assert report["other_views"]["miou"] > 0.9
    assert report["objects"][0]["other_views"]["miou"] is None  # the blue ball
    for path in (capture / "grounding").iterdir():
        with Image.open(path) as image:
            image.resize((250, 200), Image.Resampling.NEAREST).save(path)
    assert measure("text").report["miou"] == pytest.approx(report["miou"], abs=0.02)


def test_classes_are_scored_in_trained_views_too(capture, measure, caplog):
    report = measure("3d-ovs").report
    assert [row["name"] for row in report["objects"]] == list(BALLS)
    assert [view["held_out"] for view in report["views"]] == [True, False]
    assert report["other_views"]["miou"] > 0.9 and not caplog.text
    assert measure("text", truth=capture / "segmentations").report["miou"] > 0.9
    assert "scored in frames that the scene was trained on: view_4" in caplog.text


def test_prompts_without_a_grounding_score_zero(capture, measure):
    (capture / "grounding" / "red ball.png").unlink()
    write_mask(capture / "grounding" / "blue ball.png", np.zeros((72, 96), dtype=bool))
    report = measure("text").report
    assert report["not_grounded"] == ["blue ball", "red ball"]
    scores = {row["name"]: row["miou"] for row in report["objects"]}
    assert scores["red ball"] == scores["blue ball"] == 0 and scores["green ball"] > 0.9
    assert report["miou"] == pytest.approx(scores["green ball"] / 3)


def test_boxes_for_the_prompts(clustered, measure, synthetic, tmp_path, caplog):
    """A box is asked for the object that fills it best; one on empty space for nothing."""
    boxes: list[dict[str, Any]] = [{"prompt": "Blue ball", "box": [0, 0, 2, 2]}]
    for prompt in ("red ball", "green ball"):
        rows, columns = np.nonzero(synthetic.truth["view_1"] == BALLS[prompt])
        box = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        boxes.append({"prompt": prompt, "box": [int(edge) for edge in box]})
    (tmp_path / "boxes.json").write_text(json.dumps({"view_1": boxes}))
    height, width = synthetic.truth["view_1"].shape
    sizes = {frame.name: (width, height) for frame in clustered.frames}
    found = measure("text", grounder=Grounder(BoxFile(tmp_path / "boxes.json", sizes)))
    assert "blue ball: the box" in caplog.text
    assert found.reference is not None and found.reference.shape == (height, width, 3)
    assert set(found.grounded) == set(BALLS)
    report = found.report
    assert report["not_grounded"] == ["blue ball"] and report["grounded_by"] == "boxes.json"
    scores = {row["name"]: row["miou"] for row in report["objects"]}
    assert min(scores["red ball"], scores["green ball"]) > 0.9


@pytest.mark.parametrize(
    ("name", "damage", "reason"),
    [
        ("text", {"grounder": None}, r"finds the protocol's prompts.*`boxes` FILE, or `grounding`"),
        ("click", {"truth": Path("a")}, "for the protocols text and 3d-ovs; the truth for click"),
        ("click", {"query_radius": -1}, "the query radius is -1; expected 0 or more"),
        ("clusters", {"labels": None}, "run splatseg cluster"),
        ("objects", {"labels": None}, "run splatseg cluster"),
        ("click", without_features, "no segmentation features"),
        ("click3d", without_features, "no segmentation features"),
        ("text", without_features, "no segmentation features"),
        ("nvs", {"frames": ()}, "holds out no photo"),
        ("click", "objects.json", r"objects\.json does not exist"),
        ("click3", "prompts.json", r"prompts\.json"),
        ("nvs", "images/view_7.png", r"images/view_7\.png"),
    ],
)
def test_what_is_refused(name, damage, reason, clustered, capture, measure):
    """Options, values of the scene, or a file that is gone."""
    scene, options = clustered, {}
    if isinstance(damage, str):
        (capture / damage).unlink()
    elif callable(damage):
        scene = damage(clustered)
    elif hasattr(scene, next(iter(damage))):
        scene = dataclasses.replace(scene, **damage)
    else:
        options = damage
    with pytest.raises(SplatsegError, match=reason):
        measure(name, scene, **options)


def test_prompts_that_nothing_is_found_for(capture, measure):
    nothing = Grounder(MaskFolder(capture / "images"))
    with pytest.raises(SplatsegError, match=r"images has an answer to none of the 3 .* view_1"):
        measure("text", grounder=nothing)
