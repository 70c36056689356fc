"""`splatseg evaluate`: what it prints, with and without `--json`."""

import json
from pathlib import Path

import pytest
from PIL import Image

from splatseg.cli import main
from splatseg.evaluation import PROTOCOLS


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """What a command prints on stdout."""
    capsys.readouterr()
    assert main(["evaluate", *map(str, arguments)]) == 0
    return capsys.readouterr().out


def test_json_is_the_report(scene_copy: Path, synthetic, capsys) -> None:
    """One object on stdout, and the same in the scene."""
    command = (scene_copy, synthetic.root, "--protocol", "random-click", "--query-radius", "0")
    report = json.loads(run(capsys, *command, "--json"))
    assert (report["protocol"], report["query_radius"]) == ("random-click/1", 0)
    assert json.loads((scene_copy / "evaluation" / "random-click.json").read_text()) == report


def test_people_read_figures_and_where_pictures_are(scene_copy: Path, synthetic, capsys) -> None:
    shown = run(capsys, scene_copy, synthetic.root, "--protocol", "click3")
    folder = scene_copy / "evaluation"
    for text in (
        *("red ball", "mbiou", "best", "click3/1: miou 0."),
        "at each object's best threshold (a diagnosis, no result): miou 0.",
        "with each object's worst click: miou 0.",
        f"wrote {folder / 'click3.json'}  (every figure)",
        f"wrote {folder / 'click3_worst.png'}  (look here first)",
    ):
        assert text in shown


def test_people_read_counts(scene_copy: Path, synthetic, capsys) -> None:
    assert main(["cluster", str(scene_copy)]) == 0
    shown = run(capsys, scene_copy, synthetic.root, "--protocol", "objects")
    for text in ("parts", "objects/1: miou 0.", "tp 3, fp 0, fn 0", "over-segmented 0"):
        assert text in shown


def test_people_read_what_prompts_were_taken_for(
    scene_copy: Path, capture_copy: Path, synthetic, capsys
) -> None:
    for folder in ("masks/view_1", "masks/view_7", "grounding"):
        (capture_copy / folder).mkdir(parents=True)
        mask = synthetic.truth["view_7" if folder.endswith("7") else "view_1"] == 1
        Image.fromarray(mask).save(capture_copy / folder / "red ball.png")
    (capture_copy / "masks" / "classes.txt").write_text("red ball")
    shown = run(
        *(capsys, scene_copy, capture_copy, "--protocol", "3d-ovs"),
        *("--grounding", capture_copy / "grounding", "--truth", capture_copy / "masks"),
    )
    for text in (
        *("red ball", "3d-ovs/2: miou 0."),
        "without the view that the prompts were grounded in: miou 0.",
        "3d-ovs_grounding.png  (what each prompt was taken for)",
    ):
        assert text in shown


def test_help_says_what_each_protocol_measures(capsys) -> None:
    with pytest.raises(SystemExit):
        main(["evaluate", "--help"])
    shown = " ".join(capsys.readouterr().out.replace("│", " ").split())
    for name, what in PROTOCOLS.items():
        assert f"{name}: {what}." in shown
