"""What `splatseg evaluate --json` prints: one JSON-ready dict per protocol.

`protocol` is the name with its version. Figures are fractions in [0, 1], `psnr` is in dB, and the
top level holds the means over `objects` (or, for nvs, over `frames`), one row each. A figure that
is not known is null and left out of the mean.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from statistics import fmean
from typing import Any, Literal

from splatseg.evaluation.click_scores import ObjectScore
from splatseg.evaluation.metrics import MaskScores, Match, mean_scores
from splatseg.evaluation.panoptic import PanopticScore, TubeScore
from splatseg.evaluation.photos import FrameScore
from splatseg.evaluation.protocols import ClickProtocol, PromptProtocol, versioned
from splatseg.evaluation.selection import SelectionScore
from splatseg.evaluation.text import PromptScore


def nvs_report(frames: Sequence[FrameScore]) -> dict[str, Any]:
    """`psnr` and `ssim`, and the same of each of `frames`."""
    return {
        "protocol": versioned("nvs"),
        "psnr": fmean(score.psnr for score in frames),
        "ssim": fmean(score.ssim for score in frames),
        "frames": [asdict(score) for score in frames],
    }


def clicks_report(
    protocol: ClickProtocol | Literal["ceiling"], objects: Sequence[ObjectScore]
) -> dict[str, Any]:
    """`miou`, `mbiou` and `biou2`, under `best` at each object's best threshold.

    Where there are several clicks on an object, also `worst`, of each object's click with the
    lowest mIoU. Rows list their clicks.
    """
    report = {
        "protocol": versioned(protocol),
        **asdict(mean_scores(score.scores for score in objects)),
        "best": asdict(mean_scores(score.best for score in objects)),
    }
    if protocol not in ("click", "ceiling"):
        report["worst"] = asdict(mean_scores(score.worst for score in objects))
    return report | {"objects": [_object_row(score) for score in objects]}


def selections_report(scores: Sequence[SelectionScore]) -> dict[str, Any]:
    """`miou`, of Gaussians by their footprint, and `outside`."""
    return {
        "protocol": versioned("click3d"),
        "miou": fmean(score.iou for score in scores),
        "outside": _mean_of_known(score.outside for score in scores),
        "objects": [
            {
                "id": score.query.object_id,
                "name": score.name,
                "miou": score.iou,
                "outside": score.outside,
                "frame": score.query.frame,
                "x": score.query.x,
                "y": score.query.y,
            }
            for score in scores
        ],
    }


def clusters_report(matches: Mapping[int, Match], names: Mapping[int, str]) -> dict[str, Any]:
    """`miou`; a row's `cluster` is the label that stands for the object, null if none does."""
    return {
        "protocol": versioned("clusters"),
        "miou": fmean(match.iou for match in matches.values()),
        "objects": [
            {"id": object_id, "name": names[object_id], "miou": match.iou, "cluster": match.label}
            for object_id, match in matches.items()
        ],
    }


def objects_report(score: PanopticScore) -> dict[str, Any]:
    """`miou`, `pq` = `sq` x `rq`, and the counts behind them."""
    return {
        "protocol": versioned("objects"),
        "miou": fmean(tube.match.iou for tube in score.objects),
        "pq": score.pq,
        "sq": score.sq,
        "rq": score.rq,
        "tp": score.tp,
        "fp": score.fp,
        "fn": score.fn,
        "ignored": score.ignored,
        "over_segmented": score.over_segmented,
        "under_segmented": score.under_segmented,
        "objects": [_tube_row(tube) for tube in score.objects],
    }


def prompts_report(protocol: PromptProtocol, prompts: Sequence[PromptScore]) -> dict[str, Any]:
    """`miou`, for text `mbiou` and `biou2` too, and under `other_views` without the reference."""
    names = ("miou", "mbiou", "biou2") if protocol == "text" else ("miou",)
    others = [score.other_views for score in prompts if score.other_views is not None]
    return {
        "protocol": versioned(protocol),
        **_figures(mean_scores(score.scores for score in prompts), names),
        "other_views": _figures(mean_scores(others) if others else None, names),
        "reference": prompts[0].reference,
        "objects": [
            {
                "name": score.prompt,
                "views": len(score.in_views),
                **_figures(score.scores, names),
                "other_views": _figures(score.other_views, names),
            }
            for score in prompts
        ],
    }


def _object_row(score: ObjectScore) -> dict[str, Any]:
    return {
        "id": score.object_id,
        "name": score.name,
        "views": score.views,
        **asdict(score.scores),
        "best": {"threshold": score.best_threshold, **asdict(score.best)},
        "clicks": [
            {
                "frame": click.query.frame,
                "x": click.query.x,
                "y": click.query.y,
                **asdict(click.scores),
            }
            for click in score.clicks
        ],
    }


def _tube_row(tube: TubeScore) -> dict[str, Any]:
    return {
        "id": tube.object_id,
        "name": tube.name,
        "miou": tube.match.iou,
        "cluster": tube.match.label,
        "matched": tube.matched,
        "parts": tube.parts,
    }


def _figures(scores: MaskScores | None, names: Sequence[str]) -> dict[str, float | None]:
    return {name: None if scores is None else getattr(scores, name) for name in names}


def _mean_of_known(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None
