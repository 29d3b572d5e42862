"""What a label's score is worth: the chance that a picture has it, as search has it of a query.

A label is a query (`engine.search.likelihood`): its scores are held against what it scores with
pictures in general, by weights and a tail that are learned from pictures whose captions name
labels. Where there are none the highest scores of each label are left out of what is called
general, as far as its share of captions makes them likely to be right. How common a label is comes
from the captions, too; so the chance does not depend on how many pictures are tagged together.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.search.likelihood import Background, Likelihood, Tail, matched_pairs
from engine.search.relevance_sample import ENOUGH
from engine.tags.directions import Flags, Numbers, Values

LABEL_WEIGHTS = np.array([2.5, 1.0, -1.5, -0.4])
"""Of the score, and of the mean, upper end and spread of the label, where no captions tell: about
what the captions of both sample collections tell."""

LABEL_POWER = 0.2

USUAL_SHARE = 0.02
"""How many pictures have a label, where no captions tell."""

PRESUMED = 0.3
"""So much of a label's share of pictures is left out of the general where no captions tell."""

MANY_LABELS = 20
"""So many labels of a list are enough to tell from what scores are worth."""

COMMON = 0.05
"""What more pictures have than that is none of what is told from beside a list."""

NEARLY_ALL = 0.9
"""What more captions name than that leaves nothing to hold it against."""

_MATCHED = 500
_LEAST_SHARE, _MOST_SHARE = 1e-4, 0.5


@dataclass(frozen=True, eq=False)
class Calibration:
    """Chances from scores: `offsets`, `before` (labels,) are what each label brings along."""

    likelihood: Likelihood
    slope: float
    offsets: Values
    before: Values

    @classmethod
    def fit(
        cls,
        scores: Values,
        shares: Values | None,
        told: Flags | None,
        *,
        usual: float = USUAL_SHARE,
        listed: int | None = None,
    ) -> Calibration:
        """Of the scores of pictures (n, labels); `shares` (labels,): how common each label is.

        Without any it is `usual`. `told`: which labels captions name, (n, labels). Where the first
        `listed` are few those after them are learned from, too.
        """
        count = scores.shape[1]
        before = np.full(count, usual) if shares is None else shares
        before = np.clip(before, _LEAST_SHARE, _MOST_SHARE)
        by_label = scores.T
        presumed = _presumed(by_label, before)
        named: Flags = np.zeros(count, np.bool_)
        # What captions never name may be there all the same.
        left_out = presumed
        if told is not None:
            share = told.mean(axis=0)
            named = np.asarray((share > 0) & (share <= NEARLY_ALL))
            left_out = np.asarray(np.where(named[:, None], told.T, presumed))
        captioned = told is not None and told[:, named].sum() >= ENOUGH
        counted = np.arange(count) < (count if listed is None else listed)
        if captioned:
            counted &= named
        if counted.sum() < MANY_LABELS:
            counted |= named if captioned else before <= COMMON
        few, apart = by_label[counted], left_out[counted]
        if captioned:
            fitted = Likelihood.fit(few, _matched(few, apart), left_out=apart)
        else:
            fitted = _usual(few, apart)
        background = Background.of(by_label, left_out)
        zeros = np.zeros((count, 1))
        nothing = background.beside(zeros, fitted.centre, fitted.unit, among=False)
        offsets = nothing[:, 0] @ fitted.weights
        slope = float(fitted.weights[0] / fitted.unit)
        return cls(fitted, slope, np.asarray(offsets), before)

    def chances(self, scores: Values, of: Numbers | slice = slice(None)) -> Values:
        """The chance that each picture has each label; `of` are the labels of the last axis.

        It never falls as the score grows.
        """
        return _chance(self, self.slope * scores + self.offsets[of], self.before[of])

    def cut(self, least: float) -> Values:
        """The score from which on each label's chance is at least that, (labels,); inf: never."""
        low = np.full(len(self.offsets), -1e3)
        high = np.full(len(self.offsets), 1e3)
        for _ in range(60):
            middle = (low + high) / 2
            enough = self.chances(middle) >= least
            low, high = np.where(enough, low, middle), np.where(enough, middle, high)
        return np.where(self.chances(high) >= least, high, np.inf)


def _chance(one: Calibration, levels: Values, before: Values) -> Values:
    shares = one.likelihood.tail.share(levels)
    power = one.likelihood.power
    odds = before / (1 - before) * power * shares ** (power - 1)
    return np.asarray(odds / (1 + odds))


def _usual(scores: Values, left_out: Flags) -> Likelihood:
    background = Background.of(scores, left_out)
    centre, unit = float(background.mean.mean()), float(background.spread.mean())
    apart = background.beside(scores, centre, unit, among=True)[~left_out]
    return Likelihood(LABEL_WEIGHTS, centre, unit, Tail.of(apart @ LABEL_WEIGHTS), LABEL_POWER)


def _matched(scores: Values, told: Flags) -> Values:
    """What labels score with pictures that are said to have them, some of these."""
    pairs = np.argwhere(told)
    drawn = np.random.default_rng(0).permutation(len(pairs))[:_MATCHED]
    labels, pictures = pairs[drawn].T
    return matched_pairs(scores[labels], pictures, told[labels])


def _presumed(scores: Values, before: Values) -> Flags:
    """The best pictures of each label, as many as its share lets expect, by PRESUMED."""
    most = np.round(PRESUMED * before * scores.shape[1])
    ranks = np.argsort(np.argsort(-scores, axis=1, kind="stable"), axis=1)
    return np.asarray(ranks < most[:, None])
