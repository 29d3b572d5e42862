"""Finds the captions nearest to pictures, fit to be shown and to prompt with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from itertools import chain
from typing import Protocol

import numpy as np

from engine.alignment.alignment import GapMap
from engine.errors import InvalidInput
from engine.identity import UNKNOWN, PictureIdentity
from engine.store.paging import reciprocal_ranks
from engine.types import CaptionHit, Filters, Space, Vector, Vectors
from engine.words import content_words

_DEEPEST = 4096
"""Of so many captions some say something new, or those after them are not looked at either."""


class CaptionSearch(Protocol):
    """Finds captions by vector, as `engine.store.CaptionStore` does."""

    def search(
        self,
        queries: Vectors,
        space: Space,
        k: int,
        filters: Filters = ...,
        with_vectors: bool = ...,
        hub_strength: float = ...,
    ) -> list[list[CaptionHit]]:
        """For each query, (q, dim), the k captions nearest by cosine in one space, best first.

        So many times its nearness to all pictures is taken off a caption's cosine in `mapped`.
        """


class Retriever:
    """The captions of one or more stores, found by picture in either space or in both.

    The stores' mapped vectors must be of one map: `alignment`, or one with the same captions.
    With `hub_strength` cosines in the mapped space are corrected for captions that are near
    everything. With `splits` only captions of these are found.
    """

    def __init__(
        self,
        stores: Sequence[CaptionSearch],
        alignment: GapMap,
        *,
        hub_strength: float = 0.0,
        splits: frozenset[str] = frozenset(),
    ) -> None:
        self._stores = stores
        self._alignment = alignment
        self._hub_strength = hub_strength
        # A description made from other descriptions drifts, unless these have been held against
        # what people wrote of the same pictures: only such are found, and what people wrote.
        self._filters = Filters(proven=True, splits=splits)

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
        exclude: Sequence[PictureIdentity] | None = None,
    ) -> list[list[CaptionHit]]:
        """Find for each query the k nearest captions that tell something new, nearest first.

        Captions that differ from a nearer one only in case, punctuation or articles are left
        out, and so are captions beyond the first `per_image` of one picture and those of the
        very picture that `exclude` says each query is. Hits carry their raw vectors.
        """

        def search(rows: list[int], limit: int) -> list[list[CaptionHit]]:
            return self._search(queries[rows], space, limit)

        return _deepening(search, len(queries), k, per_image, exclude)

    def nearest_fused(
        self,
        images: Vectors,
        k: int,
        *,
        per_image: int,
        exclude: Sequence[PictureIdentity] | None = None,
    ) -> list[list[CaptionHit]]:
        """As `nearest`, by raw picture vectors (n, dim), with both spaces fused by reciprocal rank.

        Scores are cosines in the mapped space all the same.
        """
        mapped = self._alignment.map_images(images)

        def search(rows: list[int], limit: int) -> list[list[CaptionHit]]:
            raw_hits = self._search(images[rows], "raw", limit)
            mapped_hits = self._search(mapped[rows], "mapped", limit)
            both = zip(raw_hits, mapped_hits, mapped[rows], strict=True)
            return [self._scored(_fused(*rankings)[:limit], query) for *rankings, query in both]

        return _deepening(search, len(images), k, per_image, exclude)

    def _scored(self, hits: list[CaptionHit], query: Vector) -> list[CaptionHit]:
        """The hits, in their order, with their cosines in the mapped space."""
        rows = [hit.vector for hit in hits if hit.vector is not None]
        if not rows:
            return hits
        cosines = self._alignment.map_texts(np.stack(rows)) @ query
        return [replace(hit, score=float(c)) for hit, c in zip(hits, cosines, strict=True)]

    def _search(self, queries: Vectors, space: Space, limit: int) -> list[list[CaptionHit]]:
        """The nearest captions of all stores for each query, nearest first."""
        found = [
            store.search(
                queries,
                space,
                limit,
                filters=self._filters,
                with_vectors=True,
                hub_strength=self._hub_strength,
            )
            for store in self._stores
        ]
        return [
            sorted(chain(*ranked), key=lambda hit: hit.score, reverse=True)[:limit]
            for ranked in zip(*found, strict=True)
        ]


def _deepening(
    search: Callable[[list[int], int], list[list[CaptionHit]]],
    count: int,
    k: int,
    per_image: int,
    exclude: Sequence[PictureIdentity] | None,
) -> list[list[CaptionHit]]:
    """Search deeper for the queries, by their rows, until each has k captions.

    Or all that there are among the `_DEEPEST` nearest.
    """
    if k < 1:
        raise InvalidInput(f"k is {k}; at least 1 caption must be retrieved")
    if per_image < 1:
        raise InvalidInput(f"per_image is {per_image}; it must be at least 1")
    excluded = [UNKNOWN] * count if exclude is None else exclude
    found: list[list[CaptionHit]] = [[] for _ in range(count)]
    unsatisfied = list(range(count))
    limit = 4 * k
    while unsatisfied:
        hits = search(unsatisfied, limit)
        for query, ranked in zip(unsatisfied, hits, strict=True):
            found[query] = _telling(ranked, k, per_image, excluded[query].keys)
        if limit >= _DEEPEST:
            break
        # A ranking shorter than its limit is all that there is.
        unsatisfied = [
            query
            for query, ranked in zip(unsatisfied, hits, strict=True)
            if len(found[query]) < k and len(ranked) == limit
        ]
        limit *= 4
    return found


def _fused(*rankings: Sequence[CaptionHit]) -> list[CaptionHit]:
    """The hits of several rankings by the sum of their reciprocal ranks, best first."""
    sums = reciprocal_ranks([[hit.id for hit in ranked] for ranked in rankings])
    hits = {hit.id: hit for ranked in reversed(rankings) for hit in ranked}
    return sorted((hits[key] for key in sums), key=lambda hit: sums[hit.id], reverse=True)


def _telling(
    ranked: Iterable[CaptionHit], k: int, per_image: int, excluded: Collection[str]
) -> list[CaptionHit]:
    kept: list[CaptionHit] = []
    said: set[tuple[str, ...]] = set()
    of_picture: Counter[str] = Counter()
    for hit in ranked:
        words = content_words(hit.text)
        repeats = words in said or (hit.picture and of_picture[hit.picture] >= per_image)
        if repeats or hit.picture in excluded:
            continue
        kept.append(hit)
        said.add(words)
        of_picture[hit.picture] += 1
        if len(kept) == k:
            break
    return kept
