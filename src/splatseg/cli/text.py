"""`splatseg pick --text`: words to prompts for a picker."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import torch
import tyro

from splatseg.capture import Frame
from splatseg.cli.grounding import GroundingFlags
from splatseg.cli.output import Output
from splatseg.errors import NothingFound
from splatseg.images import RGB, save_image, scaled
from splatseg.masks.config import Level
from splatseg.scene import Scene
from splatseg.scene.photos import photo_or_render, render_as_photo
from splatseg.segmentation import Picker
from splatseg.text import BoxFile, BoxSource, DetectorSource, GroundingVote, ground_in_views
from splatseg.viz.grounding import debug_picture
from splatseg.viz.montages import montage
from splatseg.viz.pictures import highlight

VIEWS = 5  # that are looked at unless some are named: enough to outvote a mistake
SHEET_CELL = 420  # pixels


@dataclass(frozen=True)
class TextFlags(GroundingFlags):
    """Words, and where and how to look for what they mean."""

    text: tyro.conf.UseAppendAction[list[str]] = field(default_factory=list)
    """What the object is, in words: 'red mug'. Again for more objects, each for itself."""
    text_in: tyro.conf.UseAppendAction[list[str]] = field(default_factory=list)
    """Frame to look in; again for more, which vote. By default some training views, spread."""
    text_on: Literal["photo", "render"] = "photo"
    """Look at photos, or at what the scene shows in their place."""
    debug: bool = False
    """Keep a picture for each prompt of what was found where, and what it selects."""

    def ground(
        self, scene: Scene, device: torch.device, level: Level, threshold: float, out: Output
    ) -> dict[str, list[GroundingVote]]:
        """What each prompt means in the views that show it.

        Raises:
            NothingFound: a prompt means nothing in any of these views.
        """
        prompts = list(dict.fromkeys(self.text))
        finder = self.finder(scene, device)
        frames = [scene.frame(name) for name in self._frames(scene, finder, prompts)]
        grounder = self.grounder(finder, device)
        with out.progress("looking", len(frames)) as line:

            def images():
                for done, frame in enumerate(frames, start=1):
                    yield frame.name, self.image(scene, frame)
                    line.update(done)

            answers = ground_in_views(Picker(scene), grounder, prompts, images(), level, threshold)
        missing = [prompt for prompt, found in answers.items() if not found]
        if missing:
            looked = ", ".join(frame.name for frame in frames)
            raise NothingFound(
                f"{grounder.name} finds no {' and no '.join(map(repr, missing))} in {looked}; "
                "look in other views with --text-in FRAME, or say it in other words"
                + (", or lower --min-score" if isinstance(finder, DetectorSource) else "")
            )
        return answers

    def image(self, scene: Scene, frame: Frame) -> RGB:
        """What is looked at in a frame."""
        return (photo_or_render if self.text_on == "photo" else render_as_photo)(scene, frame)

    def _frames(self, scene: Scene, finder: BoxSource, prompts: Sequence[str]) -> list[str]:
        """Those named, else those a file has boxes of, else training views, spread."""
        if self.text_in:
            return list(dict.fromkeys(self.text_in))
        if isinstance(finder, BoxFile):
            return _frames_with_boxes(finder, prompts)
        training = [frame.name for frame in scene.frames if not frame.is_test]
        places = np.linspace(0, len(training) - 1, min(VIEWS, len(training))).astype(int)
        return [training[place] for place in places]

    def write_debug(
        self, folder: Path, scene: Scene, answers: dict[str, list[GroundingVote]], picker: Picker
    ) -> None:
        """A picture for each prompt: a row for each view, what was found and what it selects."""
        frames = {frame.name: frame for frame in scene.frames}
        for number, (prompt, found) in enumerate(answers.items(), start=1):
            rows = []
            for answer in found:
                grounding = answer.grounding
                image = self.image(scene, frames[grounding.frame])
                drawn = debug_picture(image, grounding.detections, grounding.mask)
                queries = picker.queries([grounding.region])
                chosen = highlight(image, picker.margin_of(queries, grounding.frame) >= 0)
                rows.append([scaled(drawn, SHEET_CELL), scaled(chosen, SHEET_CELL)])
            outvoted = [one.grounding.frame for one in found if not one.agrees]
            selects = "what it selects" + (f"; outvoted: {', '.join(outvoted)}" if outvoted else "")
            sheet = montage(rows, [f"{prompt}: found", selects], SHEET_CELL)
            save_image(folder / f"{number}.png", sheet)


def _frames_with_boxes(boxes: BoxFile, prompts: Sequence[str]) -> list[str]:
    frames = dict.fromkeys(frame for prompt in prompts for frame in boxes.frames(prompt))
    if not frames:
        known = ", ".join(boxes.prompts) or "nothing"
        raise NothingFound(
            f"{boxes.name} has no box of {' or '.join(map(repr, prompts))}",
            remedy=f"it has boxes of {known}",
        )
    return list(frames)
