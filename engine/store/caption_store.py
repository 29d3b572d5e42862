"""The store of captions: typed points and hits over a vector index."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields
from typing import Any

import numpy as np

from engine.collection import CollectionCard
from engine.errors import InvalidInput
from engine.store.base import UPSERT_BATCH, IndexStore
from engine.store.checks import check_page, checked_ids, point_rows, query_rows
from engine.store.interface import (
    HUB,
    NO_FILTERS,
    Conditions,
    Correction,
    Hit,
    IndexSpec,
    Point,
)
from engine.types import CaptionHit, CaptionPoint, Filters, Space, Vectors

SEARCH_BATCH = 256
"""Queries handed to the index at once."""


def caption_spec(card: CollectionCard) -> IndexSpec:
    """The index of a collection's captions."""
    return IndexSpec(
        collection=card.name,
        name="captions",
        encoder_id=card.encoder_id,
        dim=card.dim,
        vectors=("raw", "mapped"),
        keywords=("picture", "split", "source"),
        corrections=(HUB,),
    )


_FILTERS = frozenset(("splits", "not_splits", "sources", "not_pictures", "proven"))
"""What captions can be filtered by; the other filters are of what only pictures have."""

_PROVEN = (
    Conditions(any_of={"source": frozenset({"human"})}),
    Conditions(at_least={"round": 1}),
)


class CaptionStore(IndexStore):
    """A collection's captions."""

    def upsert(self, points: Sequence[CaptionPoint]) -> None:
        """Write captions; one of the same id is replaced whole.

        Raises InvalidInput, before anything is written, for an id that is not a UUID and for
        vectors of another length or with values that are not finite.
        """
        ids = checked_ids([point.id for point in points])
        raw = point_rows("raw", ids, [point.raw for point in points], self._dim)
        mapped = point_rows("mapped", ids, [point.mapped for point in points], self._dim)
        for start in range(0, len(points), UPSERT_BATCH):
            part = slice(start, start + UPSERT_BATCH)
            rows = zip(points[part], raw[part].tolist(), mapped[part].tolist(), strict=True)
            self._index.upsert([_stored(*row) for row in rows])

    def search(
        self,
        queries: Vectors,
        space: Space,
        k: int,
        filters: Filters = NO_FILTERS,
        with_vectors: bool = False,
        hub_strength: float = 0.0,
    ) -> list[list[CaptionHit]]:
        """For each query, (q, dim), the k captions nearest by cosine in one space, best first.

        `with_vectors` adds each caption's raw vector (float16 precision). So many times its `hub`
        is taken off a caption's cosine in `mapped`; `raw` stays as what all is compared with.
        """
        check_page(k)
        rows = query_rows(queries, self._dim)
        conditions = caption_conditions(filters)
        kept = "raw" if with_vectors else ""
        corrected = hub_strength and space == "mapped"
        correction = Correction(HUB, hub_strength) if corrected else None
        found: list[list[CaptionHit]] = []
        for start in range(0, len(rows), SEARCH_BATCH):
            part = rows[start : start + SEARCH_BATCH]
            answers = self._index.nearest(
                space, part, k, conditions, vector=kept, correction=correction
            )
            found += [[_found(hit) for hit in sorted(hits, key=_order)] for hits in answers]
        return found

    def get(self, ids: Sequence[str], *, with_vectors: bool = False) -> list[CaptionHit]:
        """The captions of these ids in the order given, with score 0; unknown ids are left out.

        `with_vectors` adds each caption's raw vector (float16 precision).
        """
        kept = "raw" if with_vectors else ""
        return [_found(hit) for hit in self._index.get(checked_ids(ids), vector=kept)]

    def ids_of(self, pictures: Iterable[str]) -> Iterator[str]:
        """The ids of the captions of the pictures with these keys (`engine.identity`)."""
        return self._index.ids(Conditions(any_of={"picture": frozenset(pictures)}))

    def ids_of_round(self, number: int) -> Iterator[str]:
        """The ids of the captions that a refinement round added."""
        later = set(self._index.ids(Conditions(at_least={"round": number + 1})))
        found = self._index.ids(Conditions(at_least={"round": number}))
        return (key for key in found if key not in later)

    def count(self, filters: Filters = NO_FILTERS) -> int:
        """How many captions satisfy the filters."""
        return self._index.count(caption_conditions(filters))


def caption_conditions(filters: Filters) -> Conditions:
    """The filters as conditions on captions, which have none of what only pictures have."""
    wrong = [
        field.name
        for field in fields(Filters)
        if field.name not in _FILTERS
        and getattr(filters, field.name) != getattr(NO_FILTERS, field.name)
    ]
    if wrong:
        raise InvalidInput(
            f"captions cannot be filtered by {', '.join(wrong).replace('_', ' ')}; filter "
            "pictures by it instead"
        )
    any_of = {"split": filters.splits, "source": filters.sources}
    none_of = {"picture": filters.not_pictures, "split": filters.not_splits}
    return Conditions(
        any_of={field: values for field, values in any_of.items() if values},
        none_of={field: values for field, values in none_of.items() if values},
        either=_PROVEN if filters.proven else (),
    )


def _order(hit: Hit) -> tuple[float, str]:
    """Best first, equal scores by id, as engines order these at will."""
    return -hit.score, hit.id


def _stored(point: CaptionPoint, raw: list[float], mapped: list[float]) -> Point:
    payload: dict[str, Any] = {
        "text": point.text,
        "picture": point.picture,
        "image_id": point.image_id,
        "uri": point.uri,
        "split": point.split,
        "source": point.source,
        "round": point.round,
    }
    if point.hub is not None:
        payload[HUB] = point.hub
    return Point(point.id, {"raw": raw, "mapped": mapped}, payload)


def _found(hit: Hit) -> CaptionHit:
    payload = hit.payload
    return CaptionHit(
        id=hit.id,
        text=payload["text"],
        score=hit.score,
        picture=payload["picture"],
        image_id=payload["image_id"],
        uri=payload["uri"],
        source=payload["source"],
        vector=None if hit.vector is None else np.asarray(hit.vector, dtype=np.float32),
    )
