"""`splatseg export`: arguments in, one workflow, words out."""

import json
from pathlib import Path

import pytest
from builders.labeled_scene import write_labeled_scene

from splatseg.cli import main


@pytest.fixture
def labeled(synthetic, tmp_path: Path) -> Path:
    return write_labeled_scene(synthetic, tmp_path / "scene")


@pytest.mark.parametrize(
    ("name", "arguments", "keys", "words"),
    [
        ("a.ply", ("--object", 1, "--selection", "ball"), ("gaussians", "bytes"), "160 Gaussians"),
        ("a", ("--format", "splat", "--per-object"), ("objects",), "3 objects as splat"),
        ("a", ("--format", "sa1b"), ("views", "things"), "masks of 3 objects in 10 views"),
        ("a.mp4", ("--path", "flight", "--views", 2), ("views",), "2 views as video"),
    ],
)
def test_each_kind_of_export(
    name: str, arguments: tuple, keys: tuple[str, ...], words: str, labeled: Path, tmp_path, capsys
) -> None:
    if name == "a.mp4":
        pytest.importorskip("av")
    command = ["export", str(labeled), "-o", str(tmp_path / name), *map(str, arguments)]
    assert main([*command, "--json"]) == 0
    said = capsys.readouterr()
    assert list(json.loads(said.out)) == ["export", "format", *keys]
    assert words in said.err and f"wrote {tmp_path / name}  (" in said.err


def test_refused_in_one_sentence_with_flags(labeled: Path, tmp_path: Path, refused) -> None:
    sentences = {
        ("x.ply", "--views", 3): "--path, --views and --in-scene are for masks and videos",
        ("x.mp4", "--views", 0): "--views is 0; expected at least 1",
        ("x.avi", "--format", "video"): "rename it or leave --format out",
        ("scene/scene.ply",): "belongs to a scene; give -o another name",
    }
    for (output, *arguments), sentence in sentences.items():
        assert sentence in refused("export", labeled, "-o", tmp_path / output, *arguments)
