"""Directions that tell labels apart in one space: the ridge on one-hot, in closed form.

With S the second moments of what lies in the space, centred, and m the mean of what has a label
less the mean of all, a label's direction is (S + l I)^-1 m; l = strength * tr(S) / dim, as in
`engine.alignment.closed_form`. Only m is new for a label: S is there once for all.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engine.vectors import unit

Values = NDArray[np.float64]
Flags = NDArray[np.bool_]
Numbers = NDArray[np.integer]

STRENGTHS = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)

NEARLY = 0.98
"""The strongest that is worth this share of the best is taken: it carries over to what is not
among the held-out things, as captions are to pictures."""

_FEW = 2
_LABELS, _HELD_OUT = 200, 2_000
"""So many labels and things choose, at most."""


def directions(spread: Values, apart: Values, strength: float) -> Values:
    """Unit directions (dim, labels) for means `apart` (labels, dim) from the mean of all."""
    dim = len(spread)
    penalty = strength * max(float(np.trace(spread)) / dim, 1e-12)
    found = np.linalg.solve(spread + penalty * np.eye(dim), apart.T)
    return np.asarray(unit(found.T).T)


def spread_of(rows: NDArray[np.floating]) -> Values:
    """Their centred second moments, (dim, dim)."""
    wide = rows.astype(np.float64)
    wide -= wide.mean(axis=0)
    return np.asarray(wide.T @ wide / max(len(rows) - 1, 1))


def usual_strength(dim: int, count: int) -> float:
    """The strength for the spread of so many things, where none can be held out to choose by."""
    return float(np.clip(10 * dim / max(count, 1), STRENGTHS[0], STRENGTHS[-1]))


def chosen_strength(
    rows: NDArray[np.floating],
    holds: Flags,
    spread: Values | None = None,
    otherwise: float | None = None,
) -> float:
    """The strength by which each half of what has labels tells the labels of the other half.

    By mean average precision over labels. `spread`: that of more than these rows. Of too few
    things it is `otherwise`, or `usual_strength`.
    """
    # Labels of too few things say nothing, and very many of them nothing more.
    counts = holds.sum(axis=0)
    usable = np.flatnonzero((counts >= 2 * _FEW) & (counts < len(holds)))[:_LABELS]
    if not len(usable):
        usual = usual_strength(rows.shape[1], len(rows))
        return usual if otherwise is None else otherwise
    first = np.random.default_rng(1).permutation(len(rows)) % 2 == 0
    worth = np.zeros(len(STRENGTHS))
    for half in (first, ~first):
        worth += _worth(rows, holds[:, usable], half, spread)
    best = worth.max()
    return max(one for one, value in zip(STRENGTHS, worth, strict=True) if value >= NEARLY * best)


def _worth(rows: NDArray[np.floating], holds: Flags, half: Flags, spread: Values | None) -> Values:
    """What each strength is worth on the other half."""
    known = rows[half].astype(np.float64)
    mean = known.mean(axis=0)
    counts = np.maximum(holds[half].sum(axis=0), 1)[:, None]
    apart = holds[half].T.astype(np.float64) @ (known - mean) / counts
    own = spread_of(known) if spread is None else spread
    others = np.flatnonzero(~half)[:_HELD_OUT]
    held = rows[others].astype(np.float64) - mean
    return np.array(
        [mean_precision(held @ directions(own, apart, one), holds[others]) for one in STRENGTHS]
    )


def mean_precision(scores: NDArray[np.floating], right: Flags) -> float:
    """The mean over labels that anything has of average precision; (things, labels) both."""
    order = np.argsort(-scores, axis=0, kind="stable")
    hit = np.take_along_axis(right, order, axis=0)
    ranks = np.arange(1, len(hit) + 1)[:, None]
    precision = (np.cumsum(hit, axis=0) / ranks * hit).sum(axis=0)
    counts = hit.sum(axis=0)
    there = counts > 0
    return float((precision[there] / counts[there]).mean()) if there.any() else 0.0
