"""What refiners work on: pieces of text that were found, each with a score and a vector."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, Protocol, TypeVar, cast

import numpy as np

from engine.types import Vector, Vectors
from engine.vectors import unit

NOTES = 6
"""Of so many things that a refiner did it tells what they were, and the number of the others."""


class Piece(Protocol):
    """A text that was found, as `engine.types.CaptionHit` is one; a dataclass."""

    @property
    def text(self) -> str:
        """What it says."""

    @property
    def score(self) -> float:
        """How near it is to what was asked."""

    @property
    def vector(self) -> Vector | None:
        """Its vector, where there is one."""


P = TypeVar("P", bound=Piece)


def with_text(piece: P, text: str) -> P:
    """The piece, which says something else."""
    return cast("P", replace(cast("Any", piece), text=text))


SHARPNESS = 0.02
"""A piece that scores so much less than the best has a vote of 1/e of its."""


def votes(pieces: Sequence[Piece]) -> list[float]:
    """What the word of each piece counts, 1 of the best: the nearest count most.

    Weights that are the scores themselves hardly differ, as cosines of neighbours do not: with them
    the many far ones decide, which was measured to be worse.
    """
    scores = np.array([piece.score for piece in pieces], np.float64)
    weights: list[float] = np.exp((scores - scores.max(initial=-np.inf)) / SHARPNESS).tolist()
    return weights


def rows_of(pieces: Sequence[Piece]) -> Vectors | None:
    """The vectors of pieces as unit rows (n, dim); None where one has none."""
    rows = [piece.vector for piece in pieces if piece.vector is not None]
    if not rows or len(rows) < len(pieces):
        return None
    return np.asarray(unit(np.stack(rows).astype(np.float64)), np.float32)


def noted(told: Iterable[str]) -> tuple[str, ...]:
    """The first notes, and how many more there are."""
    notes = list(told)
    more = len(notes) - NOTES
    return tuple(notes[:NOTES] + ([f"and {more} more"] if more > 0 else []))
