"""Which frames are held out for testing."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from splatseg.errors import SplatsegError
from splatseg.files import read_json

SPLIT_FILE = "split.json"
HOLD_OUT_EVERY = 8  # the convention of Mip-NeRF 360, which most papers follow
EXPECTED = '{"train": [frame names], "test": [frame names]}'

logger = logging.getLogger(__name__)


class Split(NamedTuple):
    """Frame names for training and testing, and the file that says so."""

    train: frozenset[str]
    test: frozenset[str]
    source: str


def hold_out(names: Sequence[str]) -> Split:
    """Every 8th frame, from the first, is a test frame; a lone frame is trained on."""
    test = frozenset(sorted(names)[::HOLD_OUT_EVERY] if len(names) > 1 else ())
    return Split(frozenset(names) - test, test, f"every {HOLD_OUT_EVERY}th frame")


def read_split(path: Path) -> Split | None:
    """The split that `split.json` gives as {"train": [frames], "test": [frames]}, if it exists."""
    if not path.is_file():
        return None
    try:
        data = read_json(path, EXPECTED)
        return Split(_names(data["train"]), _names(data["test"]), path.name)
    except (ValueError, KeyError, TypeError) as error:
        raise SplatsegError(
            f"{path} is not a split ({error!r})",
            expected=EXPECTED,
        ) from error


def check_split(split: Split, names: Sequence[str]) -> None:
    """Refuse a split that leaves nothing to train on; warn of frames that do not exist."""
    both = sorted(split.train & split.test)
    if both:
        raise SplatsegError(
            f"{split.source} lists {both[0]} for training and for testing ({len(both)} such "
            "frames)",
            remedy="keep each frame in one of the lists",
        )
    unknown = sorted((split.train | split.test) - set(names))
    if not split.train.intersection(names):
        hint = f" and names {unknown[0]}, which is no frame" if unknown else ""
        raise SplatsegError(
            f"{split.source} leaves no frame to train on{hint}",
            expected=f"frame names such as {min(names)}",
        )
    if unknown:
        logger.warning(
            "%s names %d frames that the capture does not have (first: %s)",
            split.source, len(unknown), unknown[0],
        )  # fmt: skip


def _names(names: Any) -> frozenset[str]:
    if not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
        raise TypeError(f"{names!r} is not a list of frame names")
    return frozenset(names)
