"""Finds pictures by words, by a picture, or by both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from PIL.Image import Image

from engine.alignment.alignment import Alignment
from engine.errors import InvalidInput
from engine.identity import identity_of
from engine.store import ImageStore
from engine.timing import Stopwatch
from engine.types import (
    Encoder,
    Filters,
    ImageHit,
    SearchResult,
    SearchSpace,
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


@dataclass(frozen=True)
class Query:
    """What is looked for: words, a picture or both, nearer to `plus`, away from `minus`.

    `like` is the id of a picture of the collection, which is looked for like `image` and is
    itself not found.
    """

    text: str = ""
    image: Image | None = None
    plus: tuple[str, ...] = ()
    minus: tuple[str, ...] = ()
    like: str = ""

    def __post_init__(self) -> None:
        if not self.words and not self.pictures:
            raise InvalidInput("the query is empty; give words, a picture or both")

    @property
    def words(self) -> tuple[str, ...]:
        """All wanted words."""
        return tuple(text for text in (self.text, *self.plus) if text.strip())

    @property
    def pictures(self) -> int:
        """The number of wanted pictures."""
        return (self.image is not None) + bool(self.like)

    def __str__(self) -> str:
        parts = [self.text, *(f"+{text}" for text in self.plus)]
        parts += [f"-{text}" for text in self.minus]
        parts += [f"like:{self.like}"] if self.like else []
        return " ".join(part for part in parts if part)


class Gallery:
    """The pictures of a store, found in any space."""

    def __init__(self, encoder: Encoder, alignment: Alignment, store: ImageStore) -> None:
        self._encoder = encoder
        self._alignment = alignment
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
    ) -> SearchResult:
        """Find the k best pictures after the first `offset`, best first.

        `diversity`, 0 to 1, trades likeness to the query for unlikeness to each other (MMR).
        Pictures that score less than `min_score`, a cosine, are left out of the k; raises
        InvalidInput for it in the spaces whose scores are none. See `Relevance` for a good one.
        """
        (result,) = self.search_spaces(
            query,
            (space,),
            k,
            filters=filters,
            offset=offset,
            diversity=diversity,
            min_score=min_score,
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
    ) -> list[SearchResult]:
        """Search as `search` does, in several spaces, embedding the query once."""
        if min_score is not None:
            _check_min_score(min_score, spaces)
        watch = Stopwatch()
        known = self._known(query)
        with watch.stage("encode"):
            texts, image = self._encode(query, known)
        with watch.stage("map"):
            raw, _ = _combine(texts, image, len(query.minus))
            mapped_image = self._alignment.map_images(image) if len(image) else image
            mapped, share = _combine(
                self._alignment.map_texts(texts), mapped_image, len(query.minus)
            )
        filters = _without(filters or Filters(), known)
        results = []
        for space in spaces:
            searching = Stopwatch()
            with searching.stage("search"):
                hits = self.store.search(
                    space,
                    k,
                    raw=raw,
                    mapped=mapped,
                    words=" ".join(query.words),
                    filters=filters,
                    offset=offset,
                    diversity=diversity,
                    hub_strength=self._alignment.hub_strength * share,
                )
            if min_score is not None:
                hits = [hit for hit in hits if hit.score >= min_score]
            timings = {**watch.timings_ms, **searching.timings_ms}
            results.append(SearchResult(str(query), space, tuple(hits), timings))
        return results

    def _known(self, query: Query) -> list[ImageHit]:
        """The picture of the store that the query names, with its vector."""
        if not query.like:
            return []
        try:
            found = self.store.get([query.like], with_vectors=True)
        except InvalidInput:  # an id that can be no picture's
            found = []
        if not found:
            raise InvalidInput(
                f"this collection has no picture with the id {query.like!r}; it may have been "
                "removed, or be in another collection: look for words, or for a picture file"
            )
        return found

    def _encode(self, query: Query, known: Sequence[ImageHit]) -> tuple[Vectors, Vectors]:
        """Raw vectors of the wanted and then the unwanted words, and of the pictures."""
        texts = self._encoder.encode_texts([*query.words, *query.minus])
        images = self._encoder.encode_images([query.image] if query.image is not None else [])
        stored = [hit.vector[None] for hit in known if hit.vector is not None]
        return texts, np.concatenate([images, *stored])


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


def _combine(texts: Vectors, image: Vectors, minus: int) -> tuple[Vector, float]:
    """One unit vector: the wanted vectors added, the last `minus` texts subtracted.

    And how much of hubs is taken off for it: once for each wanted text that it is the sum of, as
    if each had been searched for alone. Nothing for pictures, as they are compared with their own
    kind: on real vectors (RESULTS.md) a bank of either kind made that no better.
    """
    signs = np.ones(len(texts), np.float32)
    signs[len(texts) - minus :] = -1
    total: Vector = signs @ texts + image.sum(axis=0)
    length = float(np.linalg.norm(total))
    if length < 1e-6:
        raise InvalidInput("the wanted and the unwanted words cancel each other out; change one")
    share = max(0.0, float(signs.sum())) / length
    return np.asarray(total / length, np.float32), share
