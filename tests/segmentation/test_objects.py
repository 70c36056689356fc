"""The object table on Gaussians whose figures are known."""

import json

import pytest
import torch

from splatseg.gaussians import SH_DC, Gaussians
from splatseg.segmentation.objects import object_table


def gaussians_at(means: torch.Tensor, colors: torch.Tensor, opacities: torch.Tensor) -> Gaussians:
    count = len(means)
    return Gaussians(
        means=means,
        quats=torch.tensor([1.0, 0.0, 0.0, 0.0]).repeat(count, 1),
        log_scales=torch.zeros(count, 3),
        logit_opacities=opacities.logit(),
        sh=((colors - 0.5) / SH_DC)[:, None],
        features=torch.zeros(count, 16),
    )


def test_the_figures_of_two_objects() -> None:
    line = torch.linspace(0, 1, 101)
    first = torch.stack([line, 2 * line, torch.full_like(line, 3.0)], dim=1)
    second = torch.tensor([[5.0, 5.0, 5.0], [7.0, 5.0, 5.0], [9.0, 5.0, 5.0]])
    red, green = torch.tensor([1.0, 0.0, 0.0]), torch.tensor([0.0, 1.0, 0.0])
    colors = torch.cat([red.repeat(101, 1), green[None], red[None], green[None]])
    opacities = torch.cat([torch.full((101,), 0.5), torch.tensor([0.2, 0.6, 0.2])])
    gaussians = gaussians_at(torch.cat([first, second]), colors, opacities)
    labels = torch.cat([torch.full((101,), 1), torch.full((3,), 2)])

    one, two = object_table(gaussians, labels)
    assert (one.id, one.gaussians) == (1, 101)
    assert one.center == pytest.approx((0.5, 1.0, 3.0))
    assert one.size == pytest.approx((0.96, 1.92, 0.0), abs=1e-4)  # 2 % to 98 %
    assert one.color == (255, 0, 0)
    assert (two.id, two.gaussians) == (2, 3)
    assert two.center == pytest.approx((7.0, 5.0, 5.0))
    assert two.color == (round(0.6 * 255), round(0.4 * 255), 0)  # weighted by opacity


def test_an_outlier_does_not_stretch_the_box() -> None:
    means = torch.zeros(200, 3)
    means[0] = 1000.0
    colors, opacities = torch.full((200, 3), 0.5), torch.full((200,), 0.9)
    (row,) = object_table(gaussians_at(means, colors, opacities), torch.ones(200, dtype=torch.long))
    assert row.size == (0.0, 0.0, 0.0)
    assert row.center == (0.0, 0.0, 0.0)


def test_colors_out_of_range_are_clipped() -> None:
    colors = torch.tensor([[1.5, -0.5, 0.25]])
    gaussians = gaussians_at(torch.zeros(1, 3), colors, torch.tensor([0.5]))
    (row,) = object_table(gaussians, torch.tensor([7]))
    assert row.id == 7
    assert row.color == (255, 0, 64)


def test_label_0_is_no_object_and_no_labels_no_table() -> None:
    gaussians = gaussians_at(torch.zeros(4, 3), torch.zeros(4, 3), torch.full((4,), 0.5))
    assert object_table(gaussians, torch.zeros(4, dtype=torch.long)) == []
    rows = object_table(gaussians, torch.tensor([0, 5, 0, 2]))
    assert [row.id for row in rows] == [2, 5]


def test_a_row_is_json() -> None:
    gaussians = gaussians_at(torch.zeros(1, 3), torch.zeros(1, 3), torch.tensor([0.5]))
    (row,) = object_table(gaussians, torch.tensor([1]))
    assert json.loads(json.dumps(row.to_json())) == {
        "id": 1,
        "gaussians": 1,
        "center": [0.0, 0.0, 0.0],
        "size": [0.0, 0.0, 0.0],
        "color": [0, 0, 0],
    }
