"""Captions that belong to none of the pairs: what a picture's own caption has to beat."""

from __future__ import annotations

from collections.abc import Sequence

from engine.sampling import HashSample, name_hashes
from engine.types import Vectors

SIZE = 4000
"""Captions that a picture's own is ranked among, beside those of its fold: so many at most.

Among 1,000 maps differ by less than their standard error that differ by far among the captions of
a whole memory, and the simplest is taken (RESULTS.md).
"""


class Distractors:
    """Of all captions offered those whose texts have the smallest hashes, each text once.

    Neither the order of offering nor its portions change them.
    """

    def __init__(self, dim: int, size: int = SIZE) -> None:
        self._sample = HashSample(size, dim)

    @property
    def captions(self) -> Vectors:
        """The sample, (at most size, dim)."""
        return self._sample.columns[0]

    def update(self, texts: Sequence[str], captions: Vectors) -> None:
        """Offer texts with their vectors, (n, dim)."""
        self._sample.update(name_hashes(texts), captions)
