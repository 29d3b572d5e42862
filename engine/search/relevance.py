"""How likely found pictures are what was asked for, whatever a collection's size."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from engine.alignment.alignment import Alignment
from engine.search.likelihood import Background, Likelihood, Values, measured
from engine.search.relevance_sample import ENOUGH, Sample
from engine.types import Vector, Vectors

LIKELY = 0.5
"""The chance from which on a picture is likely."""

STRANGERS = 1.0
"""How many pictures among the likely ones may be expected to be none of what was asked for."""

Asked = Literal["words", "picture"]
"""Words alone, or a picture, with words or without."""


@dataclass(frozen=True, eq=False)
class Judge:
    """What scores are worth for one query, among `count` pictures."""

    likelihood: Likelihood
    background: Background
    count: int

    def chances(self, scores: Values, known: Values | None = None) -> Values:
        """The chance that each picture is right; `known`: what else speaks for it, 0 for nothing.

        It grows with the score; where nothing else speaks for a picture and more than
        `STRANGERS` unmatched ones are expected to score as high, it stays below `LIKELY`.
        """
        wide = np.asarray(scores, np.float64)
        found = self.likelihood.chance(wide, self.background, self.count, known)
        strangers = self.count * self.likelihood.share(wide, self.background)
        alone = np.ones(len(wide), np.bool_) if known is None else known <= 0
        doubtful = alone & (strangers > STRANGERS)
        return np.where(doubtful, np.minimum(found, LIKELY * (1 - 1e-9)), found)


class Relevance:
    """The chance that pictures are right, for queries of any shape.

    What a score is worth depends on the encoder, the map and the query. It is measured on the
    collection's own pairs of caption and picture, or on those of its memory, whose captions are
    also what is held against the collection's pictures where it has none. For pictures nothing is
    known to be right: what is like one is likely where it stands out among all that are not.
    """

    def __init__(self, alignment: Alignment, sample: Sample, lent: Relevance | None = None) -> None:
        """Take the map and a sample of the collection, and what there is of its memory."""
        self.alignment = alignment
        self.sample = sample
        self.lent = lent
        self._pictures = alignment.map_images(sample.pictures)
        near = alignment.hubs.of_pictures(self._pictures) if alignment.hubs else None
        self._near = np.zeros(len(self._pictures), np.float32) if near is None else near

    def judge(
        self, mapped: Vector, asked: Asked, count: int, hub_strength: float = 0.0
    ) -> Judge | None:
        """What scores with that mapped query are worth among so many pictures.

        So many times its hub has been taken off each of them.

        None in collections too small to tell, or without captions to tell from.
        """
        likelihood = self._of_words if asked == "words" else self._of_pictures
        if likelihood is None:
            return None
        return Judge(likelihood, Background.of(self.scores(mapped[None], hub_strength)), count)

    def scores(self, queries: Vectors, hub_strength: float = 0.0) -> NDArray[np.float32]:
        """What mapped queries (n, dim) score with the pictures of the sample, (n, pictures)."""
        return np.asarray(queries @ self._pictures.T - hub_strength * self._near, np.float32)

    @cached_property
    def _of_words(self) -> Likelihood | None:
        if len(self._pictures) < ENOUGH or not len(self.sample.texts):
            return None
        matched = _matched(self)
        if matched is None and self.lent is not None:
            matched = _matched(self.lent)
        return Likelihood.fit(
            self.scores(self.alignment.map_texts(self.sample.texts), self.alignment.hub_strength),
            matched,
            left_out=self.sample.told,
            common=_common(self.sample),
        )

    @cached_property
    def _of_pictures(self) -> Likelihood | None:
        if len(self._pictures) < ENOUGH:
            return None
        queries = self._pictures[:500]
        itself = np.eye(len(queries), len(self._pictures), dtype=np.bool_)
        return Likelihood.fit(self.scores(queries), left_out=itself)


def _matched(relevance: Relevance) -> tuple[Values, Background] | None:
    """Scores of matched pairs, in units of where they come from; None for too few."""
    pairs = relevance.sample.pairs.astype(np.int64)
    if len(pairs) < ENOUGH or len(relevance.sample.pictures) < ENOUGH:
        return None
    alignment = relevance.alignment
    texts = alignment.map_texts(relevance.sample.texts[pairs[:, 0]])
    scores = relevance.scores(texts, alignment.hub_strength)
    own = scores[np.arange(len(pairs)), pairs[:, 1]].astype(np.float64)
    background = Background.of(scores)
    return measured(own, background, background)


def _common(sample: Sample) -> float:
    """Which share of pictures, beside its own, captions say to be right for a text."""
    if not sample.related.size:
        return 0.0
    others = len(sample.related) - len(sample.pairs)
    return max(0, others) / max(1, len(sample.texts) * len(sample.pictures))
