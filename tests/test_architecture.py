"""The rules of the house that no single module can show: layers, words, public names."""

import ast
import importlib
import pkgutil
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import splatseg

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ROOT / "src"
BRITISH = re.compile(
    r"colour|centre|neighbour|behaviour|favour|labell|travell|modell|cancell"
    r"|grey\b|licence\b|artefact|catalogue|analys(?:e|ing)\b"
    r"|(?:recogn|organ|normal|initial|optim|visual|summar|minim|maxim|parametr|real|regular)is(?:e|ing)",
    re.IGNORECASE,
)


def modules() -> Iterator[tuple[str, Path]]:
    """Every module of the package by its dotted name."""
    for path in sorted(SOURCES.rglob("*.py")):
        parts = path.relative_to(SOURCES).with_suffix("").parts
        yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


def test_imports_point_only_downward():
    pytest.importorskip("importlinter", reason="the layers are read by import-linter")
    # In a process of its own: it switches the loggers of this one off.
    program = (
        "import sys; from importlinter.cli import lint_imports\n"
        "sys.exit(lint_imports(sys.argv[1], no_cache=True, no_logo=True))"
    )
    command = [sys.executable, "-c", program, str(ROOT / "pyproject.toml")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_package_has_its_layer():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    layers = settings["tool"]["importlinter"]["contracts"][0]["layers"]
    parts = {part.strip() for line in layers for part in line.split("|")}
    tops = {".".join(name.split(".")[:2]) for name, _ in modules()}
    assert tops - {"splatseg", "splatseg.__main__"} == parts


def test_clients_call_the_api_and_not_the_command_line():
    """Examples, benchmarks and the notebook use splatseg as anyone may."""
    folders = (ROOT / "examples", ROOT / "benchmarks")
    paths = [p for folder in folders for p in folder.rglob("*") if p.suffix in (".py", ".ipynb")]
    uses = re.compile(r"(import|from) splatseg\.cli|from splatseg import cli")
    assert paths and [p.name for p in paths if uses.search(p.read_text(encoding="utf-8"))] == []


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


PACKAGES = [found for found in pkgutil.walk_packages(splatseg.__path__, "splatseg.") if found.ispkg]


@pytest.mark.parametrize("name", ["splatseg", *(found.name for found in PACKAGES)])
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
