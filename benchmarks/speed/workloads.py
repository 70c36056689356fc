"""What the engine's benchmark times: scenes, their stages, and how much work there is in each.

Work is counted as the method needs it, not as the engine does it: each input read once and each
result written once, a fused multiply-add as two FLOPs, every other operation on floats (a division
or a square root too) as one, comparisons, moves and integers as none. Blending is counted per
contributing pair: a pixel and a Gaussian that it sees with alpha >= 1/255, in front of the point
where the pixel is opaque (3DGS's stop at a transmittance of 1e-4, pixel by pixel).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from splatseg.engine import library as engine
from splatseg.engine.adam import Moments, adam_steps
from splatseg.geometry import SH_DC, Gaussians
from splatseg.geometry.camera import Camera
from splatseg.losses.photometric import SSIM_WEIGHT, rendering_loss
from splatseg.render import ProjectedGaussians, native, project, rasterize
from splatseg.render.reference import MAX_ALPHA, MIN_ALPHA, extents
from splatseg.scene import load_scene
from splatseg.segmentation.config import THRESHOLD
from splatseg.segmentation.feature_maps import feature_map, similarity_map
from splatseg.training.density import morton_order
from splatseg.training.step import GEOMETRY

WIDTH, HEIGHT, FOCAL = 640, 480, 525.0
DEPTHS = (2.0, 6.0)
OPACITIES = (0.1, 0.9)
OUTSIDE = 0.03  # of the image size: how far centers spread beyond each edge
MEDIAN_SCALE, SPREAD = 0.0115, 0.45  # log-normal; makes the mean 3-sigma radius 7.5 pixels
SH_COEFFICIENTS, SH_REST = 16, 0.05  # degree 3; standard deviation of those after the first
FEATURES = 16
SAMPLES = 4096  # pixels of the sampled feature pass
ADAM_STEP = 1000  # any: where in a run the moments' bias is taken from
ABI = 3  # of the engine: what the stages below call, with the arguments that they give

MIN_TRANSMITTANCE = 1e-4  # the engine's and 3DGS's; the reference has no such stop
GAUSSIANS_AT_ONCE = 4096  # bounds the memory of counting pairs
FLOAT = 4  # bytes


@dataclass(frozen=True)
class Workload:
    """A scene seen by a camera, and what there is to do."""

    name: str
    gaussians: Gaussians
    camera: Camera
    view: ProjectedGaussians
    pairs: Int[Tensor, "h w"]
    """Contributing Gaussians of each pixel."""

    @property
    def visible(self) -> int:
        """Gaussians that reach a pixel."""
        return int(self.view.visible.sum())

    @property
    def radius(self) -> float:
        """Mean 3-sigma radius of the visible Gaussians along their longer axis, pixels."""
        xx, xy, yy = self.view.conics[self.view.visible].unbind(-1)
        mid, determinant = (xx + yy) / 2, xx * yy - xy * xy
        # The smaller eigenvalue of the conic, as determinant / larger: their difference cancels.
        smaller = determinant / (mid + (mid * mid - determinant).clamp_min(0).sqrt())
        return float((3 / smaller.sqrt()).mean())


@torch.no_grad()
def workload(name: str, gaussians: Gaussians, camera: Camera) -> Workload:
    """Project and count."""
    view = project(gaussians, camera)
    return Workload(name, gaussians, camera, view, contributions(view))


def synthetic(count: int, width: int = WIDTH, height: int = HEIGHT, seed: int = 0) -> Workload:
    """`count` random Gaussians that fill the view of a camera at the origin, in Morton order.

    A smaller image shows the same scene with fewer pixels.
    """
    generator = torch.Generator().manual_seed(seed)
    camera = Camera(
        cam_from_world=torch.eye(4, dtype=torch.float64),
        **{"fx": FOCAL * width / WIDTH, "fy": FOCAL * height / HEIGHT},
        **{"cx": width / 2, "cy": height / 2, "width": width, "height": height},
    )
    z = DEPTHS[0] + (DEPTHS[1] - DEPTHS[0]) * torch.rand(count, generator=generator)
    place = (torch.rand(count, 2, generator=generator) - 0.5) * (1 + 2 * OUTSIDE)
    xy = place * torch.tensor([width / camera.fx, height / camera.fy]) * z[:, None]
    low, high = OPACITIES
    opacities = low + (high - low) * torch.rand(count, generator=generator)
    sh = SH_REST * torch.randn(count, SH_COEFFICIENTS, 3, generator=generator)
    sh[:, 0] = (torch.rand(count, 3, generator=generator) - 0.5) / SH_DC
    noise = torch.randn(count, 3, generator=generator)
    gaussians = Gaussians(
        means=torch.cat([xy, z[:, None]], dim=1),
        quats=torch.randn(count, 4, generator=generator),
        log_scales=math.log(MEDIAN_SCALE) + SPREAD * noise,
        logit_opacities=torch.logit(opacities),
        sh=sh,
        features=torch.randn(count, FEATURES, generator=generator),
    )
    return workload("synthetic", gaussians.select(morton_order(gaussians.means)), camera)


def trained(folder: Path) -> Workload:
    """The scene in `folder`, seen from its first test frame, or its first one."""
    scene = load_scene(folder)
    if scene.gaussians.features.shape[1] == 0:
        raise SystemExit(f"the scene {folder} has no features; the benchmark needs one with them")
    frame = next((f for f in scene.frames if f.is_test), scene.frames[0])
    return workload(folder.resolve().name, scene.gaussians, frame.camera)


def contributions(view: ProjectedGaussians) -> Int[Tensor, "h w"]:
    """How many Gaussians each pixel blends until it is opaque."""
    width, height = view.camera.width, view.camera.height
    front_to_back = torch.argsort(view.depths, stable=True)
    front_to_back = front_to_back[view.visible[front_to_back]]
    counts = torch.zeros(height * width, dtype=torch.long)
    log_transmittance = torch.zeros(height * width, dtype=torch.float64)
    for chunk in front_to_back.split(GAUSSIANS_AT_ONCE):
        pixels, alpha = _covered_pixels(view, chunk)
        by_pixel = pixels.argsort(stable=True)  # stable: front to back within a pixel
        pixels = pixels[by_pixel]
        log_passed = torch.log1p(-alpha[by_pixel].double())
        before = log_passed.cumsum(0) - log_passed
        is_first = pixels.diff(prepend=pixels.new_tensor([-1])) != 0
        before -= before[is_first][is_first.cumsum(0) - 1]
        is_seen = log_transmittance[pixels] + before > math.log(MIN_TRANSMITTANCE)
        counts += torch.bincount(pixels[is_seen], minlength=len(counts))
        log_transmittance.index_add_(0, pixels, log_passed)
    return counts.view(height, width)


def _covered_pixels(
    view: ProjectedGaussians, chunk: Int[Tensor, " k"]
) -> tuple[Int[Tensor, " m"], Float[Tensor, " m"]]:
    """Pixel and alpha where the Gaussians `chunk` reach MIN_ALPHA, Gaussian by Gaussian."""
    width, height = view.camera.width, view.camera.height
    means, conics = view.means2d[chunk], view.conics[chunk]
    reach = extents(conics, view.opacities[chunk])
    size = torch.tensor([width, height])
    low = (means - reach - 0.5).ceil().long().clamp_min(0)
    spans = ((means + reach - 0.5).floor().long().minimum(size - 1) - low + 1).clamp_min(0)
    areas = spans.prod(dim=1)
    owner = torch.arange(len(chunk)).repeat_interleave(areas)
    within = torch.arange(len(owner)) - (areas.cumsum(0) - areas)[owner]
    columns = low[owner, 0] + within % spans[owner, 0]
    rows = low[owner, 1] + within // spans[owner, 0]
    dx, dy = columns + 0.5 - means[owner, 0], rows + 0.5 - means[owner, 1]
    xx, xy, yy = conics[owner].unbind(-1)
    sigma = 0.5 * (xx * dx * dx + yy * dy * dy) + xy * dx * dy
    alpha = (view.opacities[chunk][owner] * torch.exp(-sigma)).clamp_max(MAX_ALPHA)
    reached = alpha >= MIN_ALPHA
    return (rows * width + columns)[reached], alpha[reached]


@dataclass(frozen=True)
class Work:
    """What a stage has to compute, and the bytes that it has to read and to write."""

    flops: float
    read: float
    written: float


# Two offsets, the quadratic form with its constant, the base-2 exponential as a polynomial of
# degree 5, the clamp.
ALPHA_FLOPS = 2 + 8 + 13 + 1
WEIGHT_FLOPS = 1 + 2  # alpha times transmittance; the transmittance behind it
GEOMETRY_FLOATS = 6  # of a projected Gaussian: center, conic, opacity


def project_forward_work(w: Workload) -> Work:
    """Camera and image coordinates 40, rotation 50, scales and opacity 65, covariance and conic
    90, direction and SH basis 55, and the SH sums."""
    count, sh = len(w.gaussians), w.gaussians.sh[0].numel()
    return Work(count * (300 + 2 * sh), FLOAT * count * (11 + sh), FLOAT * count * 10)


def project_backward_work(w: Workload) -> Work:
    """The forward pass again, about as much for the geometry's gradient, and two products per SH
    coefficient and channel. Reads what was stored and five gradients, writes five."""
    count, sh = len(w.gaussians), w.gaussians.sh[0].numel()
    stored = FLOAT * count * (11 + sh)
    return Work(count * (650 + 5 * sh), stored + FLOAT * count * 10, stored)


def binning_work(w: Workload) -> Work:
    """The ellipse's box of each Gaussian (30), and for each entry of a tile's list the test of its
    sixteen blocks (18 each). Writes 32 bytes a Gaussian and 8 an entry."""
    count, entries = len(w.gaussians), w.view.tiles.count
    return Work(30 * count + 16 * 18 * entries, 7 * FLOAT * count, 32 * count + 8 * entries)


def blend_forward_work(w: Workload, channels: int) -> Work:
    """Alpha, weight, and an FMA per channel."""
    flops = w.pairs.sum().item() * (ALPHA_FLOPS + WEIGHT_FLOPS + 2 * channels)
    read = w.visible * (GEOMETRY_FLOATS + channels)
    return Work(flops, FLOAT * read, FLOAT * w.pairs.numel() * (channels + 1))


def blend_backward_work(w: Workload, channels: int) -> Work:
    """Alpha and weight again; two FMAs per channel (the attribute's gradient, c · g); remainder 2,
    gradient of alpha 7, six moments 12."""
    per_pair = ALPHA_FLOPS + WEIGHT_FLOPS + 4 * channels + 2 + 7 + 12
    record = len(w.gaussians) * (GEOMETRY_FLOATS + channels)
    read = w.visible * (GEOMETRY_FLOATS + channels) + w.pairs.numel() * channels
    return Work(w.pairs.sum().item() * per_pair, FLOAT * read, FLOAT * record)


def splat_work(w: Workload, channels: int) -> Work:
    """The backward pass without geometry: alpha, weight, an FMA per channel."""
    flops = w.pairs.sum().item() * (ALPHA_FLOPS + WEIGHT_FLOPS + 2 * channels)
    read = w.visible * GEOMETRY_FLOATS + w.pairs.numel() * channels
    return Work(flops, FLOAT * read, FLOAT * len(w.gaussians) * channels)


def blend_samples_work(w: Workload, channels: int, pixels: Int[Tensor, "m 2"]) -> Work:
    """Forward and backward at `pixels`, geometry frozen: alpha and weight once, two FMAs per
    channel. Reads a Gaussian per pair, as long as there are fewer pairs than Gaussians."""
    pairs = w.pairs[pixels[:, 1].long(), pixels[:, 0].long()].sum().item()
    read = min(pairs, w.visible) * (GEOMETRY_FLOATS + channels)
    written = len(w.gaussians) * channels + len(pixels) * channels
    flops = pairs * (ALPHA_FLOPS + WEIGHT_FLOPS + 4 * channels)
    return Work(flops, FLOAT * read, FLOAT * written)


def photometric_work(w: Workload) -> Work:
    """Eight maps (five forward, three backward) filtered by rows and by columns, sixteen FLOPs
    each thanks to the window's symmetry; 55 for products, SSIM, its derivatives and L1."""
    values = 3 * w.pairs.numel()
    return Work(values * (8 * 2 * 16 + 55), FLOAT * 2 * values, FLOAT * values)


def adam_work(parameters: int) -> Work:
    """Moments 3 + 4, step 6. Reads parameter, gradient and moments; writes all but the gradient."""
    return Work(13 * parameters, FLOAT * 4 * parameters, FLOAT * 3 * parameters)


def similarity_work(w: Workload, channels: int) -> Work:
    """Norm, division and product with the query, an image read and a mask written."""
    pixels = w.pairs.numel()
    return Work(pixels * 5 * channels, pixels * FLOAT * (channels + 1), pixels)


@dataclass(frozen=True)
class Stage:
    """Something to time, and the work that it cannot avoid, one part after another."""

    name: str
    run: Callable[[], object]
    parts: tuple[Work, ...]


def random_like(tensor: Tensor) -> Tensor:
    """Standard normal numbers from a fixed seed."""
    return torch.randn(tensor.shape, generator=torch.Generator().manual_seed(1))


def addresses(*tensors: Tensor | None) -> list[int | None]:
    """What the engine takes."""
    return [engine.pointer(tensor) for tensor in tensors]


def projection_stages(w: Workload) -> list[Stage]:
    """Projection both ways, and binning."""
    library, g = engine.library(), w.gaussians
    camera, size = engine.camera_struct(w.camera), (w.camera.width, w.camera.height)
    stored = (g.means, g.quats, g.log_scales, g.logit_opacities, g.sh)
    fields = (w.view.means2d, w.view.conics, w.view.depths, w.view.opacities, w.view.colors)
    out, incoming = [torch.empty_like(t) for t in fields], [random_like(t) for t in fields]
    grads = [torch.empty_like(t) for t in stored]
    gaussians = engine.CGaussians(len(g), *addresses(*stored), g.sh.shape[1], g.sh_degree)

    def forward() -> None:
        library.splatseg_project(gaussians, camera, engine.CProjected(*addresses(*out)))

    def backward() -> None:
        projected = engine.CProjected(*addresses(*incoming))
        library.splatseg_project_backward(gaussians, camera, projected, *addresses(*grads))

    def binning() -> None:
        engine.bin_gaussians(engine.CProjected(*addresses(*fields)), len(g), *size)

    return [
        Stage("projection, forward", forward, (project_forward_work(w),)),
        Stage("projection, backward", backward, (project_backward_work(w),)),
        Stage("binning", binning, (binning_work(w),)),
    ]


def blending_stages(w: Workload, label: str, attributes: Tensor) -> list[Stage]:
    """Blending both ways, the backward pass with geometry."""
    library, view = engine.library(), w.view
    channels, size = attributes.shape[1], (w.camera.height, w.camera.width)
    image, alpha = torch.empty(channels, *size), torch.empty(size)
    grad_image = random_like(image)
    grads = [torch.empty_like(t) for t in (view.means2d, view.conics, view.opacities, attributes)]

    def forward() -> None:
        arguments = addresses(attributes, image, alpha)
        engine.check(library.splatseg_render(view.tiles.handle, channels, *arguments), "render")

    def backward() -> None:
        arguments = addresses(attributes, grad_image, None, *grads)
        status = library.splatseg_render_backward(view.tiles.handle, channels, *arguments)
        engine.check(status, "differentiate")

    return [
        Stage(f"blending {label}, forward", forward, (blend_forward_work(w, channels),)),
        Stage(f"blending {label}, backward", backward, (blend_backward_work(w, channels),)),
    ]


def features_stage(w: Workload) -> Stage:
    """The backward pass of a rendered feature image whose geometry is frozen."""
    library, view, features = engine.library(), w.view, w.gaussians.features
    channels = features.shape[1]
    grad_image = random_like(torch.empty(channels, w.camera.height, w.camera.width))
    grad = torch.empty_like(features)

    def backward() -> None:
        arguments = addresses(None, grad_image, None, None, None, None, grad)
        status = library.splatseg_render_backward(view.tiles.handle, channels, *arguments)
        engine.check(status, "differentiate")

    name = f"blending {channels} features, backward, geometry frozen"
    return Stage(name, backward, (splat_work(w, channels),))


def photometric_stage(w: Workload) -> Stage:
    """L1 + SSIM of a rendered image and a photo, with gradient."""
    image = torch.rand(3, w.camera.height, w.camera.width)
    photo, grad = torch.rand_like(image), torch.empty_like(image)

    def run() -> None:
        native.photometric_parts(image, photo, SSIM_WEIGHT, grad)

    return Stage("L1 + SSIM with gradient", run, (photometric_work(w),))


class Optimizer:
    """Adam over some fields of a scene.

    Learning rates are 0, which costs the same and leaves the workload as it was.
    """

    def __init__(self, tensors: dict[str, Tensor]) -> None:
        self.tensors = tensors
        self.moments = {name: Moments.zeros_like(t) for name, t in tensors.items()}
        self.rates = {name: torch.zeros(t[:1].numel()) for name, t in tensors.items()}

    def step(self, grads: dict[str, Tensor]) -> None:
        """One step of every field."""
        for name, tensor in self.tensors.items():
            adam_steps(tensor, grads[name], self.moments[name], self.rates[name], ADAM_STEP)

    @property
    def parameters(self) -> int:
        """Floats that a step updates."""
        return sum(t.numel() for t in self.tensors.values())


def adam_stage(w: Workload) -> Stage:
    """Adam over all that a Gaussian has."""
    optimizer = Optimizer(w.gaussians.tensors())
    grads = {name: random_like(t) for name, t in optimizer.tensors.items()}
    floats = optimizer.parameters // len(w.gaussians)
    name = f"Adam, {floats} floats a Gaussian"
    return Stage(name, lambda: optimizer.step(grads), (adam_work(optimizer.parameters),))


def iteration_stage(w: Workload) -> Stage:
    """A training iteration without features, as `training/step.py` does it."""
    optimizer = Optimizer({name: w.gaussians.tensors()[name] for name in GEOMETRY})
    photo = torch.rand(w.camera.height, w.camera.width, 3)

    def run() -> None:
        leaves = {n: t.detach().requires_grad_() for n, t in optimizer.tensors.items()}
        view = project(Gaussians(**leaves, features=w.gaussians.features), w.camera)
        rendering_loss(rasterize(view, view.colors).image, photo).backward()
        grads = {name: leaf.grad for name, leaf in leaves.items() if leaf.grad is not None}
        optimizer.step(grads)
        native.recycle(grads.values())

    parts = (
        *(project_forward_work(w), binning_work(w), blend_forward_work(w, 3)),
        *(photometric_work(w), blend_backward_work(w, 3), project_backward_work(w)),
        adam_work(optimizer.parameters),
    )
    return Stage("*RGB iteration, projection to Adam*", run, parts)


def sampled_stages(w: Workload) -> list[Stage]:
    """A feature pass over random pixels, forward and backward, with and without projecting."""
    features = w.gaussians.features.clone().requires_grad_()
    channels, generator = features.shape[1], torch.Generator().manual_seed(2)
    columns = torch.randint(w.camera.width, (SAMPLES,), generator=generator)
    rows = torch.randint(w.camera.height, (SAMPLES,), generator=generator)
    pixels = torch.stack([columns, rows], dim=1).int()
    grad = random_like(torch.empty(SAMPLES, channels))

    def warm() -> None:
        features.grad = None
        rasterize(w.view, features, pixels).image.backward(grad)

    def cold() -> None:
        features.grad = None
        view = project(w.gaussians, w.camera)
        rasterize(view, features, pixels).image.backward(grad)

    sampled = blend_samples_work(w, channels, pixels)
    projected = (project_forward_work(w), binning_work(w))
    name = f"*{SAMPLES:,} pixels, {channels} features, both ways"
    return [
        Stage(f"{name}, projected before*", warm, (sampled,)),
        Stage(f"{name}, projecting*", cold, (*projected, sampled)),
    ]


def mask_stage(w: Workload) -> Stage:
    """The mask of a picked object in one view, as `segmentation/picker.py` does it."""
    channels = w.gaussians.features.shape[1]
    queries = F.normalize(w.gaussians.features[:1], dim=1)

    def run() -> Tensor:
        view = project(w.gaussians, w.camera)
        return similarity_map(feature_map(w.gaussians, view), queries) >= THRESHOLD

    parts = (project_forward_work(w), binning_work(w), blend_forward_work(w, channels))
    return Stage("*one object mask*", run, (*parts, similarity_work(w, channels)))


def all_stages(w: Workload) -> list[Stage]:
    """In the order of an iteration, then the composites."""
    if engine.ABI != ABI:
        raise SystemExit(
            f"the engine has ABI {engine.ABI}; the stages in {__file__} call ABI {ABI}"
        )
    with_features = torch.cat([w.view.colors, w.gaussians.features], dim=1)
    label = f"RGB+{w.gaussians.features.shape[1]}"
    return [
        *projection_stages(w),
        *blending_stages(w, "RGB", w.view.colors),
        *blending_stages(w, label, with_features),
        *(features_stage(w), photometric_stage(w), adam_stage(w)),
        *(iteration_stage(w), *sampled_stages(w), mask_stage(w)),
    ]
