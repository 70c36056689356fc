"""Picking an object: from clicks to its mask in every view (Eq. 6) and its Gaussians in 3D.

A click's query is the rendered feature at the clicked pixel, in the paper that of this one pixel;
here, the mean of the pixel and its eight neighbors, because one pixel's feature is noisy on small
things (on a thin marker the difference was 0.59 to 0.81 IoU). A pixel belongs to the object where
its cosine similarity to a query is at least the threshold, 0.7 in the paper, and, ours, where
something was hit at all.

In 3D the paper selects Gaussians by the similarity of their own features. A Gaussian's own feature
is only constrained through what it is blended with, so that is unreliable; here the masks of the
training views vote, each pixel with the weight by which it saw the Gaussian.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from splatseg.capture import Frame, Lens
from splatseg.errors import SplatsegError
from splatseg.geometry.gaussians import Gaussians
from splatseg.render import ProjectedGaussians, backproject, project, rasterize
from splatseg.segmentation.config import QUERY_RADIUS, THRESHOLD
from splatseg.segmentation.feature_maps import MIN_COVERAGE, view_similarities, view_similarity
from splatseg.segmentation.prompts import PointPrompt

MIN_VOTE_FRACTION = 0.5  # of a Gaussian's visible weight that must lie in the object's masks
MIN_VOTES = 1e-12  # only avoids 0 / 0

Selection3D = Literal["votes", "features"]


def query_features(
    gaussians: Gaussians,
    frames: Sequence[Frame],
    clicks: Sequence[PointPrompt],
    radius: int = QUERY_RADIUS,
) -> Float[Tensor, "q f"]:
    """The unit feature under each click: the mean over the pixels up to `radius` away from it.

    Raises:
        SplatsegError: a click outside its photo or on background, an unknown frame, or a scene
            without features.
    """
    if gaussians.features.shape[1] == 0:
        raise SplatsegError(
            "the scene has no segmentation features (it was trained for colors only)",
            remedy="train it with masks first",
        )
    if radius < 0:
        raise SplatsegError(
            f"the query radius is {radius}",
            expected="0 or more pixels",
        )
    asked = [(frame_named(frames, click.frame), click) for click in clicks]
    return torch.stack(
        [
            click_query(gaussians, project(gaussians, frame.camera), frame, click, radius)
            for frame, click in asked
        ]
    )


def frame_named(frames: Sequence[Frame], name: str) -> Frame:
    """The frame of that name; a sentence if there is none."""
    for frame in frames:
        if frame.name == name:
            return frame
    some = ", ".join(sorted(frame.name for frame in frames)[:3])
    raise SplatsegError(
        f"there is no frame {name}",
        remedy=f"the scene has {some}, ...",
    )


def click_query(
    gaussians: Gaussians,
    view: ProjectedGaussians,
    frame: Frame,
    click: PointPrompt,
    radius: int = QUERY_RADIUS,
) -> Float[Tensor, " f"]:
    """The unit feature under a click on a frame, whose `view` is given: see `query_features`."""
    pixels = _neighborhood(_undistorted_pixel(frame, click), radius, frame)
    with torch.no_grad():
        samples = rasterize(view, gaussians.features, pixels)
    covered = samples.alpha >= MIN_COVERAGE
    if not bool(covered[0]):
        raise SplatsegError(
            f"the click at {click.x:g},{click.y:g} in {click.frame} is on empty background",
            remedy="click on something that was reconstructed",
        )
    return F.normalize(F.normalize(samples.image[covered], dim=1).mean(dim=0), dim=0)


def _neighborhood(pixel: Int[Tensor, " 2"], radius: int, frame: Frame) -> Int[Tensor, "m 2"]:
    """The pixels up to `radius` away on each axis, in the working image; `pixel` itself first."""
    steps = torch.arange(-radius, radius + 1, dtype=torch.int32, device=pixel.device)
    offsets = torch.cartesian_prod(steps, steps).reshape(-1, 2)
    nearest_first = offsets.abs().sum(dim=1).argsort(stable=True)
    around = pixel + offsets[nearest_first]
    size = pixel.new_tensor([frame.camera.width, frame.camera.height])
    return around[((around >= 0) & (around < size)).all(dim=1)]


def _undistorted_pixel(frame: Frame, click: PointPrompt) -> Tensor:
    """The (column, row) of the working image under a click on the photo."""
    lens, camera = frame.lens, frame.camera
    if not (0 <= click.x < lens.width and 0 <= click.y < lens.height):
        raise SplatsegError(
            f"the click at {click.x:g},{click.y:g} lies outside {click.frame}, whose photo is "
            f"{lens.width}x{lens.height}",
            remedy="x counts from the left and y from the top",
        )
    xy = lens.undistorted_from_photo(np.array([click.x, click.y]), camera)
    if not (np.isfinite(xy).all() and 0 <= xy[0] < camera.width and 0 <= xy[1] < camera.height):
        raise SplatsegError(
            f"the click at {click.x:g},{click.y:g} in {click.frame} lies in the border that "
            "undistorting the photo removes",
            remedy="click further inside",
        )
    return torch.from_numpy(np.floor(xy)).to(torch.int32)


def photo_similarity(
    gaussians: Gaussians, frame: Frame, queries: Float[Tensor, "q f"]
) -> Float[np.ndarray, "h w"]:
    """Similarity of every pixel of the photo as shipped to the nearest query; -1 on background."""
    similarity = view_similarity(gaussians, project(gaussians, frame.camera, sh_degree=0), queries)
    return on_photo(similarity.cpu().numpy(), frame.lens)


def on_photo(similarity: Float[np.ndarray, "rows columns"], lens: Lens) -> Float[np.ndarray, "h w"]:
    """A working view's similarities on the photo's grid; -1 where the view does not reach."""
    warped = lens.warp_to_photo(similarity, nearest=False)
    if lens.is_pinhole:
        return warped
    reached = lens.warp_to_photo(np.ones(similarity.shape, dtype=bool), nearest=True)
    return np.where(reached, warped, np.float32(-1))


def photo_masks(
    gaussians: Gaussians,
    frames: Sequence[Frame],
    queries: Float[Tensor, "q f"],
    threshold: float = THRESHOLD,
) -> Iterator[tuple[Frame, Bool[np.ndarray, "h w"]]]:
    """The object's mask in each frame (Eq. 6), in pixels of the photo as shipped."""
    for frame in frames:
        yield frame, photo_similarity(gaussians, frame, queries) >= threshold


def select_gaussians(
    gaussians: Gaussians,
    frames: Sequence[Frame],
    queries: Float[Tensor, "q f"],
    threshold: float = THRESHOLD,
    by: Selection3D = "votes",
) -> Bool[Tensor, " n"]:
    """The object's Gaussians: see `select_objects`."""
    return select_objects(gaussians, frames, [queries], threshold, by)[:, 0]


def select_objects(
    gaussians: Gaussians,
    frames: Sequence[Frame],
    objects: Sequence[Float[Tensor, "_ f"]],
    threshold: float = THRESHOLD,
    by: Selection3D = "votes",
) -> Bool[Tensor, "n k"]:
    """The Gaussians of objects, each given by its queries: those mostly seen inside its masks.

    The masks are those of the views `frames`, each rendered once for all objects. Gaussians that no
    view sees are not selected. `by="features"` is the paper's way: the Gaussians whose own feature
    is similar (Fig. 4).
    """
    if by == "features":
        own = F.normalize(gaussians.features, dim=1)
        similar = [(own @ queries.T).amax(dim=1) >= threshold for queries in objects]
        return torch.stack(similar, dim=1)

    def inside(frame: Frame, view: ProjectedGaussians) -> Bool[Tensor, "k h w"]:
        return view_similarities(gaussians, view, objects) >= threshold

    return vote_fractions(gaussians, frames, len(objects), inside) > MIN_VOTE_FRACTION


def vote_fractions(
    gaussians: Gaussians,
    frames: Sequence[Frame],
    count: int,
    masks: Callable[[Frame, ProjectedGaussians], Bool[Tensor, "k h w"]],
) -> Float[Tensor, "n k"]:
    """How much of what `frames` see of each Gaussian lies in each of `count` things' `masks`.

    By blending weight, in [0, 1]; 0 where no view sees it.
    """
    votes = torch.zeros(len(gaussians), count + 1, device=gaussians.means.device)
    for frame in frames:
        view = project(gaussians, frame.camera, sh_degree=0)
        inside = masks(frame, view)
        everywhere = inside.new_ones(1, *inside.shape[1:])
        votes += backproject(view, torch.cat([inside, everywhere]).permute(1, 2, 0).float())
    return votes[:, :-1] / votes[:, -1:].clamp_min(MIN_VOTES)
