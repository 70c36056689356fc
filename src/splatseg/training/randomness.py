"""Random numbers as a function of (seed, purpose, step): nothing to save, so a resumed run repeats
an uninterrupted one bit for bit."""

import numpy as np
import torch

PURPOSES = ("frames", "features", "split", "spatial", "lift")


def generator(seed: int, purpose: str, step: int = 0) -> torch.Generator:
    """A CPU generator for one purpose at one step of a run."""
    sequence = np.random.SeedSequence([seed, PURPOSES.index(purpose), step])
    return torch.Generator().manual_seed(int(sequence.generate_state(1, np.uint64)[0] >> 1))
