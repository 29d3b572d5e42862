"""The first of a ranking in a reranker's order; what is likely stays before what is not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from engine.rerank.budget import Budget
from engine.rerank.judging import Judged, Judging, order
from engine.rerank.kept import Kept
from engine.search.stages import Sought
from engine.search.verdict import LikelyFirst
from engine.stages.protocols import Found
from engine.store import ImageStore
from engine.store.interface import Ranked
from engine.types import ImageHit

NO_WORDS = "nothing is reranked, as the search has no words"


@dataclass(frozen=True, eq=False)
class SearchReranker:
    """How the pictures of searches are reranked: by which model, and within which budget.

    What was judged is kept for the next page, by all that it depends on but the pictures' files.
    """

    judging: Judging[str, ImageHit]
    model: str
    budget: Budget
    kept: Kept

    def judge(self, words: str, hits: Sequence[ImageHit]) -> Judged:
        """Judge pictures for the words of a search."""
        seen = tuple((hit.id, hit.captions) for hit in hits)
        key = (self.judging.name, self.model, self.budget, words, seen)
        return self.kept.get(key, lambda: self.judging.judge(words, hits, self.budget))


class Reranked:
    """Puts the first of a ranking in order, each part by itself: what is likely, and the rest."""

    def __init__(
        self, reranker: SearchReranker, store: ImageStore, likely_first: LikelyFirst | None
    ) -> None:
        """`likely_first` has arranged the rankings before, where it can be told what is likely."""
        self._reranker, self._store, self._likely_first = reranker, store, likely_first
        self.name = reranker.judging.name

    def refine(
        self, asked: Sequence[Sought], found: Sequence[Found[Ranked]]
    ) -> list[Found[Ranked]]:
        """The rankings in their new order, whole."""
        return [
            self._reranked(", ".join(sought.query.words), one.items)
            for sought, one in zip(asked, found, strict=True)
        ]

    def _reranked(self, words: str, items: tuple[Ranked, ...]) -> Found[Ranked]:
        if not words:
            return Found(items, (NO_WORDS,))
        head = items[: self._reranker.budget.top]
        judged = self._reranker.judge(words, self._hits(head))
        likely = None if self._likely_first is None else self._likely_first.count
        parts = [] if likely is None else [min(likely, len(head))]
        first = [head[place] for place in order(judged.scores, parts)]
        return Found((*first, *items[len(head) :]), judged.notes)

    def _hits(self, head: Sequence[Ranked]) -> list[ImageHit]:
        """What is stored of the pictures; of one that has just been removed its id alone."""
        there = {hit.id: hit for hit in self._store.get([key for key, _ in head])}
        return [there.get(key) or ImageHit(key, "", "", score) for key, score in head]
