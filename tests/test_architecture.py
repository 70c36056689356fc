"""The rules of the house that no single module can show: layers, light start-up, words."""

import ast
import importlib
import importlib.util
import json
import pkgutil
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

import splatseg

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ROOT / "src"
HEAVY = ("torch", "numpy", "scipy", "jaxtyping", "PIL", "pycolmap", "sklearn")
"""What takes longer to import than `splatseg --help` may take."""
BRITISH = re.compile(
    r"colour|centre|neighbour|behaviour|favour|labell|travell|modell|cancell"
    r"|grey\b|licence\b|artefact|catalogue|analys(?:e|ing)\b"
    r"|(?:recogn|organ|normal|initial|optim|visual|summar|minim|maxim|parametr|real|regular)is(?:e|ing)",
    re.IGNORECASE,
)

Arrow = tuple[str, str]


def modules() -> Iterator[tuple[str, Path]]:
    """Every module of the package by its dotted name."""
    for path in sorted(SOURCES.rglob("*.py")):
        parts = path.relative_to(SOURCES).with_suffix("").parts
        yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


def imports_of(module: str, path: Path) -> set[str]:
    """The modules of splatseg that a module imports, at any depth, but not for types alone."""
    found: set[str] = set()
    package = module if path.stem == "__init__" else module.rpartition(".")[0]

    def visit(node: ast.AST) -> None:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            return
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            origin = "." * node.level + (node.module or "")
            base = importlib.util.resolve_name(origin, package)
            found.update(f"{base}.{alias.name}" for alias in node.names)
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(ast.parse(path.read_text(encoding="utf-8")))
    return {name for name in found if name.startswith("splatseg.")}


def parts_of(layer: str) -> list[str]:
    return [part.strip(" ()") for part in layer.split("|")]


def arrows_upward(arrows: Iterable[Arrow], layers: list[str]) -> list[Arrow]:
    """Imports of a higher layer, or of another part of the same one; highest layer first.

    A layer is a line of the contract in pyproject.toml: parts that may not import each other are
    separated by `|`. Modules outside all layers import nothing.
    """
    rank = {part: at for at, line in enumerate(layers) for part in parts_of(line)}

    def part_of(module: str) -> str | None:
        return next((part for part in rank if f"{module}.".startswith(f"{part}.")), None)

    def is_wrong(source: str, target: str) -> bool:
        above, below = part_of(source), part_of(target)
        if below is None or above == below:
            return False
        return above is None or rank[above] >= rank[below]

    return [arrow for arrow in arrows if is_wrong(*arrow)]


def contract() -> list[str]:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    return settings["tool"]["importlinter"]["contracts"][0]["layers"]


@pytest.mark.parametrize(
    ("arrow", "wrong"),
    [
        (("p.cli.pick", "p.scene"), False),
        (("p.scene.ply", "p.scene.manifest"), False),
        (("p.scene.ply", "p.cli"), True),
        (("p.text.words", "p.editing.edits"), True),  # neighbors that may not know each other
        (("p.texture", "p.scene"), True),  # in no layer, whatever its name begins with
    ],
)
def test_an_arrow_upward_is_found(arrow, wrong):
    layers = ["p.cli", "p.text | p.editing", "p.scene"]
    assert arrows_upward([arrow], layers) == ([arrow] if wrong else [])


def test_imports_point_only_downward():
    arrows = [
        (name, target)
        for name, path in modules()
        if name not in ("splatseg", "splatseg.__main__")
        for target in imports_of(name, path)
    ]
    assert len(arrows) > 500  # the walk sees the code
    assert arrows_upward(arrows, contract()) == []


def test_every_package_has_its_layer():
    parts = {part for line in contract() for part in parts_of(line)}
    tops = {".".join(name.split(".")[:2]) for name, _ in modules()}
    assert tops - {"splatseg", "splatseg.__main__"} == parts


def test_the_command_line_starts_without_torch():
    names = [name for name, _ in modules() if name.startswith("splatseg.cli")]
    script = (
        "import importlib, sys\n"
        f"for name in {names!r}:\n"
        "    importlib.import_module(name)\n"
        f"    heavy = [name for name in {HEAVY!r} if name in sys.modules]\n"
        "    if heavy: sys.exit(f'{name} imports {heavy}')\n"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


def clients() -> Iterator[tuple[Path, str]]:
    """Programs that use splatseg as anyone may: examples, benchmarks and the notebook's cells."""
    for folder in ("examples", "benchmarks"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            yield path, path.read_text(encoding="utf-8")
        for path in sorted((ROOT / folder).rglob("*.ipynb")):
            cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
            code = ("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
            yield path, "\n".join(code)


def test_clients_call_the_api_and_not_the_command_line():
    uses = re.compile(r"splatseg\.cli|from splatseg import cli")
    assert [path.name for path, text in clients() if uses.search(text)] == []


def below_the_command_line() -> Iterator[tuple[str, ast.Module]]:
    for name, path in modules():
        if not name.startswith(("splatseg.cli", "splatseg.__main__")):
            yield name, ast.parse(path.read_text(encoding="utf-8"))


def messages(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Strings that a program uses, and their lines; docstrings are for who reads the code."""
    comments = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    texts = (node for node in ast.walk(tree) if isinstance(node, ast.Constant))
    for text in texts:
        if isinstance(text.value, str) and id(text) not in comments:
            yield text.lineno, text.value


def test_only_the_command_line_spells_flags():
    spelled = [
        f"{name}:{line}: {text}"
        for name, tree in below_the_command_line()
        for line, text in messages(tree)
        if re.search(r"(?<![\w-])--[a-z]", text.replace("pip install --upgrade", ""))
    ]
    assert spelled == []


def test_only_the_command_line_prints():
    printing = [
        f"{name}:{node.lineno}"
        for name, tree in below_the_command_line()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "print"
    ]
    assert printing == []


def test_spelling_is_american():
    texts = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]
    for folder in ("src", "tests", "benchmarks", "examples", "native"):
        texts += (
            p for p in (ROOT / folder).rglob("*") if p.suffix in (".py", ".pyi", ".cpp", ".h")
        )
    british = [
        f"{path.relative_to(ROOT)}:{number}: {word[0]}"
        for path in texts
        if path != Path(__file__)
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if (word := BRITISH.search(line))
    ]
    assert british == []


PACKAGES = ["splatseg"] + [
    found.name for found in pkgutil.walk_packages(splatseg.__path__, "splatseg.") if found.ispkg
]


@pytest.mark.parametrize("name", PACKAGES)
def test_public_names_of_a_package_resolve(name):
    package = importlib.import_module(name)
    stub = Path(str(package.__file__)).with_suffix(".pyi")
    if not stub.exists():
        return
    for node in ast.parse(stub.read_text(encoding="utf-8")).body:
        assert isinstance(node, ast.ImportFrom) and node.level == 1, ast.unparse(node)
        for alias in node.names:
            assert alias.asname == alias.name
            assert getattr(package, alias.name) is not None
