"""Finds pictures by words, by a picture, or by both."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import islice
from operator import itemgetter
from typing import TYPE_CHECKING

import numpy as np
from PIL.Image import Image

from engine.alignment.alignment import Alignment
from engine.errors import InvalidInput
from engine.identity import identity_of
from engine.search.copies import NO_COPIES, Copies
from engine.search.language import Search, written_term
from engine.search.relevance import Asked, Relevance
from engine.search.reranked import Reranked, SearchReranker
from engine.search.short_queries import encode_queries, is_short
from engine.search.stages import Collapsed, InSpace, LeastScore, Likely, Page, Shown, Sought
from engine.search.verdict import LikelyFirst, Verdict
from engine.stages.pipeline import Pipeline
from engine.stages.protocols import Refiner
from engine.stages.trace import Step, Trace
from engine.store import ImageStore
from engine.store.interface import Ranked
from engine.store.paging import RANKED
from engine.timing import Stopwatch
from engine.types import (
    Encoder,
    Filters,
    ImageHit,
    SearchResult,
    SearchSpace,
    Sort,
    Vector,
    Vectors,
)

if TYPE_CHECKING:
    from engine.store.bm25 import WordEncoder

COSINE_SPACES: tuple[SearchSpace, ...] = ("raw", "mapped", "caption")
"""The spaces whose scores are cosines, which mean the same whatever else is found.

Those of `words` (BM25) grow with the rarity and the number of the words, those of `fused` say
only at which ranks a picture was found.
"""

UNLIKE = 0.25
"""How much pictures count that are not wanted, against those that are.

Measured on the samples, see RESULTS.md: with more, what pictures of both kinds share is lost, and
Qdrant's ways to recommend (the average vector counts them half) find less of what is wanted.
"""


@dataclass(frozen=True)
class Query:
    """What is looked for: words, a picture or both, nearer to `plus`, away from `minus`.

    `likes` are ids of pictures of the collection, which are looked for like `image`; those of
    `unlikes` are moved away from. None of them is itself found. `weights` are those of `plus` and
    then of `minus`, against 1 of all else; each is 1 where there are none.
    """

    text: str = ""
    image: Image | None = None
    plus: tuple[str, ...] = ()
    minus: tuple[str, ...] = ()
    likes: tuple[str, ...] = ()
    unlikes: tuple[str, ...] = ()
    weights: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if not self.words and not self.pictures:
            raise InvalidInput(self._nothing_wanted())
        if both := set(self.likes) & set(self.unlikes):
            raise InvalidInput(
                f"the picture {min(both)} is wanted and not wanted at once; take it out on a side"
            )

    @classmethod
    def of(cls, search: Search, image: Image | None = None) -> Query:
        """What a search asks for, and a picture beside it."""
        wanted, unwanted = search.plus, search.minus
        return cls(
            search.text,
            image,
            tuple(term.text for term in wanted),
            tuple(term.text for term in unwanted),
            search.likes,
            search.unlikes,
            tuple(term.weight for term in (*wanted, *unwanted)),
        )

    def _nothing_wanted(self) -> str:
        if not (self.minus or self.unlikes):
            return "the query is empty; give words, a picture or both"
        return (
            f"{self} says what to leave out, but not yet what to look for; give words before it, "
            f"as in: animals {self}"
        )

    @property
    def words(self) -> tuple[str, ...]:
        """All wanted words."""
        return tuple(text for text in (self.text, *self.plus) if text.strip())

    @property
    def pictures(self) -> int:
        """The number of wanted pictures."""
        return (self.image is not None) + len(self.likes)

    @property
    def text_weights(self) -> tuple[float, ...]:
        """The weights of the wanted and then the unwanted words; those of the latter below 0."""
        weights = self.weights or (1.0,) * (len(self.plus) + len(self.minus))
        given = zip((*self.plus, *self.minus), weights, strict=True)
        wanted = [weight for text, weight in islice(given, len(self.plus)) if text.strip()]
        text = [1.0] if self.text.strip() else []
        return (*text, *wanted, *(-weight for _, weight in given))

    def __str__(self) -> str:
        weights = iter(self.weights or (1.0,) * (len(self.plus) + len(self.minus)))
        parts = [self.text]
        parts += [written_term(text, weight=next(weights)) for text in self.plus]
        parts += [written_term(text, unwanted=True, weight=next(weights)) for text in self.minus]
        parts += [f"like:{id_}" for id_ in self.likes]
        parts += [f"-like:{id_}" for id_ in self.unlikes]
        return " ".join(part for part in parts if part)


class Gallery:
    """The pictures of a store, found in any space, of copies the best alone."""

    def __init__(
        self,
        encoder: Encoder,
        alignment: Alignment,
        store: ImageStore,
        relevance: Callable[[], Relevance] | None = None,
        copies: Copies = NO_COPIES,
        as_captions: Callable[[], bool] | None = None,
    ) -> None:
        """With `relevance`, which is asked for at the first search, chances are told.

        `as_captions` is asked for a short query: whether it answers better in that form.
        """
        self.copies = copies
        self._encoder = encoder
        self._alignment = alignment
        self._relevance = relevance
        self._as_captions = as_captions
        self.store = store

    def search(
        self,
        query: Query,
        space: SearchSpace = "mapped",
        k: int = 10,
        *,
        filters: Filters | None = None,
        offset: int = 0,
        diversity: float = 0.0,
        min_score: float | None = None,
        sort: Sort = "relevance",
        every_copy: bool = False,
        likely: bool = False,
        reranker: SearchReranker | None = None,
    ) -> SearchResult:
        """Find the k best pictures after the first `offset`, best first.

        `diversity`, 0 to 1, trades likeness to the query for unlikeness to each other (MMR).
        Pictures that score less than `min_score`, a cosine, are left out of the k; raises
        InvalidInput for it in the spaces whose scores are none.
        With another `sort` those that are likely come by date; where it cannot be told which are,
        the best ones (RANKED of `engine.store.paging`).
        Of copies of one sight the best is found, with their number, unless `every_copy` is asked
        for.

        Where it can be told which pictures are likely what was asked for (`Verdict`) these come
        first, but in `raw`, which stays as it is to be compared with, and where `diversity`,
        `min_score` or `sort` ask for another order. With `likely` they alone are found; raises
        InvalidInput where it cannot be told.
        A `reranker` orders the first of them anew for the query's words, what is likely among
        itself; raises InvalidInput beside `diversity` and `sort`, which ask for other orders.
        """
        (result,) = self.search_spaces(
            query,
            (space,),
            k,
            filters=filters,
            offset=offset,
            diversity=diversity,
            min_score=min_score,
            sort=sort,
            every_copy=every_copy,
            likely=likely,
            reranker=reranker,
        )
        return result

    def search_spaces(
        self,
        query: Query,
        spaces: Sequence[SearchSpace],
        k: int = 10,
        *,
        filters: Filters | None = None,
        offset: int = 0,
        diversity: float = 0.0,
        min_score: float | None = None,
        sort: Sort = "relevance",
        every_copy: bool = False,
        likely: bool = False,
        reranker: SearchReranker | None = None,
    ) -> list[SearchResult]:
        """Search as `search` does, in several spaces, embedding the query once."""
        if min_score is not None:
            _check_min_score(min_score, spaces)
        if reranker is not None and (diversity or sort != "relevance"):
            raise InvalidInput(
                "a search for diverse pictures, or by date, has an order of its own: leave either "
                "that or reranking out"
            )
        watch = Stopwatch()
        known = self._known(query)
        with watch.stage("encode"):
            texts, images = self._encode(query, known)
        with watch.stage("map"):
            raw, _ = _combine(query, texts, images)
            mapped_images = self._alignment.map_images(images) if len(images) else images
            mapped, share = _combine(query, self._alignment.map_texts(texts), mapped_images)
        hub_strength = self._alignment.hub_strength * share
        copies = NO_COPIES if every_copy else self.copies
        filters = _without(filters or Filters(), known + self._copies_of(known, copies))
        asked = Sought(query, raw, mapped, hub_strength, filters, copies)
        verdict = self._verdict(asked, watch)
        if verdict is None and likely:
            raise InvalidInput(
                "this collection has too few pictures, or no captions, to tell what is likely; "
                "search for all that is found"
            )
        page = Page(k, offset, diversity, min_score, sort)
        before = _steps_before(watch, verdict)
        results = []
        for space in spaces:
            arrange = _arrangement(space, page, verdict, likely=likely)
            ordered = Reranked(reranker, self.store, arrange) if reranker else None
            pipeline = self._pipeline(space, page, verdict, arrange, ordered)
            searching = Stopwatch()
            with searching.stage("search"):
                ((hits, trace),) = pipeline.run([asked])
            timings = {**watch.timings_ms, **searching.timings_ms}
            count = None if arrange is None else arrange.count
            notes = trace.notes(ordered.name) if ordered else ()
            told = Trace((*before, *trace.steps[:-1], _shown(trace.steps[-1], len(hits))))
            found = tuple(hits)
            results.append(SearchResult(str(query), space, found, timings, count, told, notes))
        return results

    def _pipeline(
        self,
        space: SearchSpace,
        page: Page,
        verdict: Verdict | None,
        arrange: LikelyFirst | None,
        ordered: Reranked | None,
    ) -> Pipeline[Sought, Ranked, list[ImageHit]]:
        """The stages of a search in one space; what they hand on are ids with scores."""
        depth = page.offset + page.k if page.sort == "relevance" else RANKED
        refiners: list[Refiner[Sought, Ranked]] = [Collapsed()]
        if page.min_score is not None:
            refiners.append(LeastScore(page.min_score))
        if arrange is not None:
            depth = max(depth, RANKED)
            refiners.append(Likely(arrange))
        if ordered is not None:
            depth = max(depth, RANKED)
            refiners.append(ordered)
        known = verdict.ranked if verdict and space == "mapped" and not page.diversity else None
        return Pipeline(
            InSpace(self.store, space, depth, page.diversity, known),
            Shown(self.store, page, verdict),
            refiners=refiners,
            key=itemgetter(0),
            name=itemgetter(0),
        )

    def _verdict(self, sought: Sought, watch: Stopwatch) -> Verdict | None:
        """Which pictures are likely; None where that cannot be told."""
        if self._relevance is None:
            return None
        query, filters = sought.query, sought.filters
        with watch.stage("judge"):
            kind: Asked = "picture" if query.pictures or query.unlikes else "words"
            count = self.store.count(filters)
            judge = self._relevance().judge(sought.mapped, kind, count, sought.hub_strength)
            if judge is None:
                return None
            words = "" if query.pictures else " ".join(query.words)
            same = sought.copies.of
            return Verdict(judge, self.store, words, query.minus, filters=filters, same=same)

    def _known(self, query: Query) -> list[ImageHit]:
        """The pictures of the store that the query names, with their vectors, in its order."""
        return [self._named(id_) for id_ in (*query.likes, *query.unlikes)]

    def _named(self, id_: str) -> ImageHit:
        try:
            found = self.store.get([id_], with_vectors=True)
        except InvalidInput:  # an id that can be no picture's
            found = []
        if not found:
            raise InvalidInput(
                f"this collection has no picture with the id {id_!r}; it may have been "
                "removed, or be in another collection: look for words, or for a picture file"
            )
        return found[0]

    def _copies_of(self, hits: Sequence[ImageHit], copies: Copies) -> list[ImageHit]:
        return self.store.get([id_ for hit in hits for id_ in copies.beside(hit.id)])

    def _encode(self, query: Query, known: Sequence[ImageHit]) -> tuple[Vectors, Vectors]:
        """Raw vectors of words, and of pictures: of both the wanted first, then the unwanted."""
        said = [*query.words, *query.minus]
        asked = self._as_captions is not None and any(map(is_short, said)) and self._as_captions()
        texts = encode_queries(self._encoder, said, as_captions=asked)
        images = self._encoder.encode_images([query.image] if query.image is not None else [])
        stored = [hit.vector[None] for hit in known if hit.vector is not None]
        return texts, np.concatenate([images, *stored])


def _arrangement(
    space: SearchSpace, page: Page, verdict: Verdict | None, *, likely: bool
) -> LikelyFirst | None:
    """How what is likely is put first in a space, or found alone; None where nobody knows it."""
    if verdict is None:
        return None
    by_relevance = page.sort == "relevance"
    bring = page.min_score is None and by_relevance and not page.diversity and space != "raw"
    return LikelyFirst(verdict.likely, bring=bring, alone=likely or not by_relevance)


def _steps_before(watch: Stopwatch, verdict: Verdict | None) -> list[Step]:
    """What was done for all spaces together."""
    times = dict(watch.timings_ms)
    judged = times.pop("judge", None)
    steps = [Step("embed", "embedded the query", sum(times.values()), 0, 0, parts_ms=times)]
    if judged is not None:
        told = "cannot tell" if verdict is None else f"{len(verdict.likely)} are likely"
        steps.append(Step("judge", told, judged, 0, 0))
    return steps


def _shown(answer: Step, count: int) -> Step:
    """The last step: of a ranking a page is read."""
    return replace(answer, did=f"read {count}", went=count)


def matched_words(query: Query, caption: str) -> tuple[str, ...]:
    """The words of a caption that the query's words match, as the search for words does."""
    return _word_encoder().shared_words(" ".join(query.words), caption)


@cache
def _word_encoder() -> WordEncoder:
    from engine.store.bm25 import WordEncoder  # imports an engine that most searches do without

    return WordEncoder(typical_words=1.0)


def _check_min_score(min_score: float, spaces: Sequence[SearchSpace]) -> None:
    if not -1 <= min_score <= 1:
        raise InvalidInput(f"the least score is {min_score}; it is a cosine, from -1 to 1")
    for space in spaces:
        if space not in COSINE_SPACES:
            raise InvalidInput(
                f"scores in the space {space} depend on the other pictures and cannot be held "
                f"against a least score; search in {', '.join(COSINE_SPACES)}, or leave it out"
            )


def _without(filters: Filters, known: Sequence[ImageHit]) -> Filters:
    keys = frozenset(identity_of(hit).key for hit in known)
    return replace(filters, not_pictures=filters.not_pictures | keys)


def _combine(query: Query, texts: Vectors, images: Vectors) -> tuple[Vector, float]:
    """One unit vector: what is wanted added, and what is not, the last of each kind, subtracted.

    Several pictures count as one: their mean.

    And how much of hubs is taken off for it: once for each wanted text that it is the sum of, as
    if each had been searched for alone. Nothing for pictures, as they are compared with their own
    kind: on real vectors (RESULTS.md) a bank of either kind made that no better.
    """
    weights = np.asarray(query.text_weights, np.float32)
    total: Vector = weights @ texts
    wanted, unwanted = images[: query.pictures], images[query.pictures :]
    if len(wanted):
        total = total + wanted.mean(axis=0)
    if len(unwanted):
        total = total - UNLIKE * unwanted.mean(axis=0)
    length = float(np.linalg.norm(total))
    if length < 1e-6:
        raise InvalidInput("what is wanted and what is not cancel each other out; change one")
    share = max(0.0, float(weights.sum())) / length
    return np.asarray(total / length, np.float32), share
