"""Samples by the hash of a name: the same in any order of reading, in any portions."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]


def name_hash(name: str, salt: str = "") -> int:
    """64 bits that have nothing to do with what the name is of; names need not be Unicode."""
    key = (salt + name).encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(key, digest_size=8).digest())


def name_hashes(names: Iterable[str], salt: str = "") -> Hashes:
    """The hashes of names, (n,)."""
    return np.array([name_hash(name, salt) for name in names], np.uint64)


class HashSample:
    """Of all rows offered the `size` with the smallest hashes, each hash once.

    A row is one row of each of the `columns`, whose widths are given.
    """

    def __init__(self, size: int, *dims: int) -> None:
        self._size = size
        self.hashes: Hashes = np.empty(0, np.uint64)
        self.columns = tuple(np.empty((0, dim), np.float32) for dim in dims)

    def update(self, hashes: Hashes, *columns: NDArray[Any]) -> None:
        """Offer rows: hash i with row i of each column."""
        merged, first = np.unique(np.concatenate([self.hashes, hashes]), return_index=True)
        self.hashes, kept = merged[: self._size], first[: self._size]
        both = zip(self.columns, columns, strict=True)
        self.columns = tuple(np.concatenate([old, new])[kept] for old, new in both)
