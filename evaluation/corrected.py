"""Scores less what points owe to being near to everything, exactly and in memory."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from corpus.examples import Examples
from engine.alignment.alignment import GapMap
from engine.alignment.hubs import BANK, Bank, Hubs
from engine.identity import picture_number
from engine.sampling import Hashes, HashSample
from engine.types import Vectors

Both = tuple[Vectors, Vectors]
"""Queries and documents, whose products are scores."""


def bank_of(training: Examples) -> Bank:
    """A bank of training pictures and of the first caption of each, drawn by their hashes."""
    numbers = numbers_of(training)
    dim = training.images.shape[1]
    sample = HashSample(BANK, dim, dim)
    firsts = training.captions[np.searchsorted(training.owners, np.arange(len(training)))]
    sample.update(numbers, training.images, firsts)
    images, captions = (column.astype(np.float16) for column in sample.columns)
    return Bank(images, sample.hashes, captions, sample.hashes)


def numbers_of(examples: Examples) -> Hashes:
    """The numbers of the pictures, (n,), by which each is known in a bank."""
    return np.array([picture_number(one.key) for one in examples.pictures], np.uint64)


def both_ways(
    examples: Examples, alignment: GapMap, hubs: Hubs | None, strength: float
) -> tuple[Both, Both]:
    """Pictures as queries with captions as documents, and the other way, under a map."""
    images = alignment.map_images(examples.images)
    captions = alignment.map_texts(examples.captions)
    if hubs is None or not strength:
        return (images, captions), (captions, images)
    numbers = numbers_of(examples)
    of_captions = hubs.of_captions(captions, numbers[examples.owners])
    return (
        less(images, captions, of_captions, strength),
        less(captions, images, hubs.of_pictures(images, numbers), strength),
    )


def less(
    queries: Vectors, documents: Vectors, near: NDArray[np.float32] | None, strength: float
) -> Both:
    """Both with one more coordinate, which takes so many times `near` (n,) off each product."""
    if near is None or not strength:
        return queries, documents
    ones = np.ones((len(queries), 1), np.float32)
    return np.hstack([queries, ones]), np.hstack([documents, -strength * near[:, None]])
