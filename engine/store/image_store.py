"""The store of pictures: typed points and hits over a vector index."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import chain, islice

import numpy as np

from engine.collection import CollectionCard
from engine.errors import InvalidInput
from engine.identity import content_key
from engine.store.base import UPSERT_BATCH, IndexStore
from engine.store.checks import check_page, check_text, checked_ids, point_rows, query_rows
from engine.store.image_filters import CLOCK, FOLDED, also, folded_field, image_conditions
from engine.store.image_points import (
    CAPTIONED_BY,
    by_date,
    by_spelling,
    hit_of,
    label_fields,
    point_of,
)
from engine.store.interface import (
    HUB,
    NO_FILTERS,
    Conditions,
    Correction,
    IndexSpec,
    Period,
    Ranked,
)
from engine.store.paging import (
    FUSED_DEPTH,
    NOTHING,
    RANKED,
    best_first,
    first_of_each,
    fused,
    whole_ranking,
)
from engine.types import (
    DateOrder,
    Facets,
    Filters,
    ImageHit,
    ImagePoint,
    SearchSpace,
    Sort,
    Vector,
)

FACET_VALUES = 200
"""How many values of a field are offered as filters, the commonest first."""


def image_spec(card: CollectionCard) -> IndexSpec:
    """The index of a collection's pictures."""
    return IndexSpec(
        collection=card.name,
        name="images",
        encoder_id=card.encoder_id,
        dim=card.dim,
        vectors=("raw", "mapped", "caption"),
        keywords=(
            *("picture", "split", "source", "extension", "has"),
            *FOLDED,
            *map(folded_field, FOLDED),
        ),
        datetimes=("taken_at",),
        typical_words=24.0,
        integers=("rating", CLOCK),
        locations=("location",),
        texts=("said",),
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
        stored = [point_of(*pair) for pair in zip(points, vectors, strict=True)]
        for start in range(0, len(stored), UPSERT_BATCH):
            self._index.upsert(stored[start : start + UPSERT_BATCH])

    def set_labels(self, labels: Mapping[str, Sequence[str]]) -> None:
        """Give pictures that are here, by id, these labels alone; all else of them stays."""
        told = dict(zip(checked_ids(list(labels)), map(label_fields, labels.values()), strict=True))
        self._index.set_payload(told)

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
        min_score: float | None = None,
        sort: Sort = "relevance",
        same: Mapping[str, int] = NOTHING,
        hub_strength: float = 0.0,
    ) -> list[ImageHit]:
        """The pictures from `offset` to `offset + k`, best first.

        `raw` is searched by the query `raw`, `mapped` and `caption` by `mapped`, `words` by
        `words`, and `fused` by what is given of `mapped` and `words`; scores are cosines, BM25
        weights and reciprocal rank sums. `diversity` (0 relevance only, 1 diversity only)
        orders the first `MMR_CANDIDATES` of `raw`, `mapped` and `caption` by maximal marginal
        relevance. What scores less than `min_score` is left out, and of pictures with the same
        number in `same` all but the best. With another `sort` the best RANKED pictures come by
        date. Pages neither overlap nor leave gaps while the store does not change.

        So many times its `hub` is taken off a picture's cosine in `mapped`, alone and where it is
        fused; the other spaces stay as they are, `raw` as what all is compared with. Where
        pictures are to be diverse, the first `MMR_CANDIDATES` are those by cosine.
        """
        check_page(k, offset)
        found = self.rank(
            space,
            offset + k if sort == "relevance" else RANKED,
            raw=raw,
            mapped=mapped,
            words=words,
            filters=filters,
            diversity=diversity,
            same=same,
            hub_strength=hub_strength,
        )
        if min_score is not None:
            found = [one for one in found if one[1] >= min_score]
        return self.page(found, k, offset=offset, sort=sort)

    def page(
        self, found: Sequence[Ranked], k: int, *, offset: int = 0, sort: Sort = "relevance"
    ) -> list[ImageHit]:
        """Of a ranking the pictures from `offset` to `offset + k`, with what is stored of them.

        With another `sort` than by relevance of its first RANKED, by date.
        """
        check_page(k, offset)
        if sort == "relevance":
            return self._shown(found[offset : offset + k])
        return by_date(self._shown(found[:RANKED]), sort)[offset : offset + k]

    def rank(
        self,
        space: SearchSpace,
        depth: int,
        *,
        raw: Vector | None = None,
        mapped: Vector | None = None,
        words: str = "",
        filters: Filters = NO_FILTERS,
        diversity: float = 0.0,
        same: Mapping[str, int] = NOTHING,
        collapsed: bool = True,
        hub_strength: float = 0.0,
    ) -> list[Ranked]:
        """The ids of the first `depth` pictures at least, or all, with their scores.

        Those with a number in `same` that an earlier one has are left out, or, not `collapsed`,
        are there beside the others.
        """
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

        found: list[Ranked] = []
        if diversity:
            [(name, query)] = queries.items()
            found = self._index.diverse(name, query, diversity, conditions)
        if len(found) < depth:
            chosen = {key for key, _ in found}
            found += [one for one in whole_ranking(rank, depth, same) if one[0] not in chosen]
        return first_of_each(found, same) if collapsed else found

    def browse(
        self,
        filters: Filters = NO_FILTERS,
        *,
        order: DateOrder = "newest",
        k: int,
        offset: int = 0,
    ) -> list[ImageHit]:
        """The pictures from `offset` to `offset + k` by date, with score 0.

        Those without a date come last. Pages neither overlap nor leave gaps while the store does
        not change.
        """
        check_page(k, offset)
        conditions, end = image_conditions(filters), offset + k
        dated = self._dated(conditions, order, end)
        page = dated[offset:]
        if len(dated) < end:
            rest = self._index.ids(also(conditions, none_of={"has": frozenset({"date"})}))
            page += islice(rest, max(0, offset - len(dated)), end - len(dated))
        return self.get(page)

    def which(self, ids: Sequence[str], filters: Filters = NO_FILTERS) -> set[str]:
        """Which of these pictures are here and satisfy the filters."""
        hits = self.get(ids)
        if filters == NO_FILTERS or not hits:
            return {hit.id for hit in hits}
        keys = frozenset(content_key(hit.payload["sha256"]) for hit in hits)
        return set(self._index.ids(also(image_conditions(filters), any_of={"picture": keys})))

    def get(self, ids: Sequence[str], *, with_vectors: bool = False) -> list[ImageHit]:
        """The pictures of these ids in the order given, with score 0; unknown ids are left out.

        `with_vectors` adds each picture's raw vector (float16 precision).
        """
        kept = "raw" if with_vectors else ""
        return [hit_of(hit) for hit in self._index.get(checked_ids(ids), vector=kept)]

    def vectors(self, ids: Sequence[str], name: str) -> dict[str, Vector]:
        """The vectors `raw`, `mapped` or `caption` of these ids (float16 precision), by id.

        Unknown ids, and pictures without a vector of that name, are left out.
        """
        hits = self._index.get(checked_ids(ids), vector=name)
        found = {hit.id: hit.vector for hit in hits if hit.vector is not None}
        return {key: np.asarray(vector, dtype=np.float32) for key, vector in found.items()}

    def scores(
        self, ids: Sequence[str], mapped: Vector, hub_strength: float = 0.0
    ) -> dict[str, float]:
        """What these pictures score in `mapped`, by id; unknown ids are left out."""
        query = self._checked(mapped)
        return {
            hit.id: float(np.asarray(hit.vector, np.float32) @ query)
            - hub_strength * hit.payload.get(HUB, 0.0)
            for hit in self._index.get(checked_ids(ids), vector="mapped")
            if hit.vector is not None
        }

    def facets(self, filters: Filters = NO_FILTERS) -> Facets:
        """What the pictures that satisfy the filters can be filtered by further."""
        conditions = image_conditions(filters)

        def counts(field: str) -> dict[str, int]:
            found = self._index.facet(field, 2 * FACET_VALUES, conditions)
            merged = by_spelling({value: count for value, count in found.items() if value})
            return dict(islice(merged.items(), FACET_VALUES))

        def end(*, last: bool) -> datetime | None:
            found = self._index.ordered("taken_at", 1, conditions, descending=last)
            return found[0][1] if found else None

        return Facets(
            splits=counts("split"),
            sources={by: count for by, count in counts("has").items() if by in CAPTIONED_BY},
            tags=counts("tags"),
            taken_from=end(last=False),
            taken_until=end(last=True),
            cameras=counts("camera"),
            lenses=counts("lens"),
            places=counts("places"),
            extensions=counts("extension"),
            labels=counts("labels"),
        )

    def ids(self, filters: Filters = NO_FILTERS) -> Iterator[str]:
        """The ids of the pictures that satisfy the filters, in ascending order.

        They follow from the pictures' bytes by hashing, so the first n are a random sample.
        """
        return self._index.ids(image_conditions(filters))

    def count(self, filters: Filters = NO_FILTERS) -> int:
        """How many pictures satisfy the filters."""
        return self._index.count(image_conditions(filters))

    def _dated(self, conditions: Conditions, order: DateOrder, end: int) -> list[str]:
        """The first `end` pictures by date, equal ones by id."""
        newest = order == "newest"
        found = self._index.ordered("taken_at", end, conditions, descending=newest)
        if not found:
            return []
        # Which of equal ones came is the engine's choice: all of them are asked for.
        last = found[-1][1]
        tied = self._index.ids(also(conditions, during={"taken_at": Period(last, last)}))
        sooner = sorted(one for one in found if one[1] != last)
        sooner.sort(key=lambda one: one[1], reverse=newest)
        return [key for key, _ in sooner] + list(islice(tied, end - len(sooner)))

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
        return [hit_of(replace(hit, score=scores[hit.id])) for hit in kept]

    def _checked(self, query: Vector) -> Vector:
        checked: Vector = query_rows(query[None], self._dim)[0]
        return checked
