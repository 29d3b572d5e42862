"""Confidence intervals by the bootstrap over pictures (Efron, 1979)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.errors import InvalidInput

Values = NDArray[np.float64]

DRAWS = 1000
LEVEL = 0.95
_CELLS = 2**22
"""Counts held at once: 32 MB, however many pictures there are."""
_ROUNDING = 1e-12
"""A resampled difference that is 0 but for rounding counts on both sides."""


@dataclass(frozen=True)
class Difference:
    """How much the figure of one system is above another's on the same pictures.

    `low` and `high` bound the middle 95 % of the resampled differences; `p` is the two-sided
    chance of a difference at least that far on the other side of zero.
    """

    mean: float
    low: float
    high: float
    p: float


def bootstrap(values: Values, *, seed: int, draws: int = DRAWS) -> tuple[float, float]:
    """The 95 % interval of the mean of (n,) values."""
    sums = resampled_sums(_checked(values)[:, None], seed=seed, draws=draws)
    return interval(sums[:, 0] / len(values))


def paired(a: Values, b: Values, *, seed: int, draws: int = DRAWS) -> Difference:
    """The mean of `a` - `b`, both (n,) on the same pictures in the same order."""
    if len(a) != len(b):
        raise InvalidInput(f"paired values differ in number: {len(a)} and {len(b)}")
    differences = _checked(a) - _checked(b)
    means = resampled_sums(differences[:, None], seed=seed, draws=draws)[:, 0] / len(a)
    low, high = interval(means)
    return Difference(float(differences.mean()), low, high, sign_p(means))


def paired_figures(
    a: Values, b: Values, figure: Callable[[Values], Values], *, seed: int, draws: int = DRAWS
) -> Difference:
    """The figure of all of `a` minus that of `b`, counts (n, c) of the same pictures in order.

    `figure` takes summed counts (..., c) to figures (...). Both are of the same drawn pictures.
    """
    if a.shape != b.shape:
        raise InvalidInput(f"paired counts differ in shape: {a.shape} and {b.shape}")
    sums = (resampled_sums(_checked(counts), seed=seed, draws=draws) for counts in (a, b))
    of_a, of_b = (figure(drawn) for drawn in sums)
    differences = np.asarray(of_a - of_b, np.float64)
    observed = float(figure(a.sum(axis=0)) - figure(b.sum(axis=0)))
    return Difference(observed, *interval(differences), sign_p(differences))


def sign_p(draws: Values) -> float:
    """Two-sided p of resampled differences: how often they are on the rarer side of zero.

    The observed sample counts as a draw, so p is never 0.
    """
    rarer = min(int((draws <= _ROUNDING).sum()), int((draws >= -_ROUNDING).sum()))
    return min(1.0, 2 * (rarer + 1) / (len(draws) + 1))


def interval(draws: Values) -> tuple[float, float]:
    """The bounds of the middle 95 % of resampled figures."""
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(draws, [tail, 1 - tail])
    return float(low), float(high)


def resampled_sums(columns: Values, *, seed: int, draws: int = DRAWS) -> Values:
    """Sums of (n, c) rows drawn n times with replacement: (draws, c).

    The same seed, n and draws give the same rows, so figures of several calls are paired.
    """
    n = len(columns)
    rng = np.random.default_rng(seed)
    step = max(1, _CELLS // n)
    sums = [
        _times_drawn(rng, min(step, draws - start), n) @ columns for start in range(0, draws, step)
    ]
    return np.concatenate(sums)


def _times_drawn(rng: np.random.Generator, draws: int, n: int) -> Values:
    """How often each of n rows is in each of the draws: (draws, n)."""
    rows = rng.integers(n, size=(draws, n)) + np.arange(draws)[:, None] * n
    return np.bincount(rows.ravel(), minlength=draws * n).reshape(draws, n).astype(np.float64)


def _checked(values: Values) -> Values:
    if len(values) == 0:
        raise InvalidInput("there are no values to take a mean of")
    if not np.isfinite(values).all():
        raise InvalidInput("values that are not finite have no mean")
    return values
