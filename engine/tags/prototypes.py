"""Labels from a few examples each: the ridge on one-hot, over the moments that are there already.

In the space of raw pictures, where no map stands between examples and pictures. What pictures in
general are like is known from all of the collection (`engine.alignment.moments`); of a label only
the mean of its examples is new. What is no example of a label is not held to lack it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.alignment.moments import PairMoments
from engine.tags.directions import (
    Flags,
    Values,
    chosen_strength,
    directions,
    spread_of,
    usual_strength,
)
from engine.types import Vectors
from engine.vectors import unit


@dataclass(frozen=True, eq=False)
class General:
    """What pictures are like in general: their mean (dim,), spread (dim, dim) and number."""

    mean: Values
    spread: Values
    count: float

    @classmethod
    def of(cls, moments: PairMoments | None, pictures: Vectors) -> General:
        """Of a collection's moments; without any that tell, of these raw pictures (n, dim)."""
        if moments is not None and moments.varied():
            count = len(moments.pictures) or moments.n
            return cls(moments.means()[0], moments.scatter()[0] / moments.n, count)
        rows = unit(pictures).astype(np.float64)
        return cls(rows.mean(axis=0), spread_of(rows), len(rows))


@dataclass(frozen=True, eq=False)
class Prototypes:
    """Directions of labels (dim, labels) from `origin` (dim,) in the raw space.

    Those of labels without an example are zero. `counts` (labels,) are the numbers of examples.
    """

    matrix: Values
    origin: Values
    counts: Values

    def scores(self, raw: Vectors) -> Values:
        """What raw pictures (n, dim) score with each label, (n, labels); 0 without examples."""
        return np.asarray((unit(raw) - self.origin) @ self.matrix)


def prototypes(
    pictures: Vectors, holds: Flags, general: General, strength: float | None = None
) -> Prototypes:
    """Directions from example pictures (n, dim), raw, and which labels each has, (n, labels).

    `strength`: taken where there are too few examples to choose one by.
    """
    rows = unit(pictures).astype(np.float64)
    counts = holds.sum(axis=0)
    means = holds.T.astype(np.float64) @ (rows - general.mean)
    means /= np.maximum(counts, 1)[:, None]
    if strength is None:
        strength = usual_strength(len(general.mean), int(general.count))
    chosen = chosen_strength(rows, holds, general.spread, strength)
    found = directions(general.spread, means, chosen)
    return Prototypes(found, general.mean, counts.astype(np.float64))
