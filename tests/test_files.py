"""Files and folders are whole or absent, whatever fails and whenever the process dies."""

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import torch
from builders.dying_disk import DyingDisk, Killed

from splatseg.errors import SplatsegError
from splatseg.files import replacing_file, replacing_folder, write_bytes
from splatseg.tensor_files import read_tensors, write_tensors


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Let the system refuse to write more than `size` bytes to one file, as a full disk would."""
    resource = pytest.importorskip("resource", reason="only Unix limits the size of a file")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def fill(folder: Path, text: str) -> None:
    (folder / "a").write_text(text)
    (folder / "deep").mkdir()
    (folder / "deep" / "b").write_text(text)


def texts(folder: Path) -> set[str]:
    return {path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_a_file_is_replaced_and_its_folder_made(tmp_path):
    path = tmp_path / "new" / "step_1.safetensors"
    for data in (b"one", b"two"):
        write_bytes(path, data)
        assert path.read_bytes() == data
    assert os.listdir(path.parent) == [path.name]
    path.unlink()
    with replacing_file(path, 1) as temporary:  # which is not taken for a result
        temporary.touch()
        assert temporary.name.startswith(".") and not list(path.parent.glob("*.safetensors"))
    assert list(path.parent.glob("*.safetensors")) == [path]


def assert_unchanged(path: Path, error: str) -> None:
    assert error.endswith("; what was there is unchanged")
    assert path.read_bytes() == b"old"
    assert os.listdir(path.parent) == [path.name]


@pytest.mark.parametrize(
    "write",
    [
        lambda path: write_bytes(path, bytes(100_000)),
        lambda path: write_tensors(path, {"a": torch.zeros(25_000)}, {}),
    ],
)
def test_a_full_disk_leaves_the_old_file_and_no_rubbish(tmp_path, write):
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    with largest_file(4096), pytest.raises(SplatsegError) as caught:
        write(path)
    sentence = str(caught.value)
    assert f"cannot write {path} (0.1 MB needed, " in sentence
    assert "MB free): " in sentence and "File too large" in sentence
    assert_unchanged(path, sentence)


@pytest.mark.parametrize("failing", ["os.fsync", "os.replace"])
def test_a_failure_late_in_the_write_leaves_the_old_file(tmp_path, monkeypatch, failing):
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    monkeypatch.setattr(failing, fail)
    with pytest.raises(SplatsegError, match="No space left on device") as caught:
        write_bytes(path, b"new")
    assert_unchanged(path, str(caught.value))


def test_a_path_through_a_file_is_refused(tmp_path):
    (tmp_path / "a").touch()
    with pytest.raises(SplatsegError, match=r"cannot write .*a/b/c\.txt \(3e-06 MB needed"):
        write_bytes(tmp_path / "a" / "b" / "c.txt", b"abc")
    with pytest.raises(SplatsegError, match="is a file; expected a folder, or nothing"):
        replacing_folder(tmp_path / "a").__enter__()


def test_an_exception_of_the_caller_passes_and_changes_nothing(tmp_path):
    write_bytes(tmp_path / "a", b"old")
    with pytest.raises(ZeroDivisionError), replacing_file(tmp_path / "a", 1) as temporary:
        temporary.write_bytes(b"half")
        raise ZeroDivisionError
    with pytest.raises(ZeroDivisionError), replacing_folder(tmp_path / "b") as temporary:
        fill(temporary, "half")
        raise ZeroDivisionError
    assert os.listdir(tmp_path) == ["a"]
    assert (tmp_path / "a").read_bytes() == b"old"


def test_a_folder_is_made_then_replaced(tmp_path):
    path = tmp_path / "deep" / "masks"
    for text in ("one", "two"):
        with replacing_folder(path) as temporary:
            fill(temporary, text)
        assert texts(path) == {text}
    assert os.listdir(path.parent) == ["masks"]


def test_a_folder_whose_second_rename_fails_comes_back(tmp_path, monkeypatch):
    path = tmp_path / "masks"
    path.mkdir()
    fill(path, "old")
    real, failures = os.replace, iter([False, True, False])

    def replace(source: Path, target: Path) -> None:
        if next(failures):
            raise PermissionError(errno.EACCES, "Permission denied")
        real(source, target)

    monkeypatch.setattr(os, "replace", replace)
    with (
        pytest.raises(SplatsegError, match=r"cannot write .*masks .*Permission denied"),
        replacing_folder(path) as temporary,
    ):
        fill(temporary, "new")
    assert texts(path) == {"old"}
    assert os.listdir(tmp_path) == ["masks"]


def until_killed(dying_disk: DyingDisk, last: int, write: Callable[[], None]) -> None:
    dying_disk.plug_in(last)
    with suppress(Killed):
        write()
    dying_disk.unplug()


def test_a_kill_at_any_step_leaves_a_whole_file(tmp_path, dying_disk):
    path, seen = tmp_path / "a", set()
    for last in range(20):
        path.write_bytes(b"old")
        until_killed(dying_disk, last, lambda: write_bytes(path, b"new"))
        seen.add(path.read_bytes())
    assert seen == {b"old", b"new"}
    assert os.listdir(tmp_path) == ["a"]


def test_a_kill_at_any_step_leaves_a_whole_folder_after_the_next_write(tmp_path, dying_disk):
    def write(text: str) -> None:
        with replacing_folder(path) as temporary:
            assert text != "next" or texts(path) in ({"old"}, {"new"})
            fill(temporary, text)

    path = tmp_path / "masks"
    for last in range(30):
        write("old")
        until_killed(dying_disk, last, lambda: write("new"))
        # Between the two renames, it has another name.
        found = texts(path) if path.exists() else texts(tmp_path / ".masks.old")
        assert found in ({"old"}, {"new"} if path.exists() else {"old"})
        write("next")
        assert os.listdir(tmp_path) == ["masks"]


def test_tensors_and_metadata_come_back(tmp_path):
    path = tmp_path / "step_100.safetensors"
    tensors = {
        "means": torch.randn(7, 3, generator=torch.Generator()).requires_grad_(),
        "ids": torch.arange(6).reshape(2, 3).T,  # not contiguous
        "none": torch.zeros(0, 16),
    }
    write_tensors(path, tensors, {"step": "100"})
    found, metadata = read_tensors(path)
    assert metadata == {"step": "100"}
    assert found.keys() == tensors.keys()
    assert all(torch.equal(found[name], tensors[name]) for name in tensors)
    write_tensors(path, {"a": torch.zeros(1)}, {})
    assert torch.equal(found["means"], tensors["means"])  # a copy, not a view of the file
    assert read_tensors(path)[1] == {}


def test_files_that_hold_no_tensors_are_refused(tmp_path):
    path = tmp_path / "a.safetensors"
    with pytest.raises(SplatsegError, match=r"a\.safetensors does not exist"):
        read_tensors(path)
    write_tensors(path, {"a": torch.zeros(100)}, {})
    whole = path.read_bytes()
    for data in (b"", whole[:50], whole[:-1], b"PK" + whole):
        path.write_bytes(data)
        with pytest.raises(SplatsegError, match=r"a\.safetensors is not a whole safetensors file"):
            read_tensors(path)
