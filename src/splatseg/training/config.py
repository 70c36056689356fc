"""What a training run can be told, and the named presets.

Every decision that the paper leaves open is a field here (docs/method.md lists them), so that an
ablation is a flag. The defaults are the preset `paper`.
"""

from dataclasses import dataclass, field
from typing import Literal

from splatseg.errors import SplatsegError
from splatseg.lifting.config import LiftConfig
from splatseg.losses.config import Temperature
from splatseg.masks.config import FlatteningOrder, Level


@dataclass(frozen=True)
class AppearanceConfig:
    """Color and geometry: 3D Gaussian Splatting's loss and learning rates."""

    ssim_weight: float = 0.2
    """Weight of 1 - SSIM against the mean absolute difference."""
    sh_degree: int = 3
    """Degree of the spherical harmonics of color, 0 to 3."""
    sh_interval: int = 1000
    """Iterations after which one more degree is used."""
    means_lr: float = 1.6e-4
    """Learning rate of positions at the start, times the scene's extent."""
    means_lr_final: float = 1.6e-6
    """The same at the last iteration; log-linear in between."""
    sh_lr: float = 2.5e-3
    """Learning rate of the base color; the other coefficients have a twentieth of it."""
    opacity_lr: float = 0.05
    scale_lr: float = 5e-3
    rotation_lr: float = 1e-3


@dataclass(frozen=True)
class DensityConfig:
    """3D Gaussian Splatting's density control: clone, split, prune, reset opacities."""

    start: int = 500
    """First iteration that may add Gaussians."""
    stop: float = 0.5
    """Share of all iterations after which none are added."""
    interval: int = 100
    """Iterations between two rounds."""
    threshold: float = 2e-4
    """Mean gradient of the projected center (normalized image coordinates) that adds a Gaussian."""
    split_scale: float = 0.01
    """Gaussians larger than this share of the extent are split, smaller ones cloned."""
    min_opacity: float = 5e-3
    """Fainter Gaussians are pruned."""
    max_scale: float = 0.1
    """Larger ones, as a share of the extent, are pruned once opacities were reset."""
    reset_interval: float = 0.1
    """Share of all iterations between two opacity resets (3DGS: 3,000 of 30,000)."""
    reset_stop: float = 0.3
    """Share of all iterations after which opacities are not reset any more."""


@dataclass(frozen=True)
class ContrastiveConfig:
    """The contrastive clustering loss (Eq. 3) and the features it trains."""

    weight: float = 1e-6
    """Its weight in the total loss (Eq. 5); 0 trains no features."""
    interval: int = 50
    """Iterations between two evaluations, the first at this iteration."""
    features: int = 16
    """Dimensions of the feature."""
    feature_lr: float = 2.5e-3
    init: Literal["uniform", "normal"] = "uniform"
    """Initial features: uniform in [0, 1) as in the authors' code, or standard normal."""
    temperature: Temperature = "code"
    """Temperature of a segment: as in the authors' code, or as printed in the paper."""
    min_pixels: int = 100
    """Segments need more pixels than this."""
    flattening: FlatteningOrder = "smallest_on_top"
    """How overlapping masks become one label map."""
    level: Level = "subpart"
    """Masks finer than this take no part in the label map: whole, part, or subpart for all."""
    adam: Literal["every_iteration", "on_gradient"] = "every_iteration"
    """Step Adam every iteration, so that momentum keeps moving features between two losses (the
    authors' code), or only when there is a gradient."""
    to_geometry: bool = True
    """Let the loss's gradient reach opacity, scale, rotation and position."""
    to_density: bool = True
    """Let it count towards the gradient that adds Gaussians."""


@dataclass(frozen=True)
class SpatialConfig:
    """The spatial-similarity regularizer (Eq. 4)."""

    near_weight: float = 0.05
    """Weight of the nearest neighbors' term; both weights 0 switch the regularizer off."""
    far_weight: float = 0.15
    """Weight of the farthest Gaussians' term."""
    interval: int = 100
    """Iterations between two evaluations."""
    anchors: int = 1000
    """Gaussians sampled each time."""


@dataclass(frozen=True)
class TrainConfig:
    """A training run."""

    iterations: int = 30_000
    seed: int = 0
    max_gaussians: int = 300_000
    """Density control stops adding Gaussians at this number."""
    checkpoint_interval: int = 1000
    """Iterations between two checkpoints."""
    appearance: AppearanceConfig = field(default_factory=AppearanceConfig)
    density: DensityConfig = field(default_factory=DensityConfig)
    contrastive: ContrastiveConfig = field(default_factory=ContrastiveConfig)
    spatial: SpatialConfig = field(default_factory=SpatialConfig)
    lift: LiftConfig = field(default_factory=LiftConfig)

    def __post_init__(self) -> None:
        positive = {
            "iterations": self.iterations,
            "max_gaussians": self.max_gaussians,
            "checkpoint_interval": self.checkpoint_interval,
            "density.interval": self.density.interval,
            "contrastive.interval": self.contrastive.interval,
            "contrastive.features": self.contrastive.features,
            "spatial.interval": self.spatial.interval,
            "spatial.anchors": self.spatial.anchors,
            "lift.max_masks": self.lift.max_masks,
            "lift.max_views": self.lift.max_views,
            "lift.samples": self.lift.samples,
        }
        for name, value in positive.items():
            if value < 1:
                raise SplatsegError(
                    f"{name} is {value}",
                    expected="at least 1",
                )
        not_negative = {
            "seed": self.seed,
            "contrastive.weight": self.contrastive.weight,
            "spatial.near_weight": self.spatial.near_weight,
            "spatial.far_weight": self.spatial.far_weight,
            "lift.steps": self.lift.steps,
        }
        for name, value in not_negative.items():
            if not value >= 0:  # NaN is refused as well
                raise SplatsegError(
                    f"{name} is {value}",
                    expected="0 or more",
                )
        if not self.lift.temperature > 0:
            raise SplatsegError(
                f"lift.temperature is {self.lift.temperature}",
                expected="above 0",
            )
        if not 0 < self.density.reset_interval <= 1:
            raise SplatsegError(
                f"density.reset_interval is {self.density.reset_interval}",
                expected="a share of all iterations, above 0 and at most 1",
            )
        if not 0 <= self.appearance.sh_degree <= 3:
            raise SplatsegError(
                f"sh_degree is {self.appearance.sh_degree}",
                expected="0, 1, 2 or 3",
            )

    @property
    def contrasts(self) -> bool:
        """Whether the contrastive loss trains features beside the appearance."""
        return self.contrastive.weight > 0

    @property
    def learns_features(self) -> bool:
        """Whether this run trains segmentation features, and so needs masks."""
        return self.contrasts or self.lift.steps > 0


Preset = Literal["paper", "plus", "rgb"]

PRESETS: dict[Preset, TrainConfig] = {
    "paper": TrainConfig(),
    "plus": TrainConfig(
        contrastive=ContrastiveConfig(weight=0.0),
        spatial=SpatialConfig(near_weight=0.0, far_weight=0.0),
        lift=LiftConfig(steps=300),
    ),
    "rgb": TrainConfig(
        contrastive=ContrastiveConfig(weight=0.0),
        spatial=SpatialConfig(near_weight=0.0, far_weight=0.0),
    ),
}
