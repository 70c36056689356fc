"""Rendered views: which frames and kinds, and what they show."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from builders.progress import Recorder
from PIL import Image

from splatseg.errors import SplatsegError
from splatseg.images import save_mask
from splatseg.scene import load_scene, save_scene
from splatseg.viz.config import FrameSet
from splatseg.viz.labels import label_palette
from splatseg.viz.pictures import HIGHLIGHT
from splatseg.workflows.rendering import render_views


def picture(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image, dtype=int)


def test_held_out_views_of_all_kinds_show_the_truth(labeled: Path, synthetic) -> None:
    result = render_views(labeled)
    folder = labeled / "renders"
    assert result.to_json()["contact_sheet"] == str(folder / "contact_sheet.png")
    assert result.kinds == ("photo", "color", "features", "clusters")
    assert {path.name for path in folder.iterdir()} == {*result.kinds, "contact_sheet.png"}
    for kind in result.kinds:
        names = {path.name for path in (folder / kind).iterdir()}
        assert names == {"view_1.png", "view_7.png"}
    photo = picture(folder / "photo" / "view_1.png")
    assert np.array_equal(photo, picture(synthetic.root / "images" / "view_1.png"))
    assert np.abs(photo - picture(folder / "color" / "view_1.png")).max() <= 1
    clusters, features = (
        picture(folder / kind / "view_1.png") for kind in ("clusters", "features")
    )
    truth = synthetic.truth["view_1"]
    as_painted = label_palette(3)[truth]
    assert (clusters == as_painted).all(axis=-1).mean() > 0.98
    means = [features[truth == ball].mean(axis=0) for ball in (1, 2, 3)]
    assert min(np.abs(means[a] - means[b]).max() for a, b in ((0, 1), (0, 2), (1, 2))) > 60
    with Image.open(result.montage) as montage:
        assert montage.width > 4 * 400


@pytest.mark.parametrize(("frames", "views"), [("test", 2), ("train", 8), ("all", 10)])
def test_frames_are_chosen(frames: FrameSet, views: int, labeled: Path, tmp_path: Path) -> None:
    """Where none is held out, all are rendered."""
    progress, out, kinds = Recorder(), tmp_path / "out", {"kinds": ["color", "color"]}
    result = render_views(labeled, out, frames=frames, **kinds, progress=progress)
    assert result.views == views == len(list((out / "color").iterdir()))
    assert progress.updates == [("rendering", n, views) for n in range(1, views + 1)]
    with Image.open(result.montage) as montage:
        assert min(views, 5) * 300 < montage.height < min(views, 5) * 300 + 80
    scene = load_scene(labeled)
    save_scene(tmp_path / "training", replace(scene, frames=tuple(scene.train)))
    assert render_views(tmp_path / "training", out, **kinds).views == 8


def test_a_pick_is_highlighted(labeled: Path, synthetic, tmp_path: Path) -> None:
    for frame in ("view_1", "view_7"):
        mask = synthetic.truth[frame] == 1
        save_mask(labeled / "picks" / "ball" / "masks" / f"{frame}.png", mask)
    result = render_views(labeled, tmp_path / "out", pick="ball")
    assert result.kinds[-1] == "pick"
    truth, shown = synthetic.truth["view_7"] == 1, picture(tmp_path / "out/pick/view_7.png")
    color = picture(tmp_path / "out/color/view_7.png")
    assert np.array_equal(shown[truth], color[truth])
    assert shown[~truth].sum() < 0.5 * color[~truth].sum()
    assert (shown == HIGHLIGHT).all(axis=-1).sum() > 10


def test_kinds_that_the_scene_lacks_are_refused(labeled: Path, tmp_path: Path) -> None:
    scene = load_scene(labeled)
    gaussians = replace(scene.gaussians, features=scene.gaussians.features[:, :0])
    bare = replace(scene, gaussians=gaussians, labels=None, capture="/moved")
    save_scene(tmp_path / "bare", bare)
    sentences = {
        "photo": "has no photo images/view_1.png any more; leave photo out of `kinds`",
        "features": "no segmentation features to render",
        "clusters": "has no objects yet; run splatseg cluster",
        "pick": "give the name of one as `pick`",
    }
    for kind, sentence in sentences.items():
        with pytest.raises(SplatsegError) as caught:
            render_views(tmp_path / "bare", kinds=[kind])  # type: ignore[list-item]
        assert sentence in str(caught.value)
    with pytest.raises(SplatsegError, match=r"there is no .*view_1\.png; run splatseg pick"):
        render_views(labeled, kinds=["pick"], pick="mug")
    assert render_views(tmp_path / "bare").kinds == ("color",)
