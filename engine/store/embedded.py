"""The embedded index: Qdrant Edge in this process, one folder per index.

Only one process can have a folder open, for reading too. Threads and stores of that process
share it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, Self

import qdrant_edge as edge

from engine.errors import StoreUnavailable
from engine.store.bm25 import WordEncoder
from engine.store.edge_folder import (
    LOCK_PATIENCE_S,
    acquire_shard,
    check_folder,
    edge_errors,
    made_if_missing,
    release_shard,
)
from engine.store.interface import (
    CORRECTED,
    EVERYTHING,
    FACET_DEPTH,
    MMR_CANDIDATES,
    NO_CORRECTIONS,
    WORDS,
    Conditions,
    Correction,
    Dated,
    Hit,
    IndexSpec,
    Period,
    Point,
    Ranked,
    alike,
    moment_at,
)
from engine.types import Near, Vector, Vectors

_SCROLL = 1000


class EdgeIndex:
    """A VectorIndex in a folder of this machine.

    New points are searched exactly until `optimize` builds their graph, which blocks.
    """

    def __init__(
        self, folder: Path, spec: IndexSpec, *, lock_patience_s: float = LOCK_PATIENCE_S
    ) -> None:
        """Open an existing index.

        Raises CollectionMissing, IncompatibleIndex, or StoreUnavailable when it is locked by
        another process or damaged.
        """
        check_folder(folder, spec)
        self._folder = folder
        self._spec = spec
        self._words = WordEncoder(spec.typical_words)
        self._shared = acquire_shard(folder, spec.collection, lock_patience_s)
        self._closed = False
        self._flushed = False

    @classmethod
    def open_or_make(cls, folder: Path, spec: IndexSpec) -> Self:
        """Open an index, after making it if there is none."""
        with made_if_missing(folder, spec):
            return cls(folder, spec)

    @property
    def spec(self) -> IndexSpec:
        """What the index holds."""
        return self._spec

    def upsert(self, points: Sequence[Point]) -> None:
        """Write points; a point of the same id is replaced whole."""
        self._write(edge.UpdateOperation.upsert_points([self._point(p) for p in points]))

    def delete(self, ids: Sequence[str]) -> None:
        """Remove points; unknown ids are ignored."""
        self._write(edge.UpdateOperation.delete_points(list(ids)))

    def set_payload(self, fields: Mapping[str, Mapping[str, Any]]) -> None:
        """Set payload fields of points that are here, by id; all else of them stays."""
        for ids, told in alike(fields):
            self._write(edge.UpdateOperation.set_payload([*ids], dict(told)))

    def nearest(
        self,
        name: str,
        queries: Vectors,
        limit: int,
        conditions: Conditions = EVERYTHING,
        *,
        vector: str = "",
        correction: Correction | None = None,
    ) -> list[list[Hit]]:
        """For each query the points nearest by cosine, with their vector named `vector`."""
        wanted = edge_filter(conditions)
        requests = [
            edge.QueryRequest(
                limit=limit,
                with_payload=True,
                with_vector=[vector] if vector else False,
                **_asked(edge.Query.Nearest(query, using=name), limit, wanted, correction),
            )
            for query in queries.tolist()
        ]
        answers = self._call(self._shard.query_batch, edge.QueryBatchRequest(requests))
        return [[_hit(point, vector) for point in answer] for answer in answers]

    def diverse(
        self,
        name: str,
        query: Vector,
        diversity: float,
        conditions: Conditions = EVERYTHING,
    ) -> list[Ranked]:
        """The MMR_CANDIDATES nearest points, ordered by maximal marginal relevance."""
        mmr = edge.Mmr(query.tolist(), 1.0 - diversity, MMR_CANDIDATES, using=name)
        request = edge.QueryRequest(
            limit=MMR_CANDIDATES, query=mmr, filter=edge_filter(conditions), with_payload=False
        )
        return [_ranked(point) for point in self._call(self._shard.query, request)]

    def ranked(
        self,
        queries: Mapping[str, Vector],
        text: str,
        depth: int,
        conditions: Conditions = EVERYTHING,
        *,
        exact: bool = False,
        corrections: Mapping[str, Correction] = NO_CORRECTIONS,
    ) -> list[list[Ranked]]:
        """The `depth` best points of each dense query and of the text."""
        parts: dict[str, Any] = {name: query.tolist() for name, query in queries.items()}
        weights = self._words.query(text)
        if weights.indices:
            parts[WORDS] = weights
        wanted, params = edge_filter(conditions), edge.SearchParams(exact=exact)
        requests = [
            edge.QueryRequest(
                limit=depth,
                with_payload=False,
                **_asked(
                    edge.Query.Nearest(part, using=name),
                    depth,
                    wanted,
                    corrections.get(name),
                    params,
                ),
            )
            for name, part in parts.items()
        ]
        answers = self._call(self._shard.query_batch, edge.QueryBatchRequest(requests))
        return [[_ranked(point) for point in answer] for answer in answers]

    def get(self, ids: Sequence[str], *, vector: str = "") -> list[Hit]:
        """The points of these ids in the order given, with their vector named `vector`.

        Their score is 0; unknown ids are left out.
        """
        wanted = [vector] if vector else False
        records = self._call(self._shard.retrieve, list(ids), True, wanted)
        found = {str(record.id): record for record in records}
        return [_kept(found[key], vector) for key in ids if key in found]

    def ids(self, conditions: Conditions = EVERYTHING) -> Iterator[str]:
        """The ids of the points that satisfy the conditions, in ascending order."""
        wanted = edge_filter(conditions)
        following = None
        while True:
            request = edge.ScrollRequest(following, _SCROLL, wanted, with_payload=False)
            records, following = self._call(self._shard.scroll, request)
            yield from (str(record.id) for record in records)
            if following is None:
                return

    def facet(self, field: str, limit: int, conditions: Conditions = EVERYTHING) -> dict[str, int]:
        """The commonest values of an indexed keyword field, each with its number of points."""
        most = max(limit, FACET_DEPTH)
        request = edge.FacetRequest(field, most, exact=False, filter=edge_filter(conditions))
        answer = self._call(self._shard.facet, request)
        # Values that only deleted points had are still known, with no points.
        found = [(str(hit.value), int(hit.count)) for hit in answer.hits if hit.count]
        return dict(sorted(found, key=lambda one: (-one[1], one[0]))[:limit])

    def ordered(
        self, field: str, limit: int, conditions: Conditions = EVERYTHING, *, descending: bool
    ) -> list[Dated]:
        """The first `limit` points by an indexed datetime field, equal ones in any order."""
        order = edge.OrderBy(field, edge.Direction.Desc if descending else edge.Direction.Asc)
        request = edge.ScrollRequest(
            limit=limit,
            filter=edge_filter(conditions),
            order_by=order,
            with_payload=False,
        )
        records, _ = self._call(self._shard.scroll, request)
        return [(str(record.id), moment_at(record.order_value)) for record in records]

    def count(self, conditions: Conditions = EVERYTHING) -> int:
        """How many points satisfy the conditions, exactly."""
        return int(self._call(self._shard.count, edge.CountRequest(True, edge_filter(conditions))))

    def optimize(self) -> None:
        """Build the graph (HNSW) of an index above some 10 MB of vectors.

        Edge keeps Python's lock until it is done: every thread of this process waits.
        """
        self._check_open()
        self._flushed = False
        self._call(self._shared.optimize)

    def flush(self) -> None:
        """Write what is still in memory to disk."""
        self._check_open()
        self._call(self._shared.flush)
        self._flushed = True

    def close(self) -> None:
        """Release the index; the last one of this process to do so lets other processes in."""
        if not self._closed:
            self._closed = True
            with edge_errors(self._folder, self._spec.collection):
                release_shard(self._shared, seal=self._flushed)

    def _write(self, operation: edge.UpdateOperation) -> None:
        self._check_open()
        self._flushed = False
        self._call(self._shared.write, operation)

    def _point(self, point: Point) -> edge.Point:
        vectors: dict[str, Any] = dict(point.vectors)
        weights = self._words.document(point.text)
        if weights.indices:
            vectors[WORDS] = weights
        return edge.Point(point.id, vectors, dict(point.payload))

    @property
    def _shard(self) -> edge.EdgeShard:
        self._check_open()
        return self._shared.shard

    def _check_open(self) -> None:
        if self._closed:
            raise StoreUnavailable(f"the index in {self._folder} has been closed; open it again")

    def _call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        with edge_errors(self._folder, self._spec.collection), self._shared.in_use():
            try:
                return function(*arguments)
            except BaseException:
                self._check_open()  # another thread may have closed it meanwhile: no damage
                raise


def _asked(
    nearest: edge.Query,
    limit: int,
    wanted: edge.Filter | None,
    correction: Correction | None,
    params: edge.SearchParams | None = None,
) -> dict[str, Any]:
    """What asks for the nearest points, or for the best of more of them by corrected cosine."""
    about: dict[str, Any] = {"query": nearest, "filter": wanted, "params": params}
    if correction is None:
        return about
    of = edge.Expression
    taken_off = of.Mult([of.Constant(-correction.strength), of.Variable(correction.field)])
    formula = edge.Formula(of.Sum([of.Variable("$score"), taken_off]), {correction.field: 0.0})
    return {"query": formula, "prefetches": [edge.Prefetch(limit=max(limit, CORRECTED), **about)]}


def edge_filter(conditions: Conditions) -> edge.Filter | None:
    """The conditions as an Edge filter, None for no conditions."""
    must: list[Any] = [
        edge.FieldCondition(field, match=edge.MatchAny(sorted(values)))
        for field, values in conditions.any_of.items()
    ]
    must += [
        edge.FieldCondition(field, range=_range(period))
        for field, period in conditions.during.items()
    ]
    must += [
        edge.FieldCondition(field, range=edge.RangeFloat(gte=least))
        for field, least in conditions.at_least.items()
    ]
    must += [
        edge.FieldCondition(field, range=edge.RangeFloat(lte=most))
        for field, most in conditions.at_most.items()
    ]
    must += [
        edge.FieldCondition(field, geo_radius=_circle(near))
        for field, near in conditions.near.items()
    ]
    must += [
        edge.FieldCondition(field, match=edge.MatchPhrase(phrase))
        for field, phrases in conditions.phrases.items()
        for phrase in phrases
    ]
    if conditions.either:
        alternatives: list[Any] = [edge_filter(one) for one in conditions.either]
        must.append(edge.Filter(should=alternatives))
    must_not: list[Any] = [
        edge.FieldCondition(field, match=edge.MatchAny(sorted(values)))
        for field, values in conditions.none_of.items()
    ]
    return edge.Filter(must=must, must_not=must_not) if must or must_not else None


def _range(period: Period) -> edge.RangeDateTime:
    return edge.RangeDateTime(gte=_iso(period.start), lte=_iso(period.end))


def _iso(when: datetime | None) -> str | None:
    return None if when is None else when.isoformat()


def _circle(near: Near) -> edge.GeoRadius:
    return edge.GeoRadius(edge.GeoPoint(near.longitude, near.latitude), near.kilometres * 1000)


def _ranked(point: Any) -> Ranked:
    return str(point.id), float(point.score)


def _hit(point: Any, vector: str) -> Hit:
    return replace(_kept(point, vector), score=float(point.score))


def _kept(point: Any, vector: str) -> Hit:
    """A stored point as a hit of score 0."""
    kept = point.vector.get(vector) if vector and point.vector else None
    return Hit(str(point.id), 0.0, point.payload or {}, kept)
