"""The examples run, on the capture that ships with splatseg, and so does the code in the docs."""

import importlib.util
import inspect
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
from PIL import Image

import splatseg
from splatseg.training.config import PRESETS

ROOT = Path(__file__).parent.parent
# What is tested is that the examples work, not how good their scene is.
LIFT = replace(PRESETS["plus"].lift, steps=50, max_views=16)
QUICK = replace(PRESETS["plus"], iterations=300, lift=LIFT)
DOWNSCALE = 4


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "examples" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scene of the first example."""
    folder = tmp_path_factory.mktemp("demo")
    load("01_demo").demo(folder / "out" / "demo", QUICK, DOWNSCALE)
    return folder / "out" / "demo"


def test_the_demo_leaves_what_the_readme_shows(demo: Path) -> None:
    for name in ("scene.ply", "objects.json", "picks/drill/overview.png"):
        assert (demo / name).is_file()
    assert (demo / "renders" / "contact_sheet.png").is_file()
    for protocol in ("nvs", "click", "clusters"):
        assert (demo / "evaluation" / f"{protocol}.json").is_file()


@pytest.mark.parametrize(
    ("name", "function", "leaves"),
    [
        ("02_pick", "pick", ["drill.safetensors", "drill/scene.ply"]),
        ("03_words", "find", ["boxes.json"]),
        ("04_edit", "edit", ["without_apple/scene.ply"]),
        (
            "05_export",
            "export",
            ["drill.spz", "drill.glb", "boxes.json", "drill.json", "drill.mp4"],
        ),
    ],
)
def test_an_example_leaves_a_picture_and_what_it_says(
    name: str, function: str, leaves: list[str], demo: Path, tmp_path: Path
) -> None:
    getattr(load(name), function)(demo, tmp_path)
    for file in [*leaves, "picture.png"]:
        assert (tmp_path / file).is_file()
    with Image.open(tmp_path / "picture.png") as picture:
        assert picture.getextrema() != ((0, 0), (0, 0), (0, 0))


def test_a_splat_from_elsewhere_gets_objects(demo: Path, tmp_path: Path) -> None:
    load("06_your_splat").segment(demo / "scene.ply", tmp_path / "scene", LIFT, DOWNSCALE)
    assert (tmp_path / "scene" / "scene.ply").read_bytes() == (demo / "scene.ply").read_bytes()
    assert (tmp_path / "scene" / "objects.json").is_file()


@pytest.mark.parametrize("page", ["README.md", "docs/api.md"])
def test_the_python_in_the_docs_runs(
    page: str, demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(demo, tmp_path / "out" / "demo")
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)
    assert blocks
    for block in blocks:
        exec(compile(block, page, "exec"), {})
    assert (tmp_path / "out" / "drill.ply").is_file()


def test_the_notebook_runs(demo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(demo.parent.parent)
    notebook = json.loads((ROOT / "examples" / "07_notebook.ipynb").read_text())
    names: dict[str, object] = {}
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), "07_notebook", "exec"), names)


def test_every_public_name_is_documented() -> None:
    for name in set(splatseg.__all__) - {"__version__"}:
        thing = getattr(splatseg, name)
        assert inspect.getdoc(thing), name
        assert inspect.getmodule(thing).__name__.startswith("splatseg."), name
        assert re.search(rf"`{name}\b", (ROOT / "docs" / "api.md").read_text()), name
