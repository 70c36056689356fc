"""From words to masks by the command line, with tiny random detectors: what they find is noise."""

import json

import pytest
from PIL import Image

from splatseg.cli import main
from splatseg.masks import read_label_map


@pytest.mark.parametrize(
    ("kind", "score"), [("grounding-dino", "0"), ("owlv2", "0"), ("owlv2", "1"), ("sam3", "0")]
)
def test_a_detector_finds_and_a_scene_answers(kind, score, folders, scene_copy, capsys):
    """Whatever the noise means, it is one thing of the scene, or none with a sentence."""
    command = ["pick", str(scene_copy), "--text", "red mug", "--detector", str(folders(kind))]
    command += ["--min-score", score, "--text-in", "view_0", "--text-in", "view_4", "--debug"]
    status = main([*command, "--json"])
    out, err = capsys.readouterr()
    folder = scene_copy / "picks" / "object"
    if status == 0 and score == "0":
        labels = {path.stem: read_label_map(path) for path in folder.glob("masks/*.png")}
        shown = {name: int((label_map > 0).sum()) for name, label_map in labels.items()}
        assert shown == json.loads(out)["pixels"] and (folder / "debug" / "1.png").exists()
    else:
        assert status == 3 and "finds no 'red mug' in view_0, view_4" in err
        assert "or lower --min-score" in err and not folder.exists()


def test_a_protocol_takes_a_detector(folders, scene_copy, capture_copy, synthetic, capsys):
    folder = capture_copy / "test_mask" / "view_1"
    folder.mkdir(parents=True)
    Image.fromarray(synthetic.truth["view_1"] == 1).save(folder / "red mug.png")
    command = ["evaluate", str(scene_copy), str(capture_copy), "--protocol", "text", "--detector"]
    status = main([*command, str(folders("owlv2")), "--min-score", "0", "--json"])
    out, err = capsys.readouterr()
    assert status == 0, err
    report = json.loads(out)
    assert report["grounded_by"] == "owlv2" and 0 <= report["miou"] <= 1
    assert (scene_copy / "evaluation" / "text_grounding.png").exists()
