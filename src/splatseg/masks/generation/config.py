"""How masks are made."""

from dataclasses import dataclass

from splatseg.errors import SplatsegError


@dataclass(frozen=True)
class GenerationConfig:
    """How masks are made: all that may be one; training can be choosier. See docs/masks.md."""

    points_per_side: int = 16
    """Points along a side of the photo."""
    crops: int = 2
    """Crops along a side, each looked at as closely as the photo; 0 or 1: none."""
    crop_points_per_side: int = 8
    """Points along a side of a crop."""
    boxes: bool = True
    """Ask again by the box of each mask that was kept."""
    adaptive: bool = True
    """Skip points where several prompts agreed on a region: faster, few masks lost."""
    min_predicted_iou: float = 0.6
    """The model's own estimate of a mask's quality, from which it is kept."""
    min_stability: float = 0.75
    """A mask's stability, 0 to 1, from which it is kept."""
    max_iou: float = 0.8
    """Of masks that agree by more than this IoU only the best is kept."""

    def __post_init__(self) -> None:
        if self.points_per_side < 1 or self.crop_points_per_side < 1 or self.crops < 0:
            raise SplatsegError(
                f"points_per_side is {self.points_per_side}, crop_points_per_side is "
                f"{self.crop_points_per_side}, crops is {self.crops}",
                expected="at least one point a side, and 0 or more crops",
            )
        for name in ("min_predicted_iou", "min_stability", "max_iou"):
            if not 0 <= getattr(self, name) <= 1:
                raise SplatsegError(
                    f"{name} is {getattr(self, name)}",
                    expected="a fraction, 0 to 1",
                )

    @property
    def prompts(self) -> int:
        """Points asked for a photo, if none is skipped."""
        return self.points_per_side**2 + (self.crops * self.crop_points_per_side) ** 2 * (
            self.crops > 1
        )
