"""Hub correction: what is near to everything counts for less.

In spaces of many dimensions some captions are among the nearest of very many pictures, and some
pictures of very many captions (hubs). How near a point is to a bank of things of the other kind
tells how much of its nearness to a query it owes to that. It is computed when the point is stored,
and `strength` times of it are taken off its cosines when it is searched (nearest-neighbour
normalisation, Chowdhury et al. 2024).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from engine.sampling import Hashes
from engine.types import Vectors
from engine.vectors import unit

Halves = NDArray[np.float16]

STRENGTHS: tuple[float, ...] = (0.0, 0.25, 0.5, 0.75)
"""What a map is tried with, the weakest first: 0 corrects nothing."""

NEIGHBOURS = 16
"""How many of the nearest things of the bank count."""

BANK = 1000
"""Pictures, and captions, of a bank, at most."""

ALIKE = 0.95
"""Banks that share so much are one to an index: a sixteenth of the nearest is hardly moved."""

_NOBODY = 0
_BLOCK = 4096


@dataclass(frozen=True, eq=False)
class Bank:
    """A sample of training pictures and of captions, (n, dim) raw unit rows as they are stored.

    The owners, (n,), are numbers of the pictures (`engine.identity.picture_number`), or other
    hashes for captions of none: what is a point's own does not count in its bank.
    """

    pictures: Halves = field(repr=False)
    picture_owners: Hashes = field(repr=False)
    captions: Halves = field(repr=False)
    caption_owners: Hashes = field(repr=False)

    def kinds(self) -> tuple[tuple[Halves, Hashes], tuple[Halves, Hashes]]:
        """Rows and owners of the pictures, and of the captions."""
        return (
            (self.pictures, self.picture_owners),
            (self.captions, self.caption_owners),
        )

    def like(self, other: Bank | None) -> bool:
        """Whether an index that was written with one may be added to with the other."""
        return other is not None and (
            _shared(self.picture_owners, other.picture_owners) >= ALIKE
            and _shared(self.caption_owners, other.caption_owners) >= ALIKE
        )


class Mapped(Protocol):
    """Carries pictures and captions into one space, as `engine.alignment.alignment.GapMap` does."""

    def map_images(self, images: ArrayLike) -> Vectors:
        """Map picture vectors (n, dim) to float32 unit rows."""

    def map_texts(self, texts: ArrayLike) -> Vectors:
        """Map caption vectors (n, dim) to float32 unit rows."""


class Hubs:
    """How near mapped points are to everything of the other kind, by one bank under one map."""

    def __init__(self, bank: Bank, alignment: Mapped) -> None:
        self._pictures = alignment.map_images(unit(bank.pictures))
        self._captions = alignment.map_texts(unit(bank.captions))
        self._bank = bank

    def of_captions(self, mapped: Vectors, owners: Hashes | None = None) -> Vectors | None:
        """For mapped captions (n, dim) of these pictures, (n,); None without pictures to tell."""
        return nearness(mapped, self._pictures, owners, self._bank.picture_owners)

    def of_pictures(self, mapped: Vectors, owners: Hashes | None = None) -> Vectors | None:
        """For these mapped pictures (n, dim), (n,); None without captions to tell."""
        return nearness(mapped, self._captions, owners, self._bank.caption_owners)


def nearness(
    rows: Vectors,
    bank: Vectors,
    owners: Hashes | None = None,
    bank_owners: Hashes | None = None,
    neighbours: int = NEIGHBOURS,
) -> Vectors | None:
    """The mean cosine of unit rows (n, dim) with the nearest of the bank (b, dim), (n,) float32.

    Their own among the bank are passed over. None for an empty bank.
    """
    if not len(bank):
        return None
    found = np.empty(len(rows), np.float32)
    for start in range(0, len(rows), _BLOCK):
        part = slice(start, start + _BLOCK)
        cosines = rows[part] @ bank.T
        if owners is not None and bank_owners is not None:
            _pass_over(cosines, owners[part], bank_owners)
        found[part] = nearest_mean(cosines, neighbours)
    return found


def nearest_mean(cosines: NDArray[np.floating], neighbours: int = NEIGHBOURS) -> Vectors:
    """The mean of the largest cosines of each row (n, b); those at -inf are none. (n,) float32."""
    count = min(neighbours, cosines.shape[1])
    largest = np.partition(cosines, -count, axis=1)[:, -count:]
    counted = np.isfinite(largest)
    sums = np.where(counted, largest, 0).sum(axis=1)
    return np.asarray(sums / np.maximum(1, counted.sum(axis=1)), np.float32)


def _pass_over(cosines: NDArray[np.floating], owners: Hashes, bank_owners: Hashes) -> None:
    """Take out of the cosines those of things with their own."""
    for row in np.flatnonzero(np.isin(owners, bank_owners) & (owners != _NOBODY)):
        cosines[row, bank_owners == owners[row]] = -np.inf


def _shared(one: Hashes, other: Hashes) -> float:
    """The share of the larger set that both have."""
    larger = max(len(one), len(other))
    return len(np.intersect1d(one, other)) / larger if larger else 1.0
