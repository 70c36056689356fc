"""The contract of a backend: a new one is a class and a line in the registry."""

from dataclasses import dataclass

import pytest
import torch
from jaxtyping import Float, Int
from torch import Tensor

from splatseg import render
from splatseg.engine import library as engine
from splatseg.errors import SplatsegError
from splatseg.geometry.spherical_harmonics import view_colors
from splatseg.render.backend import Backend, ProjectedGaussians, within
from splatseg.render.labels import label_image, rasterize_labels


@dataclass(frozen=True)
class Points:
    """The toy's tile intersections: the pixel of each Gaussian, and the nearest ones in it."""

    pixels: Int[Tensor, "n 2"]
    shown: Int[Tensor, " m"]
    """Indices of the Gaussians in the image that no nearer one hides."""


class ToyBackend:
    """Draws each Gaussian, opaque, into the pixel that its center lies in."""

    name = "toy"

    def renders_on(self, device: torch.device) -> bool:
        return False  # never the default

    def project(self, gaussians, camera, sh_degree, window, buffers) -> ProjectedGaussians[Points]:
        projection = camera.project(gaussians.means)
        camera, means2d = within(window, camera, projection.xy)
        pixels = means2d.floor().long()
        size = torch.tensor([camera.width, camera.height])
        inside = projection.is_in_front & ((pixels >= 0) & (pixels < size)).all(dim=1)
        count = len(gaussians)
        return ProjectedGaussians(
            camera=camera,
            means2d=means2d,
            conics=torch.ones(count, 3),
            depths=projection.depths,
            opacities=inside.float(),
            colors=view_colors(gaussians.means, gaussians.sh, camera.position, sh_degree),
            visible=inside,
            tiles=Points(pixels, _nearest(pixels, projection.depths, inside)),
            backend=self,
        )

    def rasterize(self, projected, attributes, pixels):
        index = self._index_map(projected)
        if pixels is not None:
            index = index[pixels[:, 1], pixels[:, 0]]
        hit = (index >= 0).to(attributes)
        return attributes[index.clamp_min(0)] * hit[..., None], hit

    def backproject(self, projected, values, pixels) -> Float[Tensor, "n c"]:
        index = self._index_map(projected)
        if pixels is not None:
            index = index[pixels[:, 1], pixels[:, 0]]
        hit = index >= 0
        votes = values.new_zeros(len(projected), values.shape[-1])
        return votes.index_add(0, index[hit], values[hit])

    def rasterize_labels(self, projected, labels):
        return rasterize_labels(projected, labels)

    def _index_map(self, projected: ProjectedGaussians[Points]) -> Int[Tensor, "h w"]:
        """The Gaussian that each pixel shows, -1 where none is."""
        size = (projected.camera.height, projected.camera.width)
        index = torch.full(size, -1)
        column, row = projected.tiles.pixels[projected.tiles.shown].unbind(-1)
        index[row, column] = projected.tiles.shown
        return index


def _nearest(pixels: Tensor, depths: Tensor, inside: Tensor) -> Tensor:
    nearest: dict[tuple[int, ...], int] = {}
    for i in depths.argsort(descending=True).tolist():
        if inside[i]:
            nearest[tuple(pixels[i].tolist())] = i
    return torch.tensor(sorted(nearest.values()), dtype=torch.long)


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> ToyBackend:
    backend = ToyBackend()
    monkeypatch.setitem(render.BACKENDS, backend.name, backend)
    return backend


def test_a_backend_that_is_registered_renders(toy: ToyBackend, make_gaussians, make_camera):
    gaussians, camera = make_gaussians(30).to(torch.float32), make_camera()
    projected = render.project(gaussians, camera, backend="toy")
    assert projected.backend is toy
    shown = projected.tiles.shown
    column, row = projected.means2d[shown].floor().long().unbind(-1)

    rendered = render.rasterize(projected, projected.colors, depth=True)
    assert torch.equal(rendered.image[row, column], projected.colors[shown])
    assert torch.equal(rendered.depth[row, column], projected.depths[shown])
    assert rendered.alpha.sum() == len(shown) > 10  # and nothing anywhere else
    samples = render.rasterize(projected, projected.colors, torch.stack([column, row], dim=1))
    assert torch.equal(samples.image, projected.colors[shown])

    image = torch.rand(camera.height, camera.width, 2)
    votes = render.backproject(projected, image)
    assert torch.equal(votes[shown], image[row, column])
    attributes = torch.rand(30, 2)
    pictured = render.rasterize(projected, attributes).image
    torch.testing.assert_close((attributes * votes).sum(), (pictured * image).sum())

    labels = torch.arange(30) + 1
    found = label_image(projected, labels)
    assert torch.equal(found[row, column], labels[shown])
    assert (found > 0).sum() == len(shown)

    part = render.project(gaussians, camera, backend="toy", window=(3, 2, 9, 11))
    expected = rendered.image[2:13, 3:12]
    assert torch.equal(render.rasterize(part, part.colors).image, expected)


def test_registered_backends_keep_the_contract(toy: ToyBackend):
    assert len(render.BACKENDS) == 4
    for name, backend in render.BACKENDS.items():
        assert isinstance(backend, Backend) and backend.name == name
    assert not isinstance(object(), Backend)


def test_an_unknown_backend_is_refused(make_gaussians, make_camera):
    expected = "there is no backend toy; expected one of gsplat, native, reference"
    with pytest.raises(SplatsegError, match=expected):
        render.project(make_gaussians(), make_camera(), backend="toy")


def test_the_default_backend_is_the_first_that_renders_there():
    expected = "native" if engine.is_available() else "reference"
    assert render.default_backend() is render.BACKENDS[expected]
    assert render.default_backend("meta") is render.BACKENDS["reference"]
