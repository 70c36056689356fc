"""What `splatseg evaluate --json` prints: one JSON-ready dict per protocol.

`protocol` is the name with its version. Figures are fractions in [0, 1], `psnr` is in dB, and the
top level holds the means over `objects` (or, for nvs, over `frames`), one row each.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from statistics import fmean
from typing import Any, Literal

from splatseg.evaluation.metrics import Match
from splatseg.evaluation.protocols import (
    FrameScore,
    ObjectScore,
    mean_scores,
)


def nvs_report(frames: Sequence[FrameScore]) -> dict[str, Any]:
    """`psnr` and `ssim`, and the same of each of `frames`."""
    return {
        "protocol": "nvs/1",
        "psnr": fmean(score.psnr for score in frames),
        "ssim": fmean(score.ssim for score in frames),
        "frames": [asdict(score) for score in frames],
    }


def clicks_report(
    protocol: Literal["click/1", "click3/1"], objects: Sequence[ObjectScore]
) -> dict[str, Any]:
    """`miou`, `mbiou` and `biou2`, under `best` at each object's best threshold.

    click3 adds `worst`, of each object's click with the lowest mIoU. Rows list their clicks.
    """
    report = {
        "protocol": protocol,
        **asdict(mean_scores(score.scores for score in objects)),
        "best": asdict(mean_scores(score.best for score in objects)),
    }
    if protocol == "click3/1":
        report["worst"] = asdict(mean_scores(score.worst for score in objects))
    return report | {"objects": [_object_row(score) for score in objects]}


def clusters_report(matches: Mapping[int, Match], names: Mapping[int, str]) -> dict[str, Any]:
    """`miou`; a row's `cluster` is the label that stands for the object, null if none does."""
    return {
        "protocol": "clusters/1",
        "miou": fmean(match.iou for match in matches.values()),
        "objects": [
            {"id": object_id, "name": names[object_id], "miou": match.iou, "cluster": match.label}
            for object_id, match in matches.items()
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
