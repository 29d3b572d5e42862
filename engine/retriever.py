"""Finds the captions nearest to pictures, fit to be shown and to prompt with."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from itertools import chain
from typing import Protocol

from engine.alignment import Alignment
from engine.errors import InvalidInput
from engine.types import CaptionHit, Filters, Space, Vectors

_NOT_WORDS = re.compile(r"[\W_]+")
_EMPTY_WORDS = frozenset(("a", "an", "the", "is", "are", "there"))
# Only what people wrote is retrieved: a description made from other descriptions drifts.
_HUMAN = Filters(sources=frozenset(("human",)))


class CaptionSearch(Protocol):
    """Finds captions by vector, as `engine.store.CaptionStore` does."""

    def search(
        self,
        queries: Vectors,
        space: Space,
        k: int,
        filters: Filters = ...,
        with_vectors: bool = ...,
    ) -> list[list[CaptionHit]]:
        """For each query, (q, dim), the k captions nearest by cosine in one space, best first."""


class Retriever:
    """The captions of one or more stores, found by picture in either space.

    The stores' mapped vectors must be of one map: `alignment`, or one with the same captions.
    """

    def __init__(self, stores: Sequence[CaptionSearch], alignment: Alignment) -> None:
        self._stores = stores
        self._alignment = alignment

    def query_vectors(self, images: Vectors, space: Space) -> Vectors:
        """Raw picture vectors (n, dim) as queries of the space: (n, dim) unit rows."""
        return self._alignment.map_images(images) if space == "mapped" else images

    def nearest(
        self,
        queries: Vectors,
        space: Space,
        k: int,
        *,
        per_image: int,
        exclude: Sequence[Collection[str]] | None = None,
    ) -> list[list[CaptionHit]]:
        """Find for each query the k nearest captions that tell something new, nearest first.

        Captions that differ from a nearer one only in case, punctuation or articles are left
        out, and so are captions beyond the first `per_image` of one picture and those of
        the pictures whose ids `exclude` names for that query. Hits carry their raw vectors.
        """
        if k < 1:
            raise InvalidInput(f"k is {k}; at least 1 caption must be retrieved")
        if per_image < 1:
            raise InvalidInput(f"per_image is {per_image}; it must be at least 1")
        excluded = exclude if exclude is not None else [()] * len(queries)
        found: list[list[CaptionHit]] = [[] for _ in range(len(queries))]
        unsatisfied = list(range(len(queries)))
        limit = 4 * k
        while unsatisfied:
            hits = self._search(queries[unsatisfied], space, limit)
            for query, ranked in zip(unsatisfied, hits, strict=True):
                found[query] = _telling(ranked, k, per_image, excluded[query])
            # A ranking shorter than its limit is all that there is.
            unsatisfied = [
                query
                for query, ranked in zip(unsatisfied, hits, strict=True)
                if len(found[query]) < k and len(ranked) == limit
            ]
            limit *= 4
        return found

    def _search(self, queries: Vectors, space: Space, limit: int) -> list[list[CaptionHit]]:
        """The nearest captions of all stores for each query, nearest first."""
        # A raw map leaves pictures as they are; a memory's captions may have been moved.
        place = "raw" if self._alignment.method == "raw" else space
        found = [
            store.search(queries, place, limit, filters=_HUMAN, with_vectors=True)
            for store in self._stores
        ]
        return [
            sorted(chain(*rankings), key=lambda hit: hit.score, reverse=True)[:limit]
            for rankings in zip(*found, strict=True)
        ]


def _telling(
    ranked: Iterable[CaptionHit], k: int, per_image: int, excluded: Collection[str]
) -> list[CaptionHit]:
    kept: list[CaptionHit] = []
    said: set[tuple[str, ...]] = set()
    of_image: Counter[str] = Counter()
    for hit in ranked:
        words = _content_words(hit.text)
        repeats = words in said or (hit.image_id and of_image[hit.image_id] >= per_image)
        if repeats or (hit.image_id and hit.image_id in excluded):
            continue
        kept.append(hit)
        said.add(words)
        of_image[hit.image_id] += 1
        if len(kept) == k:
            break
    return kept


def _content_words(text: str) -> tuple[str, ...]:
    words = _NOT_WORDS.sub(" ", text.casefold()).split()
    return tuple(word for word in words if word not in _EMPTY_WORDS)
