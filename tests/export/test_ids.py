"""Ids as arrays and as colors."""

import numpy as np
import torch

from splatseg.export.ids import write_ids, write_ids_ply
from splatseg.geometry import SH_DC
from splatseg.scene import read_ply
from splatseg.viz.labels import label_palette


def test_ids_are_int32_and_need_no_pickle(tmp_path):
    labels, parts = torch.tensor([3, 0, -1, 3]), torch.tensor([1, 0, 0, 2])
    write_ids(tmp_path / "ids.npz", labels, {"part": parts})
    with np.load(tmp_path / "ids.npz", allow_pickle=False) as arrays:
        assert set(arrays.files) == {"ids", "ids.part"}
        assert arrays["ids"].dtype == np.int32
        assert arrays["ids"].tolist() == labels.tolist()
        assert arrays["ids.part"].tolist() == parts.tolist()


def test_the_colored_ply_keeps_geometry_and_paints_objects(tmp_path, true_scene):
    gaussians, labels = true_scene
    floating = torch.where(torch.arange(len(labels)) == 5, -1, labels)
    write_ids_ply(tmp_path / "ids.ply", gaussians, floating)
    painted = read_ply(tmp_path / "ids.ply")
    assert painted.sh_degree == 0
    for name in ("means", "quats", "log_scales", "logit_opacities"):
        assert torch.equal(getattr(painted, name), getattr(gaussians, name))
    shown = ((0.5 + SH_DC * painted.sh[:, 0]) * 255).round().int().numpy()
    expected = label_palette(int(labels.max()))[floating.clamp_min(0).numpy()]
    np.testing.assert_array_equal(shown, expected)
    assert len(np.unique(shown, axis=0)) == 4  # three balls, and the rest
