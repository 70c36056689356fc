"""Which photos to match with which.

Matching every photo with every other takes time that grows with the square of their number. Beyond
a few dozen, each photo is matched with its neighbors in the order of names, which for a video or a
walk show the same things, and with those most similar to it. Similarity is the scalar product of
VLAD vectors (Jégou et al. 2010): of each photo's SIFT descriptors, the summed differences to the
nearest of a few words, which are learned from the photos themselves.
"""

from collections.abc import Sequence
from pathlib import PurePosixPath

import numpy as np
from jaxtyping import Float32, UInt8

ALL_PAIRS_UP_TO = 40  # photos: 780 pairs, about what 60 photos have with the limits below
NEIGHBORS = 5  # after it in the order of names, in the same folder
SIMILAR = 20
"""Found 94 % of the pairs that fit together among 272 photos of six scenes, with 9 % of all."""
WORDS = 64
SAMPLE = 300  # descriptors of each photo that the words are learned from
MIN_LENGTH = 1e-9  # a photo without features has the vector zero, and nothing divides by zero


def neighbor_pairs(photos: Sequence[str]) -> set[tuple[int, int]]:
    """Pairs (i, j), i < j, of photos in one folder that follow each other closely."""
    folders: dict[PurePosixPath, list[int]] = {}
    for index, photo in enumerate(photos):
        folders.setdefault(PurePosixPath(photo).parent, []).append(index)
    return {
        (first, second)
        for members in folders.values()
        for place, first in enumerate(members)
        for second in members[place + 1 : place + 1 + NEIGHBORS]
    }


def similar_pairs(vectors: Float32[np.ndarray, "n d"]) -> set[tuple[int, int]]:
    """Pairs (i, j), i < j, of which one is among the most similar to the other."""
    similarity = vectors @ vectors.T
    np.fill_diagonal(similarity, -np.inf)
    nearest = np.argsort(-similarity, axis=1, kind="stable")[:, : min(SIMILAR, len(vectors) - 1)]
    return {(min(i, j), max(i, j)) for i, row in enumerate(nearest.tolist()) for j in row}


def learn_words(samples: Sequence[UInt8[np.ndarray, "_ d"]]) -> Float32[np.ndarray, "words d"]:
    """The words that the photos' descriptors are described by: their own k-means."""
    rows = np.concatenate(samples).astype(np.float32)
    if len(rows) <= WORDS:  # one word at least, even if no photo has a feature
        return np.concatenate([rows, np.zeros((1, rows.shape[1]), np.float32)])
    from sklearn.cluster import MiniBatchKMeans  # takes as long to import as torch

    return np.asarray(MiniBatchKMeans(WORDS, random_state=0).fit(rows).cluster_centers_)


def sample_rows(descriptors: UInt8[np.ndarray, "n d"]) -> UInt8[np.ndarray, "m d"]:
    """At most SAMPLE descriptors, evenly spread, the same each time."""
    count = min(SAMPLE, len(descriptors))
    return descriptors[np.linspace(0, len(descriptors) - 1, count).astype(int)]


def vlad(
    descriptors: UInt8[np.ndarray, "n d"], words: Float32[np.ndarray, "words d"]
) -> Float32[np.ndarray, " words*d"]:
    """The photo's VLAD vector, of length 1, or 0 without descriptors."""
    rows = descriptors.astype(np.float32)
    nearest = np.argmax(2 * rows @ words.T - np.sum(words**2, axis=1), axis=1)
    sums = np.zeros_like(words)
    np.add.at(sums, nearest, rows - words[nearest])
    # Words have the same weight, so that a texture that fills the photo does not outweigh the rest.
    sums /= np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), MIN_LENGTH)
    return sums.ravel() / max(float(np.linalg.norm(sums)), MIN_LENGTH)
