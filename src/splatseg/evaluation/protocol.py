"""What a benchmark protocol is: one object, in a file of its own in protocols/."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from splatseg.capture import Capture
from splatseg.errors import SplatsegError
from splatseg.evaluation.click_scores import Case
from splatseg.evaluation.config import ProtocolName
from splatseg.images import RGB
from splatseg.progress import SILENT, Progress
from splatseg.scene import Scene
from splatseg.segmentation import QUERY_RADIUS
from splatseg.segmentation.feature_maps import require_features
from splatseg.text import Grounder, Grounding

Need = Literal["photos", "instances", "clicks", "features", "objects", "prompts"]
"""What a protocol reads beside the Gaussians.

photos: held-out photos. instances: the capture's `objects.json` and `gt_instances/`. clicks: its
`prompts.json`. features: the scene's segmentation features. objects: the scene's objects, from
clustering. prompts: true masks by prompt, and a grounder that finds the prompts in one view.
"""


@dataclass(frozen=True)
class EvaluationOptions:
    """What a protocol can be given beside the scene and its capture."""

    query_radius: int = QUERY_RADIUS
    """Pixels around a click that make up its query; 0: the clicked pixel alone."""
    truth: Path | None = None
    """Folder of the true masks of prompts, where it is not in the capture."""
    grounder: Grounder | None = None
    """What finds prompts in the reference view."""
    select_by_own_features: bool = False
    """Of click3d: select Gaussians whose own feature is similar, as the paper does (Fig. 4)."""

    @property
    def required_grounder(self) -> Grounder:
        """What finds prompts; refused where it is not given."""
        if self.grounder is None:
            raise SplatsegError(
                "nothing is given that finds the protocol's prompts in the first view that has "
                "truth",
                expected="`detector` MODEL, `boxes` FILE, or `grounding` FOLDER with masks "
                "<prompt>.png",
            )
        return self.grounder


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What a protocol measured."""

    report: dict[str, Any]
    """JSON values with finite numbers. `protocol` is the name with its version. Figures are
    fractions in [0, 1], `psnr` is in dB. The top level holds the means over `objects` (for nvs,
    over `frames`), which has one row each. A figure that is not known is null, and left out of the
    mean."""
    worst: Sequence[Case] = ()
    """The worst masks, worst first, of a protocol that asks by clicks."""
    reference: RGB | None = None
    """The rendered view that prompts were grounded in, of a protocol that asks by prompts."""
    grounded: Mapping[str, Grounding] = field(default_factory=dict)
    """What each prompt was taken for in `reference`."""


@dataclass(frozen=True)
class Protocol:
    """How a scene is measured: what is asked, and how the answers are scored.

    A protocol is known by its name and version, e.g. `click/1`; one that changes gets a new
    version, so that numbers under one name compare.
    """

    name: ProtocolName
    version: int
    needs: frozenset[Need]
    headlines: tuple[str, ...]
    """The figures of its report that a scene's manifest keeps."""
    measure: Callable[[Scene, Capture, EvaluationOptions, Progress], Evaluation]
    """Called by `run`, which then writes the protocol's name into the report."""

    @property
    def versioned(self) -> str:
        """The name that figures are known by, e.g. `click/1`."""
        return f"{self.name}/{self.version}"

    def run(
        self,
        scene: Scene,
        capture: Capture,
        options: EvaluationOptions | None = None,
        progress: Progress = SILENT,
    ) -> Evaluation:
        """Measure a scene.

        Args:
            scene: gives cameras and the split; photos that it was trained on are never scored
                unless the protocol says so.
            capture: gives photos, prompts and ground truth.
            options: by default all at their defaults.
            progress: gets the stage "scoring views", in test views.

        Raises:
            SplatsegError: something that the protocol needs is missing, or something was given
                that it has no use for.
        """
        options = options or EvaluationOptions()
        self._check_options(options)
        self._check_scene(scene)
        found = self.measure(scene, capture, options, progress)
        return replace(found, report={"protocol": self.versioned} | found.report)

    def headline(self, report: Mapping[str, Any]) -> dict[str, float]:
        """Those of the headline figures that a report, or a part of one, knows."""
        return {name: report[name] for name in self.headlines if report.get(name) is not None}

    def _check_scene(self, scene: Scene) -> None:
        """What of the scene the protocol needs; files of the capture are asked for when read."""
        if "features" in self.needs:
            require_features(scene.gaussians)
        if "objects" in self.needs and scene.labels is None:
            raise SplatsegError(
                "the scene has no objects yet",
                remedy="run splatseg cluster on it before this protocol",
            )

    def _check_options(self, options: EvaluationOptions) -> None:
        if options.query_radius < 0:
            raise SplatsegError(
                f"the query radius is {options.query_radius}", expected="0 or more pixels"
            )
        if "prompts" in self.needs:
            return
        if options.truth is not None or options.grounder is not None:
            raise SplatsegError(
                "`truth` and what finds prompts (`detector`, `boxes`, `grounding`) are for the "
                "protocols text and 3d-ovs",
                remedy=f"the truth for {self.name} is in the capture",
            )
