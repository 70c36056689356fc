"""Parameters as the command line spells them: the core names them, and knows no flags."""

import re

SPELLINGS = {"output": "-o", "source": "--import", "with_held_out": "--all"}
"""Parameters whose flag is not their name."""


def spell_flags(sentence: str) -> str:
    """A sentence with each parameter in backticks (`max_gaussians`) as its flag."""

    def spell(match: re.Match[str]) -> str:
        name = match[1]
        return SPELLINGS.get(name) or f"--{name.replace('_', '-')}"

    return re.sub(r"`([a-z][a-z_]*)`", spell, sentence)
