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

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

UPPER = 0.99
"""The quantile of a query's scores that stands for its upper end..."""

AT_LEAST = 3
"""... or that so many pictures reach, where there are few: one that matches shall not move it."""

BODY = 0.995
"""Up to this quantile unmatched pairs speak for themselves, beyond it the fitted tail does."""

HEAVIEST, LIGHTEST = 0.5, -0.2
"""Shapes that a tail may have; an end nearer than the lightest has is not believed in."""

_SHAPE_OF_MANY = 200
"""So many of the highest pairs count as much as what is believed before: a tail without an end."""

_BELIEVED = 1e-3
"""No share is believed that is smaller than this part of one pair."""

USUAL_WEIGHTS = np.array([2.0, 0.0, -2.0, 0.0])
"""Of the score, and of the mean, upper end and spread of the query: what few pairs cannot tell.

The upper end is what a score is best held against on real vectors (RESULTS.md).
"""

USUAL_POWER = 0.15
"""How the shares of matched pairs are distributed where there are too few: the density is
`power * share ** (power - 1)`. Seen: .11 on the sample `plain`, .15 to .16 on 500 COCO pictures."""

_TRUST = 3.0
_PAIRS_OF_USUAL = 10
_NEGATIVES = 100_000
_GRID = 400


@dataclass(frozen=True, eq=False)
class Background:
    """What queries score with `count` pictures in general, (n,) each.

    Their mean, spread and upper end, and that upper end `without` one of the higher scores.
    """

    mean: Values
    spread: Values
    upper: Values
    without: Values
    count: int

    @classmethod
    def of(
        cls, scores: NDArray[np.floating], left_out: NDArray[np.bool_] | None = None
    ) -> Background:
        """Of the scores of queries, (queries, pictures), but those `left_out`."""
        wide = np.asarray(scores, np.float64)
        if left_out is not None:
            wide = np.where(left_out, np.median(wide, axis=1, keepdims=True), wide)
        count = wide.shape[1]
        at = max(0.5, min(UPPER, 1 - AT_LEAST / count))
        upper, without = np.quantile(wide, [at, max(0.0, at * (1 - 1 / count))], axis=1)
        spread = np.maximum(wide.std(axis=1), 1e-9)
        return cls(wide.mean(axis=1), spread, upper, without, count)

    def beside(self, scores: Values, centre: float, unit: float, *, among: bool) -> Values:
        """Scores (n, pictures), each with what its query scores with others, (n, pictures, 4).

        In units of the usual spread. `among`: the pictures are among those of the background, and
        a picture is none of the others.
        """
        of_query = (self.mean, self.spread, self.upper, self.without)
        mean, spread, upper, without = (
            np.broadcast_to(one[:, None], scores.shape) for one in of_query
        )
        if among and self.count > 1:
            upper = np.where(scores > upper, without, upper)
            off, others = scores - mean, self.count - 1
            variance = spread**2 * self.count / others - off**2 * self.count / others**2
            mean, spread = mean - off / others, np.sqrt(np.maximum(variance, 1e-18))
        columns = (scores - centre, mean - centre, upper - centre, spread)
        return np.stack(columns, axis=-1) / unit


@dataclass(frozen=True)
class Tail:
    """How rarely unmatched pairs reach a level: measured up to `threshold`, fitted beyond."""

    levels: Values
    threshold: float
    scale: float
    shape: float
    least: float

    @classmethod
    def of(cls, levels: Values) -> Tail:
        """Of the levels of unmatched pairs, (n,)."""
        threshold = float(np.quantile(levels, BODY))
        grid = np.quantile(levels, np.linspace(0, BODY, _GRID))
        beyond = np.sort(levels[levels > threshold] - threshold)
        least = _BELIEVED / len(levels)
        if not len(beyond) or beyond.mean() <= 0:
            return cls(grid, threshold, 1e-9, 0.0, least)
        # Probability-weighted moments (Hosking and Wallis 1987): they always have a solution.
        places = 1 - (np.arange(1, len(beyond) + 1) - 0.35) / len(beyond)
        mean, weighted = float(beyond.mean()), float((beyond * places).mean())
        shape = 2 - mean / max(mean - 2 * weighted, 1e-12)
        shape *= len(beyond) / (len(beyond) + _SHAPE_OF_MANY)
        shape = float(np.clip(shape, LIGHTEST, HEAVIEST))
        return cls(grid, threshold, mean * (1 - shape), shape, least)

    def share(self, levels: Values) -> Values:
        """The share of unmatched pairs at these levels or above; it never grows with the level."""
        over = np.maximum(levels - self.threshold, 0) / self.scale
        if abs(self.shape) < 1e-6:
            rest = np.exp(-over)
        else:
            rest = np.maximum(1 + self.shape * over, 1e-12) ** (-1 / self.shape)
        body = 1 - np.interp(levels, self.levels, np.linspace(0, BODY, _GRID))
        found = np.where(levels > self.threshold, (1 - BODY) * rest, body)
        return np.maximum(found, self.least)


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
        scores: NDArray[np.floating],
        matched: Values | None = None,
        *,
        left_out: NDArray[np.bool_] | None = None,
        common: float = 0.0,
    ) -> Likelihood:
        """Of the scores of queries with pictures, (queries, pictures), but those `left_out`.

        `matched`: what matched pairs score beside what their queries do in general, (n, 4), see
        `matched_pairs`. Without any the usual weights are taken.
        """
        wide, background = np.asarray(scores, np.float64), Background.of(scores, left_out)
        centre, unit = background.mean.mean(), background.spread.mean()
        features = background.beside(wide, centre, unit, among=True)
        apart = features.reshape(-1, 4) if left_out is None else features[~left_out]
        weights = USUAL_WEIGHTS if matched is None else _learned(matched, apart)
        tail = Tail.of(apart @ weights)
        power = USUAL_POWER
        if matched is not None:
            told = -np.log(tail.share(matched @ weights)).sum() + _PAIRS_OF_USUAL / USUAL_POWER
            power = float(np.clip((len(matched) + _PAIRS_OF_USUAL) / told, 0.02, 0.9))
        return cls(weights, float(centre), float(unit), tail, power, common)

    def share(self, scores: Values, background: Background, *, among: bool = False) -> Values:
        """The share of unmatched pictures that score so much for this query, or more.

        `among`: these pictures are among those of the background.
        """
        beside = background.beside(scores[None], self.centre, self.unit, among=among)[0]
        return self.tail.share(beside @ self.weights)

    def chance(self, shares: Values, count: int, known: Values | None = None) -> Values:
        """The chance that pictures with these shares are right, among `count` pictures.

        It never grows with the share, nor with the count. `known` are chances that something else
        gave, which the score adds to; without them, and where they are 0, each picture is as
        good as any.
        """
        before = np.full(len(shares), min(max(1 / max(count, 1), self.common), 0.5))
        if known is not None:
            before = np.maximum(before, known)
        odds = before / (1 - before) * self.power * shares ** (self.power - 1)
        return np.asarray(odds / (1 + odds))


def matched_pairs(
    scores: NDArray[np.floating], own: NDArray[np.integer], left_out: NDArray[np.bool_]
) -> Values:
    """What queries score with their `own` pictures beside what they do in general, (n, 4).

    Of their scores (n, pictures); pictures that are right too are `left_out` of the general.
    """
    background = Background.of(scores, left_out)
    held = np.asarray(scores, np.float64)[np.arange(len(own)), own]
    centre, unit = float(background.mean.mean()), float(background.spread.mean())
    return background.beside(held[:, None], centre, unit, among=False)[:, 0]


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
