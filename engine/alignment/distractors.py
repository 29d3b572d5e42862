"""Captions that belong to none of the pairs: what a picture's own caption has to beat."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from engine.types import Vectors

SIZE = 1000
"""Captions that a picture's own is ranked among, beside those of its fold: so many at most."""


class Distractors:
    """Of all captions offered those whose texts have the smallest hashes, each text once.

    Neither the order of offering nor its portions change them.
    """

    def __init__(self, dim: int, size: int = SIZE) -> None:
        self._size = size
        self._hashes: NDArray[np.uint64] = np.empty(0, np.uint64)
        self.captions: Vectors = np.empty((0, dim), np.float32)

    def update(self, texts: Sequence[str], captions: Vectors) -> None:
        """Offer texts with their vectors, (n, dim)."""
        hashes = np.array([_hash(text) for text in texts], np.uint64)
        merged, first = np.unique(np.concatenate([self._hashes, hashes]), return_index=True)
        self._hashes = merged[: self._size]
        self.captions = np.concatenate([self.captions, captions])[first[: self._size]]


def _hash(text: str) -> int:
    key = text.encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(key, digest_size=8).digest())
