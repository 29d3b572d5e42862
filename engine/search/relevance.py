"""How likely found pictures are what was asked for, whatever a collection's size."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from engine.alignment.alignment import Alignment
from engine.search.likelihood import Background, Likelihood, Values, matched_pairs
from engine.search.relevance_sample import ENOUGH, PICTURES, QUERIES, Sample
from engine.types import Vector, Vectors

LIKELY = 0.5
"""The chance from which on a picture is likely."""

STRANGERS = 1.0
"""How many pictures among the likely ones may be expected to be none of what was asked for."""

Asked = Literal["words", "picture"]
"""Words alone, or a picture, with words or without."""


@dataclass(frozen=True, eq=False)
class Judge:
    """What scores are worth for one query, among `count` pictures.

    The query is `mapped`, and so many times its `hub` is taken off a picture's cosine.
    `among`: these are all among those that its background was measured on.
    """

    likelihood: Likelihood
    background: Background
    count: int
    among: bool
    mapped: Vector
    hub_strength: float

    def chances(self, scores: Values, known: Values | None = None) -> Values:
        """The chance that each picture is right; `known`: what else speaks for it, 0 for nothing.

        It grows with the score; where nothing else speaks for a picture and more than
        `STRANGERS` unmatched ones are expected to score as high, it stays below `LIKELY`.
        """
        wide = np.asarray(scores, np.float64)
        shares = self.likelihood.share(wide, self.background, among=self.among)
        found = self.likelihood.chance(shares, self.count, known)
        strangers = self.count * shares
        alone = np.ones(len(wide), np.bool_) if known is None else known <= 0
        doubtful = alone & (strangers > STRANGERS)
        return np.where(doubtful, np.minimum(found, LIKELY * (1 - 1e-9)), found)


class Relevance:
    """The chance that pictures are right, for queries of any shape.

    What a score is worth depends on the encoder, the map and the query. It is measured on the
    collection's own pairs of caption and picture, or on those of its memory, whose captions are
    also what is held against the collection's pictures where it has none. Like a picture is one
    that its captions are right for; where captions do not tell, what stands out among all others.
    """

    def __init__(self, alignment: Alignment, sample: Sample, lent: Relevance | None = None) -> None:
        """Take the map and a sample of the collection, and what there is of its memory."""
        self.alignment = alignment
        self.sample = sample
        self.lent = lent
        pictures = sample.pictures
        # Captions without a picture make a map that cannot place any: they lend all the same.
        self._pictures = alignment.map_images(pictures) if len(pictures) else pictures

    def judge(
        self, mapped: Vector, asked: Asked, count: int, hub_strength: float = 0.0
    ) -> Judge | None:
        """What scores with that mapped query are worth among so many pictures.

        Scores are those of `mapped`: so many times its `hub` is taken off a picture's cosine.

        None in collections too small to tell, or without captions to tell from.
        """
        likelihood = self._of_words if asked == "words" else self._of_pictures
        if likelihood is None:
            return None
        background = Background.of(self.scores(mapped[None], hub_strength))
        among = len(self._pictures) < PICTURES
        return Judge(likelihood, background, count, among, mapped, hub_strength)

    def scores(self, queries: Vectors, hub_strength: float = 0.0) -> Values:
        """What mapped queries (n, dim) score with the pictures of the sample, (n, pictures).

        As the index scores them: so many times its hub is taken off a picture's cosine.
        """
        cosines: Values = (queries @ self._pictures.T).astype(np.float64)
        if hub_strength and self._near is not None:
            cosines -= hub_strength * self._near
        return cosines

    @cached_property
    def _near(self) -> Vectors | None:
        """How near the pictures are to all captions, (n,), as their points in the index say."""
        hubs = self.alignment.hubs
        return None if hubs is None else hubs.of_pictures(self._pictures, self.sample.owners)

    @cached_property
    def _of_words(self) -> Likelihood | None:
        if len(self._pictures) < ENOUGH or not len(self.sample.texts):
            return None
        matched = _matched(self)
        if matched is None and self.lent is not None:
            matched = _matched(self.lent)
        return Likelihood.fit(
            self.scores_of_texts(self.sample.texts),
            matched,
            left_out=self.sample.told,
            common=self._common,
        )

    def scores_of_texts(self, texts: Vectors) -> Values:
        """What raw texts (n, dim), each searched for alone, score with the sample."""
        return self.scores(self.alignment.map_texts(texts), self.alignment.hub_strength)

    @property
    def _common(self) -> float:
        """Which share of pictures, beside its own, captions say to be right for a text.

        Where there are no pairs here it is that of the memory: much the same is asked for.
        """
        sample = self.sample
        if not len(sample.pairs):
            return 0.0 if self.lent is None else self.lent._common
        others = len(sample.related) - len(sample.pairs)
        return max(0, others) / (len(sample.texts) * len(sample.pictures))

    @cached_property
    def _of_pictures(self) -> Likelihood | None:
        if len(self._pictures) < ENOUGH:
            return None
        alike = self.sample.alike.astype(np.int64)
        related = np.eye(len(self._pictures), dtype=np.bool_)
        related[alike[:, 0], alike[:, 1]] = related[alike[:, 1], alike[:, 0]] = True
        queries = slice(QUERIES)
        matched = None
        if len(alike) >= ENOUGH:
            scores = self.scores(self._pictures[alike[:, 0]])
            matched = matched_pairs(scores, alike[:, 1], related[alike[:, 0]])
        return Likelihood.fit(
            self.scores(self._pictures[queries]), matched, left_out=related[queries]
        )


def _matched(relevance: Relevance) -> Values | None:
    """What matched pairs score, beside what their queries do; None for too few."""
    pairs = relevance.sample.pairs.astype(np.int64)
    if len(pairs) < ENOUGH or len(relevance.sample.pictures) < ENOUGH:
        return None
    scores = relevance.scores_of_texts(relevance.sample.texts[pairs[:, 0]])
    return matched_pairs(scores, pairs[:, 1], relevance.sample.told[pairs[:, 0]])
