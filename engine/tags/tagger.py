"""Gives pictures labels: those that people's captions of them name, and by a rule that is kept.

The rule goes by vectors and is kept whole, so what it gives a picture stays.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from engine.alignment.alignment import Alignment
from engine.search.verdict import SAID_BY
from engine.tags.calibration import Calibration
from engine.tags.directions import Numbers, Values
from engine.tags.labels import Label
from engine.tags.prototypes import Prototypes
from engine.tags.zero_shot import ZeroShot, naming
from engine.types import Vectors

LEAST = 0.3
"""The chance from which on a picture gets a label: where most are right and found (RESULTS.md)."""

ROWS = 4_096
"""Pictures that are looked at together: of 2,000 labels that takes 64 MB."""

_LOW, _LOW_IN_SPREADS = 0.1, 1.2816
"""A quantile, and how far below the middle it lies where scores are normal."""

_RIVALS = 0.02
"""Of a single label only those of such a chance are rivals."""


@dataclass(frozen=True)
class Given:
    """A label that a picture gets, by its number in the list, and the chance that it has it."""

    label: int
    chance: float


@dataclass(frozen=True, eq=False)
class Scorer:
    """What pictures score with labels: by sentences, and by examples where there are any.

    Each in units of what the label scores with pictures that have it not: `usual` and `spread`, of
    both kinds, (2, labels). `weights` (labels,) are what examples count against sentences.
    """

    alignment: Alignment
    sentences: ZeroShot
    examples: Prototypes | None
    usual: Values
    spread: Values
    weights: Values

    @classmethod
    def of(
        cls,
        alignment: Alignment,
        sentences: ZeroShot,
        examples: Prototypes | None,
        pictures: Vectors,
        weights: Values,
    ) -> Scorer:
        """Measure what is usual on raw pictures (n, dim), of which fewer than half have a label.

        By the lower half of scores: the pictures that have it are in the other.
        """
        kinds = [sentences.scores(alignment.map_images(pictures))]
        kinds.append(np.zeros_like(kinds[0]) if examples is None else examples.scores(pictures))
        low, usual = np.quantile(np.stack(kinds), [_LOW, 0.5], axis=1)
        spread = np.maximum((usual - low) / _LOW_IN_SPREADS, 1e-9)
        return cls(alignment, sentences, examples, usual, spread, weights)

    def scores(self, raw: Vectors) -> Values:
        """What raw pictures (n, dim) score, (n, labels)."""
        found = self.sentences.scores(self.alignment.map_images(raw))
        found = (found - self.usual[0]) / self.spread[0]
        if self.examples is not None:
            beside = (self.examples.scores(raw) - self.usual[1]) / self.spread[1]
            found = (found + self.weights * beside) / (1 + self.weights)
        return np.asarray(found)


@dataclass(frozen=True, eq=False)
class Tagger:
    """A list of labels with all that says which pictures get them.

    What scores and chances are told of are these labels first, and then EVERYDAY things, which they
    are held against. What people's captions of a picture name is as likely as searches have it.

    `single`: a picture gets the likeliest alone, as if no two could be right. A picture whose
    labels all have a lower chance than `least` gets none.
    """

    labels: tuple[Label, ...]
    scorer: Scorer
    calibration: Calibration
    single: bool = False
    least: float = LEAST

    def give(self, raw: Vectors, said: Sequence[Sequence[str]] = ()) -> list[tuple[Given, ...]]:
        """The labels of each raw picture (n, dim), the likeliest first.

        `said` are the captions that people wrote of each, of no picture where it is empty.
        """
        found: list[tuple[Given, ...]] = []
        cut = self.calibration.cut(_RIVALS if self.single else self.least)
        for start in range(0, len(raw), ROWS):
            part = raw[start : start + ROWS]
            found += self._given(part, said[start : start + ROWS] or [()] * len(part), cut)
        return found

    def _given(
        self, raw: Vectors, said: Sequence[Sequence[str]], cut: Values
    ) -> Iterator[tuple[Given, ...]]:
        named = naming(self.labels, said)
        scores = self.scorer.scores(raw)[:, : len(self.labels)]
        rows, labels = np.nonzero((scores >= cut[: len(self.labels)]) | named)
        chances = self.calibration.chances(scores[rows, labels], labels)
        chances = np.where(named[rows, labels], np.maximum(chances, SAID_BY["human"]), chances)
        ends = np.searchsorted(rows, np.arange(len(raw) + 1))
        for start, end in pairwise(ends.tolist()):
            yield self._chosen(labels[start:end], chances[start:end])

    def _chosen(self, labels: Numbers, chances: Values) -> tuple[Given, ...]:
        if self.single and len(chances):
            chances = _alone(chances)
            best = int(np.argmax(chances))
            labels, chances = labels[best : best + 1], chances[best : best + 1]
        order = np.lexsort((labels, -chances))
        return tuple(
            Given(int(labels[at]), float(chances[at])) for at in order if chances[at] >= self.least
        )


def _alone(chances: Values) -> Values:
    """Chances as if one label at most were right: by their odds, against none of them."""
    odds = chances / np.maximum(1 - chances, 1e-9)
    return np.asarray(odds / (1 + odds.sum()))
