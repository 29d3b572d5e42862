"""Collapses captions that say the same but for little words, inflection and order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.evidence.pieces import P, noted, rows_of
from engine.evidence.terms import terms
from engine.stages.protocols import Found

ALIKE = 0.75
"""Captions that share so much of their terms (Jaccard) say the same, if their vectors agree."""

NEAR = 0.97
"""And so near are the vectors of captions that do."""

COMPARED = 256
"""So many pieces, the nearest, are compared each with each; those beyond by their terms alone."""


class NearCopies:
    """Keeps of pieces that say the same the first, which is the nearest."""

    name = "refine: near copies"

    def __init__(self, alike: float = ALIKE, near: float = NEAR) -> None:
        self._alike, self._near = alike, near

    def refine(self, asked: Sequence[Any], found: Sequence[Found[P]]) -> list[Found[P]]:
        """For each question the pieces that say something which none before them says."""
        del asked
        return [self._refined(one.items) for one in found]

    def _refined(self, items: tuple[P, ...]) -> Found[P]:
        said = [terms(item.text) for item in items]
        alike = self._alike_by_vector(items)
        first_with: dict[frozenset[str], int] = {}
        kept: list[int] = []
        told: list[str] = []
        for at, own in enumerate(said):
            first = first_with.setdefault(own, at)
            if first == at and at < COMPARED:
                near = (one for one in kept if alike[one, at])
                first = next((one for one in near if _overlap(said[one], own) >= self._alike), at)
            if first == at:
                kept.append(at)
            else:
                told.append(f"{at + 1} says what {first + 1} says")
        return Found(tuple(items[at] for at in kept), noted(told))

    def _alike_by_vector(self, items: Sequence[P]) -> NDArray[np.bool_]:
        """Which of the first pieces lie near each other; none do where there are no vectors."""
        rows = rows_of(items[:COMPARED])
        if rows is None:
            return np.zeros((COMPARED, COMPARED), np.bool_)
        return np.asarray(rows @ rows.T >= self._near)


def _overlap(one: frozenset[str], other: frozenset[str]) -> float:
    """Jaccard: of all terms of two texts the share that both have."""
    together = len(one | other)
    return len(one & other) / together if together else 1.0
