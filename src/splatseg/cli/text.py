"""Flags of `splatseg pick --text`."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import tyro

from splatseg.cli.grounding import GroundingFlags

if TYPE_CHECKING:
    from splatseg.workflows.grounding import TextPrompts


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

    @property
    def prompts(self) -> "TextPrompts":
        """As workflows take them."""
        from splatseg.workflows.grounding import TextPrompts

        return TextPrompts(self.text, self.text_in, self.text_on, self.options)
