"""The engine's own settings: instruction sets, threads, pooled memory, where it is found."""

import gc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from splatseg import render
from splatseg.engine import library as engine
from splatseg.errors import SplatsegError

pytestmark = pytest.mark.skipif(
    not engine.is_available(), reason="the native engine was not compiled"
)


@pytest.fixture(autouse=True)
def restore() -> Iterator[None]:
    before = engine.instruction_set(), engine.threads()
    yield
    engine.use_instruction_set(before[0])
    engine.set_threads(before[1])


def test_the_best_instruction_set_is_first_and_portable_last():
    known = ["avx512", "avx2", "portable"]
    available = engine.instruction_sets()
    assert available == [name for name in known if name in available]
    assert available[-1] == "portable"
    for name in available:
        engine.use_instruction_set(name)
        assert engine.instruction_set() == name
        with pytest.raises(SplatsegError, match="avx1024 is not available here; this machine runs"):
            engine.use_instruction_set("avx1024")
        assert engine.instruction_set() == name


@pytest.mark.parametrize("asked", [0, 2, 3, 7, 100_000])
def test_threads_are_settable_and_do_not_change_the_image(asked, make_gaussians, make_camera):
    """As far as the engine allows."""
    gaussians = make_gaussians(100).to(torch.float32)
    images = []
    for count in (1, asked):
        engine.set_threads(count)
        assert engine.threads() == count or (count not in range(1, 257))
        images.append(render.render(gaussians, make_camera(70, 50)).image)
    assert 1 <= engine.threads() <= 256
    assert torch.equal(images[0], images[1])


def test_instruction_sets_may_change_while_a_view_lives(make_gaussians, make_camera):
    gaussians = make_gaussians(60).to(torch.float32)
    view = render.project(gaussians, make_camera(), backend="native")
    votes = render.backproject(view, torch.ones(29, 37, 1))
    for name in engine.instruction_sets():
        engine.use_instruction_set(name)
        torch.testing.assert_close(render.backproject(view, torch.ones(29, 37, 1)), votes)


def test_pools_are_kept_and_released(make_gaussians, make_camera):
    gc.collect()
    engine.release_pools()
    empty = engine.pooled_bytes()
    gaussians = make_gaussians(500).to(torch.float32)
    view = render.project(gaussians, make_camera(), backend="native")
    first = render.rasterize(view, view.colors).image
    held = engine.pooled_bytes()
    assert held > empty
    engine.release_pools()
    assert empty < engine.pooled_bytes() < held, "a living view keeps its memory"
    assert torch.equal(render.rasterize(view, view.colors).image, first)
    del view
    gc.collect()
    engine.release_pools()
    assert engine.pooled_bytes() == empty


def test_many_views_do_not_leak(make_gaussians, make_camera):
    gaussians, held = make_gaussians(200).to(torch.float32), []
    for count in (2, 10):
        for _ in range(count):
            views = [render.project(gaussians, make_camera(), backend="native") for _ in range(5)]
            for view in views:
                render.backproject(view, torch.ones(29, 37, 1))
        del views, view
        gc.collect()
        held.append(engine.pooled_bytes())
    assert held[0] == held[1]


def test_intersections_count_tiles(make_gaussians, make_camera):
    """One wide Gaussian touches all 3 x 2 tiles of a 37x29 image; none touch without Gaussians."""
    gaussians = make_gaussians(1).to(torch.float32)
    gaussians.means[:] = torch.tensor([0.0, 0.0, 3.0])
    gaussians.log_scales[:] = 1.0
    view = render.project(gaussians, make_camera(), backend="native")
    assert view.tiles.count == 6
    none = render.project(make_gaussians(0).to(torch.float32), make_camera(), backend="native")
    assert none.tiles.count == 0


def test_python_threads_take_turns(make_gaussians, make_camera):
    """Kernels share scratch memory; calls from several threads must not mix."""
    scenes = [make_gaussians(100, seed=seed).to(torch.float32) for seed in range(4)] * 10
    expected = [render.render(scene, make_camera()).image for scene in scenes[:4]] * 10
    with ThreadPoolExecutor(4) as pool:
        images = pool.map(lambda scene: render.render(scene, make_camera()).image, scenes)
        assert all(torch.equal(a, b) for a, b in zip(images, expected, strict=True))


def test_the_library_is_found_in_any_folder_of_the_package(tmp_path, monkeypatch):
    """An editable install keeps it apart from the Python files."""
    name = engine.LIBRARY_NAMES.get(engine.sys.platform, "libsplatseg_engine.so")
    built = tmp_path / "splatseg" / "engine" / name
    built.parent.mkdir(parents=True)
    built.touch()
    find = engine.find_library.__wrapped__
    monkeypatch.setattr(engine, "__file__", str(tmp_path / "elsewhere" / "library.py"))
    monkeypatch.setattr("sys.path", ["nowhere", str(tmp_path)])
    assert find() == built
    built.unlink()
    assert find() is None


def test_without_a_library_the_message_says_what_to_do(monkeypatch):
    monkeypatch.setattr(engine, "find_library", lambda: None)
    with pytest.raises(SplatsegError, match="reference backend"):
        engine.library.__wrapped__()
    assert not engine.is_available()
    assert render.default_backend().name == "reference"


def test_a_library_of_another_version_is_refused(monkeypatch):
    built = engine.ABI
    monkeypatch.setattr(engine, "ABI", built + 1)
    with pytest.raises(SplatsegError, match=f"has ABI {built}, expected {built + 1}; reinstall"):
        engine.library.__wrapped__()
