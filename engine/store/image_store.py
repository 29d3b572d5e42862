"""The store of pictures: typed points and hits over a vector index."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import chain
from typing import Any

import numpy as np

from engine.collection import CollectionCard
from engine.errors import InvalidInput
from engine.identity import content_key
from engine.store.base import UPSERT_BATCH, IndexStore
from engine.store.checks import check_page, check_text, checked_ids, point_rows, query_rows
from engine.store.interface import (
    HUB,
    NO_FILTERS,
    Conditions,
    Correction,
    Hit,
    IndexSpec,
    Period,
    Point,
    Ranked,
)
from engine.store.paging import FUSED_DEPTH, best_first, fused, ranking
from engine.types import Facets, Filters, ImageHit, ImagePoint, SearchSpace, Vector

FACET_VALUES = 200
"""How many values of a field are offered as filters, the commonest first."""

_FACETS = ("split", "source", "tags")
_SHOWN = ("sha256", "names", "width", "height", "taken_at", "tags", "split", "source")


def image_spec(card: CollectionCard) -> IndexSpec:
    """The index of a collection's pictures."""
    return IndexSpec(
        collection=card.name,
        name="images",
        encoder_id=card.encoder_id,
        dim=card.dim,
        vectors=("raw", "mapped", "caption"),
        keywords=("picture", "split", "source", "tags"),
        datetimes=("taken_at",),
        typical_words=24.0,
        corrections=(HUB,),
    )


class ImageStore(IndexStore):
    """A collection's pictures."""

    def upsert(self, points: Sequence[ImagePoint]) -> None:
        """Write pictures; one of the same id is replaced whole, its caption vector included.

        Raises InvalidInput, before anything is written, for an id that is not a UUID and for
        vectors of another length or with values that are not finite.
        """
        ids = checked_ids([point.id for point in points])
        vectors: list[dict[str, list[float]]] = [{} for _ in points]
        for name in self._index.spec.vectors:
            held = [i for i, point in enumerate(points) if getattr(point, name) is not None]
            given = [getattr(points[i], name) for i in held]
            rows = point_rows(name, [ids[i] for i in held], given, self._dim).tolist()
            for i, row in zip(held, rows, strict=True):
                vectors[i][name] = row
        stored = [_stored(*pair) for pair in zip(points, vectors, strict=True)]
        for start in range(0, len(stored), UPSERT_BATCH):
            self._index.upsert(stored[start : start + UPSERT_BATCH])

    def search(
        self,
        space: SearchSpace,
        k: int,
        *,
        raw: Vector | None = None,
        mapped: Vector | None = None,
        words: str = "",
        filters: Filters = NO_FILTERS,
        offset: int = 0,
        diversity: float = 0.0,
        hub_strength: float = 0.0,
    ) -> list[ImageHit]:
        """The pictures from `offset` to `offset + k`, best first.

        `raw` is searched by the query `raw`, `mapped` and `caption` by `mapped`, `words` by
        `words`, and `fused` by what is given of `mapped` and `words`; scores are cosines, BM25
        weights and reciprocal rank sums. `diversity` (0 relevance only, 1 diversity only)
        orders the first `MMR_CANDIDATES` of `raw`, `mapped` and `caption` by maximal marginal
        relevance. Pages neither overlap nor leave gaps while the store does not change.

        So many times its `hub` is taken off a picture's cosine in `mapped`, alone and where it is
        fused; the other spaces stay as they are, `raw` as what all is compared with. Where
        pictures are to be diverse, the first `MMR_CANDIDATES` are those by cosine.
        """
        check_page(k, offset)
        conditions = image_conditions(filters)
        queries = self._queries(space, raw, mapped, words, diversity)
        text = words if space in {"words", "fused"} else ""
        corrections = {"mapped": Correction(HUB, hub_strength)} if hub_strength else {}

        def rank(depth: int, *, exact: bool) -> list[Ranked]:
            depth = max(depth, FUSED_DEPTH) if space == "fused" else depth
            rankings = self._index.ranked(
                queries, text, depth, conditions, exact=exact, corrections=corrections
            )
            return fused(rankings) if space == "fused" else best_first(chain(*rankings))

        end = offset + k
        if not diversity:
            return self._shown(ranking(rank, end)[offset:end])
        [(name, query)] = queries.items()
        diverse = self._index.diverse(name, query, diversity, conditions)
        if len(diverse) < end:
            chosen = {key for key, _ in diverse}
            diverse += [one for one in ranking(rank, end) if one[0] not in chosen]
        return self._shown(diverse[offset:end])

    def get(self, ids: Sequence[str], *, with_vectors: bool = False) -> list[ImageHit]:
        """The pictures of these ids in the order given, with score 0; unknown ids are left out.

        `with_vectors` adds each picture's raw vector (float16 precision).
        """
        kept = "raw" if with_vectors else ""
        return [_found(hit) for hit in self._index.get(checked_ids(ids), vector=kept)]

    def vectors(self, ids: Sequence[str], name: str) -> dict[str, Vector]:
        """The vectors `raw`, `mapped` or `caption` of these ids (float16 precision), by id.

        Unknown ids, and pictures without a vector of that name, are left out.
        """
        hits = self._index.get(checked_ids(ids), vector=name)
        found = {hit.id: hit.vector for hit in hits if hit.vector is not None}
        return {key: np.asarray(vector, dtype=np.float32) for key, vector in found.items()}

    def facets(self) -> Facets:
        """What the pictures can be filtered by."""
        counts = {field: self._index.facet(field, FACET_VALUES) for field in _FACETS}
        for values in counts.values():
            values.pop("", None)  # of pictures that belong to no split
        period = self._index.bounds("taken_at")
        return Facets(
            splits=counts["split"],
            sources=counts["source"],
            tags=counts["tags"],
            taken_from=_in_zone(period.start),
            taken_until=_in_zone(period.end),
        )

    def ids(self, filters: Filters = NO_FILTERS) -> Iterator[str]:
        """The ids of the pictures that satisfy the filters, in ascending order.

        They follow from the pictures' bytes by hashing, so the first n are a random sample.
        """
        return self._index.ids(image_conditions(filters))

    def count(self, filters: Filters = NO_FILTERS) -> int:
        """How many pictures satisfy the filters."""
        return self._index.count(image_conditions(filters))

    def _queries(
        self,
        space: SearchSpace,
        raw: Vector | None,
        mapped: Vector | None,
        words: str,
        diversity: float,
    ) -> dict[str, Vector]:
        """The dense queries of a search, by the name of the vector that each is held against."""
        if not 0.0 <= diversity <= 1.0:
            raise InvalidInput(f"diversity is {diversity}: it must be from 0 to 1")
        if space in {"words", "fused"}:
            if diversity:
                raise InvalidInput(
                    f"diversity is for the spaces raw, mapped and caption, not {space}; "
                    "search one of these, or set diversity to 0"
                )
            return self._fusable(None if space == "words" else mapped, words)
        query = raw if space == "raw" else mapped
        if query is None:
            needed = "raw" if space == "raw" else "mapped"
            raise InvalidInput(f"a search in the space {space} needs a {needed} query vector")
        return {space: self._checked(query)}

    def _fusable(self, mapped: Vector | None, words: str) -> dict[str, Vector]:
        if mapped is None:
            check_text(words)
            return {}
        query = self._checked(mapped)
        return {"mapped": query, "caption": query}

    def _shown(self, page: Sequence[Ranked]) -> list[ImageHit]:
        """A page of a ranking with what is stored of its points."""
        scores = dict(page)
        kept = self._index.get(list(scores))
        return [_found(replace(hit, score=scores[hit.id])) for hit in kept]

    def _checked(self, query: Vector) -> Vector:
        checked: Vector = query_rows(query[None], self._dim)[0]
        return checked


def image_conditions(filters: Filters) -> Conditions:
    """The filters as conditions on pictures; times without a zone are taken as UTC."""
    if filters.proven:
        raise InvalidInput("pictures cannot be filtered by proven; filter captions by it instead")
    any_of = {"split": filters.splits, "source": filters.sources, "tags": filters.tags}
    none_of = {"picture": filters.not_pictures, "split": filters.not_splits}
    period = Period(_in_zone(filters.taken_from), _in_zone(filters.taken_until))
    timed = period != Period(None, None)
    return Conditions(
        any_of={field: values for field, values in any_of.items() if values},
        none_of={field: values for field, values in none_of.items() if values},
        during={"taken_at": period} if timed else {},
    )


def _in_zone(moment: datetime | None) -> datetime | None:
    if moment is None or moment.tzinfo is not None:
        return moment
    return moment.replace(tzinfo=UTC)


def _stored(point: ImagePoint, vectors: dict[str, list[float]]) -> Point:
    payload: dict[str, Any] = {
        "picture": content_key(point.sha256),
        "image_id": point.image_id,
        "names": list(point.names or (point.image_id,)),
        "uri": point.uri,
        "sha256": point.sha256,
        "width": point.width,
        "height": point.height,
        "captions": list(point.captions),
        "source": point.source,
        "split": point.split,
        "taken_at": None if point.taken_at is None else point.taken_at.isoformat(),
        "tags": list(point.tags),
    }
    if point.hub is not None:
        payload[HUB] = point.hub
    return Point(point.id, vectors, payload, "\n".join(point.captions))


def _found(hit: Hit) -> ImageHit:
    payload = hit.payload
    return ImageHit(
        id=hit.id,
        image_id=payload["image_id"],
        uri=payload["uri"],
        score=hit.score,
        captions=tuple(payload["captions"]),
        payload={field: payload[field] for field in _SHOWN},
        vector=None if hit.vector is None else np.asarray(hit.vector, dtype=np.float32),
    )
