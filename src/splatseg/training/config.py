"""The settings of a training run, and the named presets.

Every decision that the paper leaves open is a field here (docs/method.md lists them), so that an
ablation is a flag. The defaults are the preset `paper`.
"""

from dataclasses import dataclass, field
from typing import Literal

from splatseg.errors import check_setting
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

    def __post_init__(self) -> None:
        valid = 0 <= self.sh_degree <= 3
        check_setting("appearance.sh_degree", self.sh_degree, valid, "0, 1, 2 or 3")


@dataclass(frozen=True)
class DensityConfig:
    """3D Gaussian Splatting's density control: clone, split, prune, reset opacities."""

    start: int = 500
    """First iteration that may add Gaussians."""
    stop: float = 0.5
    """Fraction of all iterations after which none are added."""
    interval: int = 100
    """Iterations between two rounds."""
    threshold: float = 2e-4
    """Mean gradient of the projected center (normalized image coordinates) that adds a Gaussian."""
    split_scale: float = 0.01
    """Gaussians larger than this fraction of the extent are split, smaller ones cloned."""
    min_opacity: float = 5e-3
    """Fainter Gaussians are pruned."""
    max_scale: float = 0.1
    """Larger ones, as a fraction of the extent, are pruned once opacities were reset."""
    reset_interval: float = 0.1
    """Fraction of all iterations between two opacity resets (3DGS: 3,000 of 30,000)."""
    reset_stop: float = 0.3
    """Fraction of all iterations after which opacities are not reset any more."""

    def __post_init__(self) -> None:
        check_setting("density.interval", self.interval, self.interval >= 1, "at least 1")
        check_setting(
            "density.reset_interval",
            self.reset_interval,
            0 < self.reset_interval <= 1,
            "a fraction of all iterations, above 0 and at most 1",
        )


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

    def __post_init__(self) -> None:
        check_setting("contrastive.weight", self.weight, self.weight >= 0, "0 or more")
        check_setting("contrastive.interval", self.interval, self.interval >= 1, "at least 1")
        check_setting("contrastive.features", self.features, self.features >= 1, "at least 1")


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

    def __post_init__(self) -> None:
        check_setting("spatial.near_weight", self.near_weight, self.near_weight >= 0, "0 or more")
        check_setting("spatial.far_weight", self.far_weight, self.far_weight >= 0, "0 or more")
        check_setting("spatial.interval", self.interval, self.interval >= 1, "at least 1")
        check_setting("spatial.anchors", self.anchors, self.anchors >= 1, "at least 1")


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
        check_setting("iterations", self.iterations, self.iterations >= 1, "at least 1")
        check_setting("seed", self.seed, self.seed >= 0, "0 or more")
        check_setting("max_gaussians", self.max_gaussians, self.max_gaussians >= 1, "at least 1")
        check_setting(
            "checkpoint_interval",
            self.checkpoint_interval,
            self.checkpoint_interval >= 1,
            "at least 1",
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
