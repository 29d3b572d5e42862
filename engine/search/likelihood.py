"""The chance that a picture is what was asked for, from its score and the size of the collection.

A score is worth something only beside the scores that the same query gives to the rest: each query
has a mean, a spread and an upper end of its own. How these are weighed is learned from matched
pairs (logistic regression). What comes of it is held against unmatched pairs: their share that
scores as high or higher is known from the pairs themselves as far as there are many, and beyond
that from a tail fitted to the highest (generalised Pareto, Pickands 1975). Matched pairs have
small shares: how small makes the odds (beta-uniform mixture, Pounds and Morris 2003), and the
size of the collection says how many unmatched pictures there are for each that matches.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

UPPER = 0.99
"""The quantile of a query's scores that stands for its upper end."""

BODY = 0.995
"""Up to this quantile unmatched pairs speak for themselves, beyond it the fitted tail does."""

HEAVIEST, LIGHTEST = 0.5, -0.2
"""Shapes that a tail may have; an end nearer than the lightest has is not believed in."""

USUAL_WEIGHTS = np.array([2.0, 0.0, -2.0, 0.0])
"""Of the score, and of the mean, upper end and spread of the query: what few pairs cannot tell.

The upper end is what a score is best held against on real vectors (RESULTS.md).
"""

USUAL_POWER = 0.15
"""How the shares of matched pairs are distributed where there are too few: the density is
`power * share ** (power - 1)`. Seen: .08 to .14 (RESULTS.md)."""

_TRUST = 3.0
_PAIRS_OF_USUAL = 10
_NEGATIVES = 100_000
_GRID = 400
_SMALLEST = 1e-15


class Background(NamedTuple):
    """What queries score with pictures in general: mean, spread and upper end, (n,) each."""

    mean: Values
    spread: Values
    upper: Values

    @classmethod
    def of(cls, scores: NDArray[np.floating]) -> Background:
        """Of the scores of queries, (queries, pictures)."""
        wide = np.asarray(scores, np.float64)
        upper = np.quantile(wide, UPPER, axis=1)
        return cls(wide.mean(axis=1), np.maximum(wide.std(axis=1), 1e-9), upper)


@dataclass(frozen=True)
class Tail:
    """How rarely unmatched pairs reach a level: measured up to `threshold`, fitted beyond."""

    levels: Values
    threshold: float
    scale: float
    shape: float

    @classmethod
    def of(cls, levels: Values) -> Tail:
        """Of the levels of unmatched pairs, (n,)."""
        threshold = float(np.quantile(levels, BODY))
        grid = np.quantile(levels, np.linspace(0, BODY, _GRID))
        beyond = np.sort(levels[levels > threshold] - threshold)
        if not len(beyond) or beyond.mean() <= 0:
            return cls(grid, threshold, 1e-9, 0.0)
        # Probability-weighted moments (Hosking and Wallis 1987): they always have a solution.
        places = 1 - (np.arange(1, len(beyond) + 1) - 0.35) / len(beyond)
        mean, weighted = float(beyond.mean()), float((beyond * places).mean())
        shape = 2 - mean / max(mean - 2 * weighted, 1e-12)
        shape = float(np.clip(shape, LIGHTEST, HEAVIEST))
        return cls(grid, threshold, mean * (1 - shape), shape)

    def share(self, levels: Values) -> Values:
        """The share of unmatched pairs at these levels or above; it never grows with the level."""
        over = np.maximum(levels - self.threshold, 0) / self.scale
        if abs(self.shape) < 1e-6:
            rest = np.exp(-over)
        else:
            rest = np.maximum(1 + self.shape * over, _SMALLEST) ** (-1 / self.shape)
        body = 1 - np.interp(levels, self.levels, np.linspace(0, BODY, _GRID))
        found = np.where(levels > self.threshold, (1 - BODY) * rest, body)
        return np.maximum(found, _SMALLEST)


@dataclass(frozen=True)
class Likelihood:
    """What the scores of queries of one kind are worth.

    `centre` and `unit` are the usual mean and spread of a query, which all is measured in;
    `power` is that of matched pairs (see USUAL_POWER); `common` is the share of pictures that
    match a query, as far as captions tell.
    """

    weights: Values
    centre: float
    unit: float
    tail: Tail
    power: float
    common: float = 0.0

    @classmethod
    def fit(
        cls,
        unmatched: NDArray[np.floating],
        matched: tuple[Values, Background] | None = None,
        *,
        left_out: NDArray[np.bool_] | None = None,
        common: float = 0.0,
    ) -> Likelihood:
        """Of the scores of queries with pictures, (queries, pictures), but those `left_out`.

        `matched`: scores of pairs, each beside the background of its query, both already in
        units of where they come from (`measured`). Without any the usual weights are taken.
        """
        background = Background.of(unmatched)
        centre, unit = float(background.mean.mean()), float(background.spread.mean())
        features = _features(np.asarray(unmatched, np.float64), background, centre, unit)
        apart = features.reshape(-1, 4) if left_out is None else features[~left_out]
        pairs = None if matched is None else _beside(*matched)
        weights = USUAL_WEIGHTS if pairs is None else _learned(pairs, apart)
        tail = Tail.of(apart @ weights)
        power = USUAL_POWER
        if pairs is not None:
            told = -np.log(tail.share(pairs @ weights)).sum() + _PAIRS_OF_USUAL / USUAL_POWER
            power = float(np.clip((len(pairs) + _PAIRS_OF_USUAL) / told, 0.02, 0.9))
        return cls(weights, centre, unit, tail, power, common)

    def share(self, scores: Values, background: Background) -> Values:
        """The share of unmatched pictures that score so much for this query, or more."""
        features = _features(scores[None], background, self.centre, self.unit)[0]
        return self.tail.share(features @ self.weights)

    def chance(
        self, scores: Values, background: Background, count: int, known: Values | None = None
    ) -> Values:
        """The chance that pictures of these scores are right, among `count` pictures.

        It grows with the score, and never with the count. `known` are chances that something else
        gave, which the score adds to; without them, and where they are 0, each picture is as
        good as any.
        """
        before = np.full(len(scores), min(max(1 / max(count, 1), self.common), 0.5))
        if known is not None:
            before = np.maximum(before, known)
        ratio = self.power * self.share(scores, background) ** (self.power - 1)
        odds = before / (1 - before) * ratio
        return np.asarray(odds / (1 + odds))


def measured(scores: Values, background: Background, of: Background) -> tuple[Values, Background]:
    """Scores and the background of their queries in units of the usual background `of` a place."""
    centre, unit = float(of.mean.mean()), float(of.spread.mean())
    return (scores - centre) / unit, Background(
        (background.mean - centre) / unit,
        background.spread / unit,
        (background.upper - centre) / unit,
    )


def _beside(scores: Values, background: Background) -> Values:
    """The features of matched pairs, (n, 4), already in units."""
    return np.stack([scores, background.mean, background.upper, background.spread], axis=-1)


def _features(scores: Values, background: Background, centre: float, unit: float) -> Values:
    """Score, mean, upper end and spread, (queries, pictures, 4), in units of the usual spread."""
    of_query = [background.mean - centre, background.upper - centre, background.spread]
    spread = [np.broadcast_to(one[:, None], scores.shape) / unit for one in of_query]
    return np.stack([(scores - centre) / unit, *spread], axis=-1)


def _learned(matched: Values, unmatched: Values) -> Values:
    """Weights that tell matched pairs from others: logistic regression towards the usual ones."""
    drawn = np.random.default_rng(0).permutation(len(unmatched))[:_NEGATIVES]
    rows = np.concatenate([matched, unmatched[drawn]])
    rows = np.concatenate([np.ones((len(rows), 1)), rows], axis=1)
    right = np.arange(len(rows)) < len(matched)
    counted = np.where(right, 1.0, len(unmatched) / len(drawn))
    towards = np.array([0.0, *USUAL_WEIGHTS])
    trust = np.array([1e-6, *(_TRUST for _ in USUAL_WEIGHTS)])
    found = towards - np.array([6.0, 0, 0, 0, 0])
    for _ in range(60):
        chance = 1 / (1 + np.exp(-np.clip(rows @ found, -30, 30)))
        slope = rows.T @ (counted * (right - chance)) - trust * (found - towards)
        curve = (rows.T * (counted * chance * (1 - chance) + 1e-9)) @ rows + np.diag(trust)
        step = np.linalg.solve(curve, slope)
        found = found + step * min(1.0, 2 / max(float(np.abs(step).max()), 1e-9))
        if np.abs(step).max() < 1e-6:
            break
    # What scores more is never less likely.
    return np.array([max(found[1], 0.1), *found[2:]], np.float64)
