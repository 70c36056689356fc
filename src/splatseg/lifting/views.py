"""A view and its 2D masks, as lifting reads them."""

from dataclasses import dataclass

from jaxtyping import Bool, Int
from torch import Tensor

from splatseg.capture import Frame


@dataclass(frozen=True, eq=False)
class SegmentedView:
    """The overlapping masks of a view, cut into regions: see `masks.regions`."""

    frame: Frame
    regions: Int[Tensor, "h w"]
    """The region of each pixel of the undistorted image."""
    membership: Bool[Tensor, "r s"]
    """[region, segment]: whether the region lies in the segment."""

    @property
    def segments(self) -> int:
        """The number of masks."""
        return self.membership.shape[1]

    def pixels(self) -> Int[Tensor, " s"]:
        """Pixels of each mask in the undistorted image."""
        sizes = self.regions.flatten().bincount(minlength=len(self.membership))
        return (sizes[:, None] * self.membership).sum(dim=0)

    def mask(self, segment: int) -> Bool[Tensor, "h w"]:
        """One of the masks."""
        return self.membership[:, segment][self.regions]
