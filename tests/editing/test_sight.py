"""Points into pictures and back."""

import torch

from splatseg.editing.sight import sight, world_points


def test_pixels_and_depths_come_back(arc) -> None:
    camera = arc[0]
    rows, columns = (
        torch.randint(0, 70, (50,), generator=torch.Generator().manual_seed(k)) for k in (0, 1)
    )
    depths = torch.linspace(1.5, 4.0, 50)
    there = sight(world_points(depths, rows, columns, camera), camera)
    assert bool(there.inside.all())
    assert torch.equal(there.rows, rows) and torch.equal(there.columns, columns)
    torch.testing.assert_close(there.depths, depths)


def test_what_is_behind_or_beside_is_not_inside(arc) -> None:
    camera = arc[0]
    zero = torch.zeros(1, dtype=torch.long)
    behind = world_points(torch.tensor([-1.0]), zero, zero, camera)
    beside = world_points(torch.tensor([1.0]), zero, zero - 1, camera)
    assert not bool(sight(torch.cat([behind, beside]), camera).inside.any())
