"""Which pictures are likely what one query asks for: one verdict, whichever space ranks them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from engine.search.relevance import LIKELY, STRANGERS, Judge
from engine.search.relevance_sample import sought_words, stored_words
from engine.store import ImageStore
from engine.store.interface import Ranked
from engine.store.paging import RANKED, first_of_each
from engine.types import Filters, ImageHit

SAID = 64
"""Of so many pictures that the search for words ranks first the captions are read."""

SAID_BY = {"human": 0.95, "generated": 0.8}
"""The chance that a picture is right whose captions, written by these, have all words of a query.

See RESULTS.md for what was seen. It does not depend on the size of a collection.
"""


class Verdict:
    """The chances of pictures for one query.

    By their scores in `mapped`, and by what captions say, which counts whatever these scores are.
    `likely` are the ids of those that are likely, the likeliest first: together they are expected
    to hold at most `STRANGERS` that are not right. `ranked` is how `mapped` ranks, copies beside
    each other.
    """

    def __init__(
        self,
        judge: Judge,
        store: ImageStore,
        words: str,
        unwanted: Sequence[str],
        *,
        filters: Filters,
        same: Mapping[str, int],
    ) -> None:
        """Look among the best of `mapped`, and of those that the words find."""
        self._judge, self._store = judge, store
        self._words = sought_words(words)
        self._unwanted = [found for text in unwanted if (found := sought_words(text))]
        self.ranked = store.rank(
            "mapped",
            RANKED,
            mapped=judge.mapped,
            hub_strength=judge.hub_strength,
            filters=filters,
            same=same,
            collapsed=False,
        )
        self._scores = dict(first_of_each(self.ranked, same))
        said = []
        if self._words:
            said = store.search("words", SAID, words=words, filters=filters, same=same)
        self._learn(said)
        known = {hit.id: self._known(hit) for hit in said}
        ids = list(self._scores)
        chances = self._chances(ids, [known.get(key, 0.0) for key in ids])
        self.likely = _likely(dict(zip(ids, chances, strict=True)))

    def marked(self, hits: Sequence[ImageHit]) -> list[ImageHit]:
        """The hits with their chances."""
        self._learn(hits)
        chances = self._chances([hit.id for hit in hits], [self._known(hit) for hit in hits])
        return [replace(hit, chance=one) for hit, one in zip(hits, chances, strict=True)]

    def _learn(self, hits: Sequence[ImageHit]) -> None:
        """Score those in `mapped` that it did not rank."""
        ids = [hit.id for hit in hits if hit.id not in self._scores]
        if ids:
            self._scores |= self._store.scores(ids, self._judge.mapped, self._judge.hub_strength)

    def _chances(self, ids: Sequence[str], known: Sequence[float]) -> list[float]:
        scores = np.array([self._scores.get(key, -1.0) for key in ids], np.float64)
        found: list[float] = self._judge.chances(scores, np.array(known, np.float64)).tolist()
        return found

    def _known(self, hit: ImageHit) -> float:
        """How far captions of the picture vouch for it: 0 where a wanted word is missing."""
        if not self._words or not hit.captions:
            return 0.0
        said = stored_words(hit.captions)
        if not self._words <= said or any(one <= said for one in self._unwanted):
            return 0.0
        return SAID_BY[hit.payload["source"]]


class LikelyFirst:
    """Brings the likely ones of a ranking to its beginning, each part in the ranking's order.

    Looked for are they among its first RANKED. `count` says how many it begins with, None where
    they stay in their places.
    """

    def __init__(self, likely: Sequence[str], *, bring: bool = True, alone: bool = False) -> None:
        """Without `bring` all stay in their places; with `alone` the others are left out."""
        self._likely, self._bring, self._alone = frozenset(likely), bring, alone
        self.count: int | None = None

    def __call__(self, found: Sequence[Ranked]) -> list[Ranked]:
        """The ranking in its new order."""
        first = [one for one in found[:RANKED] if one[0] in self._likely]
        if self._bring or self._alone:
            self.count = len(first)
        if self._alone:
            return first
        if not self._bring:
            return list(found)
        rest = [one for one in found[:RANKED] if one[0] not in self._likely]
        return [*first, *rest, *found[RANKED:]]


def _likely(chances: dict[str, float]) -> tuple[str, ...]:
    """As many of the likeliest as are expected to hold no more strangers than may be."""
    order = sorted(chances, key=lambda key: (-chances[key], key))
    strangers = 0.0
    for count, key in enumerate(order):
        strangers += 1 - chances[key]
        if chances[key] < LIKELY or strangers > STRANGERS:
            return tuple(order[:count])
    return tuple(order)
