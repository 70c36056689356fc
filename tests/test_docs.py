"""The documentation names things that exist: files, anchors, code, commands and flags."""

import ast
import builtins
import functools
import importlib
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
DOCS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
CODE_FOLDERS = ("src", "native", "benchmarks", "tests", "examples")
CODE_FILES = ("pyproject.toml", "CMakeLists.txt", "Makefile", ".clang-format")
CODE_SUFFIXES = (".py", ".pyi", ".cpp", ".h")
OTHER_PROGRAMS = {"amg.py", "scripts/amg.py", "run_sam.py", "extract_segment_everything_masks.py"}

by_name = pytest.mark.parametrize("doc", DOCS, ids=lambda doc: doc.name)


def prose(doc: Path) -> str:
    """A document without its fenced blocks."""
    return re.sub(r"^```.*?^```$", "", doc.read_text(encoding="utf-8"), flags=re.M | re.S)


def blocks(doc: Path, *languages: str) -> list[str]:
    """The fenced blocks in one of these languages; "" is a block that names none."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", doc.read_text(encoding="utf-8"), re.M | re.S)
    return [text for language, text in found if language in languages]


def inline_code(doc: Path) -> list[str]:
    return re.findall(r"(?<!`)`([^`\n]+)`(?!`)", prose(doc))


def anchors(doc: Path) -> set[str]:
    """What GitHub calls the headings of a document."""
    titles = re.findall(r"^#+ (.*)$", prose(doc), re.M)
    plain = [re.sub(r"[^\w\- ]", "", title.lower()) for title in titles]
    return {title.strip().replace(" ", "-") for title in plain}


@by_name
def test_links_lead_somewhere(doc):
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(doc)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        to = (doc.parent / path).resolve() if path else doc
        assert to.exists(), target
        assert not anchor or anchor in anchors(to), target


@functools.cache
def code_paths() -> tuple[str, ...]:
    paths = (path for folder in CODE_FOLDERS for path in (ROOT / folder).rglob("*"))
    return tuple("/" + path.relative_to(ROOT).as_posix() for path in paths)


@functools.cache
def words() -> frozenset[str]:
    """Every identifier and key that occurs in the code."""
    paths = [ROOT / name for name in CODE_FILES]
    paths += [ROOT / path[1:] for path in code_paths() if path.endswith(CODE_SUFFIXES)]
    own = Path(__file__)
    texts = (path.read_text(encoding="utf-8") for path in paths if path != own)
    return frozenset(word for text in texts for word in re.findall(r"\w+", text))


@functools.cache
def definitions() -> frozenset[str]:
    """Every class, function and method of the package."""
    defining = (ast.FunctionDef, ast.ClassDef)
    trees = (ast.parse(path.read_text(encoding="utf-8")) for path in (ROOT / "src").rglob("*.py"))
    return frozenset(
        node.name for tree in trees for node in ast.walk(tree) if isinstance(node, defining)
    )


def resolves(name: str) -> bool:
    """Whether a dotted name is a module, or an attribute of one."""
    parts = name.split(".")
    for cut in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:cut]))
        except ModuleNotFoundError:
            continue
        return all((found := getattr(found, part, None)) is not None for part in parts[cut:])
    return False


def is_stale(code: str) -> bool:
    """Whether inline code names something of ours that is not there."""
    if code in OTHER_PROGRAMS or re.search(r"\bNAME\b", code):
        return False
    if re.fullmatch(r"[\w/]+\.(py|cpp|h)", code):
        return not any(path.endswith(f"/{code}") for path in code_paths())
    if re.fullmatch(r"splatseg(\.[A-Za-z_]\w*)+", code):
        return not resolves(code)
    if call := re.fullmatch(r"(?:[a-z_]+\.)*(\w+)\(.*\)(\.\w+)?", code):
        return not (call[1] in definitions() or hasattr(builtins, call[1]))
    looks_like_code = re.fullmatch(
        r"[a-z]+(?:_[a-z0-9]+)+|[A-Z]+(?:_[A-Z]+)+|(?:[A-Z][a-z0-9]+){2,}", code
    )
    return bool(looks_like_code) and code not in words()


EXISTS = ["splatseg.render.backproject", "picker.py", "render(gaussians, camera).image", "images/",
          "cam_from_world", "native/splatseg.h", "masks/formats/NAME.py"]  # fmt: skip
STALE = ["splatseg.render.splat", "segmentation/bodies.py", "seen_features()", "MIN_VOTE_SHARES",
         "PointPrompts"]  # fmt: skip


def test_a_stale_name_is_told():
    assert [code for code in EXISTS + STALE if is_stale(code)] == STALE


@by_name
def test_code_in_prose_exists(doc):
    assert [code for code in inline_code(doc) if is_stale(code)] == []


@by_name
def test_python_of_a_document_knows_its_names(doc):
    known = set(dir(builtins))
    for block in blocks(doc, "python", "py"):
        tree = ast.parse(block)
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith("splatseg"):
                for alias in node.names:
                    assert resolves(f"{node.module}.{alias.name}"), ast.unparse(node)
            if isinstance(node, ast.Import | ast.ImportFrom):
                known |= {alias.asname or alias.name.split(".")[0] for alias in node.names}
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                known.add(node.name)
            if isinstance(node, ast.arg):
                known.add(node.arg)
        names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
        known |= {name.id for name in names if isinstance(name.ctx, ast.Store)}
        assert {name.id for name in names} <= known


def commands(doc: Path) -> Iterator[list[str]]:
    """The words of each `splatseg VERB …` that a document shows."""
    shown = "\n".join(blocks(doc, "sh", "")).replace("\\\n", " ").splitlines()
    for line in [*shown, *inline_code(doc)]:
        if match := re.match(r"splatseg ([a-z].*)", line.strip()):
            yield shlex.split(match[1].replace("…", ""), comments=True)


def all_flags() -> dict[str, set[str]]:
    """The flags that the documents show, by verb."""
    flags: dict[str, set[str]] = {}
    for doc in DOCS:
        for verb, *rest in commands(doc):
            for name in verb.split(","):
                shown = {word.split("=")[0] for word in rest if re.match(r"--?[a-z]", word)}
                flags.setdefault(name, set()).update(shown)
    return flags


@pytest.mark.parametrize(("verb", "flags"), sorted(all_flags().items()))
def test_commands_and_their_flags_exist(verb, flags, capsys):
    from splatseg.cli import main

    with pytest.raises(SystemExit) as ended:
        main([verb, "--help"])
    assert ended.value.code == 0
    known = set(re.findall(r"(?<![\w-])--?[a-z][\w.-]*", capsys.readouterr().out))
    assert flags <= known


def test_the_citation_has_the_version_of_the_package():
    from splatseg.version import __version__

    assert f"\nversion: {__version__}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
