"""Every verb on the synthetic scene: exit status, one JSON object on stdout, words on stderr."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from builders.progress import At
from PIL import Image

from splatseg.cli import main
from splatseg.cli.edit import parse_color, parse_rotation
from splatseg.evaluation import PROTOCOLS, iou
from splatseg.masks import read_label_map
from splatseg.scene import load_scene

MIN_IOU = 0.7  # of a ball in the view of the prompt; most have 0.9
NOTHING_FOUND = 3
TRAINED, EDITED = "scene seconds gaussians", "scene selected gaussians"
EDIT = "{labeled} -o {tmp}/new --object 1 --selection ball"
EXPORT = "export {labeled} -o {tmp}/out"
VERBS = [
    ("train {capture} --preset paper --iterations 4 --contrastive.interval 2", TRAINED,
     "8 training photos at 96x72, 2 held out, 578 points, masks noisy|next: splatseg cluster "),
    ("train {capture} -o {tmp}/out --preset=rgb --iterations 3", TRAINED, "splatseg render "),
    ("lift {scene} {capture} -o {tmp}/out --lift.steps 5 --features 8 --seed 3",
     "scene levels seconds gaussians", "next: splatseg cluster "),
    ("cluster {scene}", "scene unassigned floaters objects", "3 objects, and 1 of the background;"),
    ("render {scene}", "renders contact_sheet views", "2 views: photo, color, features"),
    ("pick {scene} --at {red}", "pick gaussians pixels", "the object shows in 10 of 10 views|look"),
    (f"extract {EDIT}", EDITED, "160 Gaussians selected; the new scene has "),
    (f"remove {EDIT}", f"{EDITED} unseen", "the scene is a guess there: see "),
    (f"hide {EDIT}", EDITED, "look here first"),
    (f"recolor {EDIT} --color red --strength 0.3", EDITED, "look here first"),
    (f"move {EDIT} --by=-0.1,0,0 --rotate z,90 --scale 1.5", EDITED, "look here first"),
    (f"{EXPORT}.ply --object 1 --selection ball", "export format gaussians bytes", "160 Gaussians"),
    (f"{EXPORT} --format splat --per-object", "export format objects", "3 objects as splat"),
    (f"{EXPORT} --format sa1b", "export format views things", "masks of 3 objects in 10 views"),
    (f"{EXPORT}.mp4 --path flight --views 2", "export format views", "2 views as video"),
    ("doctor", "splatseg python system packages torch_build backend native cuda", "native engine"),
]  # fmt: skip


@pytest.mark.parametrize(("command", "keys", "words"), VERBS)
def test_json_is_on_stdout_and_words_on_stderr(command, keys, words, typed, tmp_path, capsys):
    if ".mp4" in command:
        pytest.importorskip("av")
    assert main([*typed(command), "--json"]) == 0
    said = capsys.readouterr()
    assert list(json.loads(said.out)) == keys.split()
    assert all(text in said.err for text in words.split("|"))
    if (tmp_path / "new").exists():
        verb = command.split()[0]
        assert load_scene(tmp_path / "new").config["edits"] == [f"{verb} 1, ball"]


FIGURES = [
    ("random-click --query-radius 0", "random-click/1: miou 0."),
    ("click3", "red ball|mbiou|best|click3/1: miou 0.|at each object's best threshold (a diagnosis,"
     " no result): miou 0.|with each object's worst click: miou 0.|click3.json  (every figure)|"
     "click3_worst.png  (look here first)"),
    ("objects", "parts|objects/1: miou 0.|tp 3, fp 0, fn 0|over-segmented 0"),
    ("3d-ovs --grounding {tmp}/grounding --truth {tmp}/truth", "red ball|3d-ovs/2: miou 0.|without "
     "the view that the prompts were grounded in: miou 0.|what each prompt was taken for"),
]  # fmt: skip


@pytest.mark.parametrize(("protocol", "words"), FIGURES)
def test_figures(protocol, words, typed, scene_copy: Path, synthetic, tmp_path: Path, capsys):
    for folder, view in {"truth/view_1": 1, "truth/view_7": 7, "grounding": 1}.items():
        (tmp_path / folder).mkdir(parents=True)
        Image.fromarray(synthetic.truth[f"view_{view}"] == 1).save(
            tmp_path / folder / "red ball.png"
        )
    (tmp_path / "truth" / "classes.txt").write_text("red ball")
    if protocol == "objects":
        assert main(typed("cluster {scene}")) == 0
    capsys.readouterr()
    assert main([*typed(f"evaluate {{scene}} {{capture}} --protocol {protocol}"), "--json"]) == 0
    said = capsys.readouterr()
    assert all(text in said.err for text in words.split("|"))
    file = scene_copy / "evaluation" / f"{protocol.split()[0]}.json"
    assert json.loads(file.read_text()) == json.loads(said.out)


def test_help_says_what_each_protocol_measures(capsys) -> None:
    with pytest.raises(SystemExit):
        main(["evaluate", "--help"])
    shown = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert all(f"{name}: {what}." in shown for name, what in PROTOCOLS.items())


def test_every_prompt_and_earlier_pick(typed, synthetic, scene_copy, tmp_path, capsys) -> None:
    truth = synthetic.truth["view_0"]
    rows, columns = np.nonzero(truth == 1)
    edges = f"{columns.min()},{rows.min()},{columns.max() + 1},{rows.max() + 1}"
    x, y = synthetic.click(1, "view_0")
    green, other = ("view_0:{},{}".format(*synthetic.click(k, "view_0")) for k in (2, 3))
    Image.fromarray(truth == 1).save(tmp_path / "ball.png")
    prompts = (
        f"pick {{scene}} --name balls --at {{red}} --at {green} --not-at {other}"
        f" --box view_0:{edges} --scribble view_0:{x},{y},{x + 2},{y}"
        " --mask view_0:{tmp}/ball.png"
    )
    assert main(typed(prompts)) == 0
    mask = read_label_map(scene_copy / "picks" / "balls" / "masks" / "view_0.png")
    assert set(np.unique(mask)) == {0, 255} and iou(mask > 0, np.isin(truth, (1, 2))) > MIN_IOU
    combined = "pick {scene} --add balls --subtract {scene}/picks/balls --grow -1 -o {tmp}/none"
    assert main(typed(combined)) == 0
    assert "0 Gaussians;" in capsys.readouterr().out and (tmp_path / "none").exists()
    points = {"ball": {"at": typed("{red}")}}
    (tmp_path / "points.json").write_text(json.dumps(points))
    assert main([*typed("pick {scene} --points {tmp}/points.json"), "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["objects"]
    assert (row["id"], row["name"]) == (1, "ball")


def test_nothing_found_exits_3(typed, scene_copy: Path, tmp_path: Path, capsys) -> None:
    boxes = {"view_0": [{"prompt": "red", "box": [0, 0, 2, 2]}]}
    (tmp_path / "boxes.json").write_text(json.dumps(boxes))
    command = typed("pick {scene} --boxes {tmp}/boxes.json --text red --debug")
    assert main(command) == NOTHING_FOUND
    assert "look in other views with --text-in, or say" in capsys.readouterr().err


def test_training_goes_on_and_says_so(
    typed, capture_copy: Path, capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.move(capture_copy / "transforms.json", capture_copy / "mine.json")
    command = typed("train {capture} --poses {capture}/mine.json --preset rgb --iterations 3")
    stopped = At(stage="training", done=2)
    with monkeypatch.context() as patch:
        patch.setattr(
            "splatseg.cli.progress_bar.ProgressBar.update", lambda _, *at: stopped.update(*at)
        )
        assert main(command) == 130
    assert "progress is saved in" in capsys.readouterr().out
    assert main([*command, "--seed", "5"]) == 2
    assert "unfinished run with other settings (seed was 0, now 5)" in capsys.readouterr().err
    assert main(command) == main(command) == 0
    shown = capsys.readouterr().out
    assert "is already trained with these settings; --restart" in shown
    assert "masks" not in shown and "splatseg cluster" not in shown


def test_colors_and_rotations_as_they_are_typed() -> None:
    assert parse_color("#ff8000") == pytest.approx((1, 128 / 255, 0))
    assert parse_rotation("y,180") == pytest.approx((0, 0, 1, 0), abs=1e-6)
    assert parse_rotation("1,0,0,2") == (1, 0, 0, 2)
