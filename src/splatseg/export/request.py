"""What of a scene is exported: its Gaussians, or those of an object or a pick."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from jaxtyping import Bool, Int
from torch import Tensor

from splatseg.errors import SplatsegError
from splatseg.files import read_json
from splatseg.geometry.camera import Camera
from splatseg.geometry.gaussians import Gaussians
from splatseg.masks.config import Level
from splatseg.scene import Scene
from splatseg.segmentation.objects import Kind

OBJECTS = "objects.json"


@dataclass(frozen=True, eq=False)
class ExportRequest:
    """Gaussians to export, with their labels."""

    scene: Path
    """The scene folder that they are from."""
    gaussians: Gaussians
    labels: Int[Tensor, " n"] | None
    """Object ids as `Scene.labels` has them; None if the scene was not clustered."""
    parts: Mapping[Level, Int[Tensor, " n"]]
    is_selection: bool
    """Whether they include a pick: then they are one object, whatever their labels are."""
    cameras: Sequence[Camera]
    """Those that the scene was trained on."""

    @staticmethod
    def of_scene(scene: Scene, folder: Path) -> "ExportRequest":
        """All Gaussians of the scene in `folder`."""
        cameras = [frame.camera for frame in scene.train]
        return ExportRequest(folder, scene.gaussians, scene.labels, scene.parts, False, cameras)

    def only(self, chosen: Bool[Tensor, " n"]) -> "ExportRequest":
        """Some of the Gaussians.

        Raises:
            SplatsegError: none is chosen.
        """
        if not chosen.any():
            raise SplatsegError(
                "the selection holds no Gaussian",
                remedy="nothing is written",
            )
        return replace(
            self,
            gaussians=self.gaussians.select(chosen),
            labels=None if self.labels is None else self.labels[chosen],
            parts={level: ids[chosen] for level, ids in self.parts.items()},
        )

    def known_labels(self) -> Int[Tensor, " n"]:
        """The object of each Gaussian.

        Raises:
            SplatsegError: the scene was not clustered.
        """
        if self.labels is None:
            raise SplatsegError(
                f"{self.scene} has no objects yet",
                remedy=f"run splatseg cluster {self.scene} first",
            )
        return self.labels

    def kinds(self) -> dict[int, Kind]:
        """Object or background, by id, as the scene's object table has them; empty without one.

        Raises:
            SplatsegError: the object table is unsound.
        """
        path = self.scene / OBJECTS
        if not path.exists():
            return {}
        expected = "the object table that splatseg cluster wrote"
        content = read_json(path, expected)
        try:
            return {row["id"]: row["kind"] for row in content["objects"]}
        except (KeyError, TypeError) as error:
            raise SplatsegError(
                f"{path} is no object table ({error})",
                expected=expected,
                remedy=f"run splatseg cluster {self.scene} again",
            ) from error
