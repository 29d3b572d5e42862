"""The index on a Qdrant server or cluster: qdrant-client, over gRPC."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from qdrant_client import QdrantClient, models

from engine.errors import CollectionMissing, MragError
from engine.settings import Settings
from engine.store.bm25 import WordEncoder
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
    FieldKind,
    Hit,
    IndexSpec,
    Point,
    Ranked,
    alike,
    moment_at,
)
from engine.store.made_with import check_made_with
from engine.store.server_calls import ServerCalls
from engine.store.server_collections import fan_out, make_collection, name_of
from engine.types import Near, Vector, Vectors

_SCROLL = 1000

_SCHEMAS: dict[FieldKind, Any] = {
    "keyword": models.PayloadSchemaType.KEYWORD,
    "datetime": models.PayloadSchemaType.DATETIME,
    "integer": models.PayloadSchemaType.INTEGER,
    "location": models.PayloadSchemaType.GEO,
    "number": models.PayloadSchemaType.FLOAT,
    "text": models.TextIndexParams(
        type=models.TextIndexType.TEXT,
        tokenizer=models.TokenizerType.WHITESPACE,
        lowercase=False,
        phrase_matching=True,
    ),
}


class ServerIndex:
    """A VectorIndex in the server's collection `mrag-<collection>-<name>-<generation>`.

    Takes over the connections: closing the index closes them. Writes are acknowledged when they
    are durable; the server builds its graphs by itself.
    """

    def __init__(
        self,
        call: ServerCalls,
        spec: IndexSpec,
        number: int,
        settings: Settings,
        *,
        create: bool = False,
    ) -> None:
        """Open the index of a generation, or make it if there is none and `create` is True.

        The settings say how it is spread over a cluster.

        Raises CollectionMissing, IncompatibleIndex or StoreUnavailable.
        """
        self._spec = spec
        self._settings = settings
        self._name = name_of(spec.collection, spec.name, number)
        self._words = WordEncoder(spec.typical_words)
        self._call = call
        try:
            self._open(create)
        except MragError:
            call.close()
            raise

    @property
    def spec(self) -> IndexSpec:
        """What the index holds."""
        return self._spec

    def upsert(self, points: Sequence[Point]) -> None:
        """Write points; a point of the same id is replaced whole."""
        stored = [self._point(point) for point in points]
        if stored:  # a server refuses an empty list
            self._call(lambda client: client.upsert(self._name, stored, wait=True))

    def delete(self, ids: Sequence[str]) -> None:
        """Remove points; unknown ids are ignored."""
        chosen = models.PointIdsList(points=list(ids))
        if ids:  # a server refuses an empty list
            self._call(lambda client: client.delete(self._name, chosen, wait=True))

    def set_payload(self, fields: Mapping[str, Mapping[str, Any]]) -> None:
        """Set payload fields of points that are here, by id; all else of them stays."""
        operations: list[Any] = [
            models.SetPayloadOperation(
                set_payload=models.SetPayload(payload=dict(told), points=list(ids))
            )
            for ids, told in alike(fields)
        ]
        if operations:  # a server refuses an empty list
            self._call(lambda client: client.batch_update_points(self._name, operations, wait=True))

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
        wanted = server_filter(conditions)
        requests = [
            models.QueryRequest(
                limit=limit,
                with_payload=True,
                with_vector=[vector] if vector else False,
                **_asked(query, name, limit, wanted, correction),
            )
            for query in queries.tolist()
        ]
        answers = self._call(lambda client: client.query_batch_points(self._name, requests))
        return [[_hit(point, vector) for point in answer.points] for answer in answers]

    def diverse(
        self,
        name: str,
        query: Vector,
        diversity: float,
        conditions: Conditions = EVERYTHING,
    ) -> list[Ranked]:
        """The MMR_CANDIDATES nearest points, ordered by maximal marginal relevance."""
        mmr = models.Mmr(diversity=diversity, candidates_limit=MMR_CANDIDATES)
        # All of them and no offset: with one a server finds nothing.
        request = models.QueryRequest(
            query=models.NearestQuery(nearest=query.tolist(), mmr=mmr),
            using=name,
            limit=MMR_CANDIDATES,
            filter=server_filter(conditions),
            with_payload=False,
        )
        return self._ranked([request])[0]

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
            parts[WORDS] = _sparse(weights)
        wanted, params = (
            server_filter(conditions),
            models.SearchParams(exact=True) if exact else None,
        )
        requests = [
            models.QueryRequest(
                limit=depth,
                with_payload=False,
                **_asked(part, name, depth, wanted, corrections.get(name), params),
            )
            for name, part in parts.items()
        ]
        return self._ranked(requests) if requests else []

    def get(self, ids: Sequence[str], *, vector: str = "") -> list[Hit]:
        """The points of these ids in the order given, with their vector named `vector`.

        Their score is 0; unknown ids are left out.
        """
        wanted = [vector] if vector else False
        records = self._call(
            lambda client: client.retrieve(self._name, list(ids), with_vectors=wanted)
        )
        found = {str(record.id): record for record in records}
        return [_kept(found[key], vector) for key in ids if key in found]

    def ids(self, conditions: Conditions = EVERYTHING) -> Iterator[str]:
        """The ids of the points that satisfy the conditions, in ascending order."""
        wanted = server_filter(conditions)
        following: Any = None
        while True:
            records, following = self._call(partial(self._scroll, wanted, following))
            yield from (str(record.id) for record in records)
            if following is None:
                return

    def facet(self, field: str, limit: int, conditions: Conditions = EVERYTHING) -> dict[str, int]:
        """The commonest values of an indexed keyword field, each with its number of points."""
        wanted = server_filter(conditions)
        answer = self._call(
            lambda client: client.facet(self._name, field, wanted, limit=max(limit, FACET_DEPTH))
        )
        found = [(str(hit.value), hit.count) for hit in answer.hits]
        return dict(sorted(found, key=lambda one: (-one[1], one[0]))[:limit])

    def ordered(
        self, field: str, limit: int, conditions: Conditions = EVERYTHING, *, descending: bool
    ) -> list[Dated]:
        """The first `limit` points by an indexed datetime field, equal ones in any order."""
        direction = models.Direction.DESC if descending else models.Direction.ASC
        order, wanted = models.OrderBy(key=field, direction=direction), server_filter(conditions)
        records, _ = self._call(
            lambda client: client.scroll(
                self._name, wanted, limit=limit, order_by=order, with_payload=False
            )
        )
        return [(str(record.id), moment_at(record.order_value or 0)) for record in records]

    def count(self, conditions: Conditions = EVERYTHING) -> int:
        """How many points satisfy the conditions, exactly."""
        wanted = server_filter(conditions)
        return self._call(lambda client: client.count(self._name, wanted, exact=True)).count

    def optimize(self) -> None:
        """Nothing to do: the server builds its graphs by itself."""

    def flush(self) -> None:
        """Nothing to do: the server has acknowledged every write as durable."""

    def close(self) -> None:
        """Close the connections."""
        self._call.close()

    def _open(self, create: bool) -> None:
        exists = self._call(lambda client: client.collection_exists(self._name))
        if not exists and not create:
            raise CollectionMissing(
                f"the Qdrant server at {self._call.server} has no collection {self._name}; "
                f"write it with: mrag push {self._spec.collection}"
            )
        if not exists:
            self._make()
            if self._settings.qdrant_read_fan_out:
                fan_out(self._call, self._name, self._settings.qdrant_read_fan_out)
        info = self._call(lambda client: client.get_collection(self._name))
        check_made_with(info.config.metadata, self._spec, f"the server's collection {self._name}")
        if create:
            self._index_fields(set(info.payload_schema))

    def _make(self) -> None:
        try:
            make_collection(self._call, self._name, self._spec, self._settings)
        except (MragError, ValueError):
            # Another process may have made it just now; its metadata is checked next.
            if not self._call(lambda client: client.collection_exists(self._name)):
                raise

    def _index_fields(self, present: set[str]) -> None:
        for field, kind in self._spec.fields.items():
            if field not in present:
                self._call(partial(self._index_field, field, _SCHEMAS[kind]))

    def _index_field(self, field: str, schema: Any, client: QdrantClient) -> None:
        client.create_payload_index(self._name, field, schema, wait=True)

    def _scroll(
        self, wanted: models.Filter | None, start: Any, client: QdrantClient
    ) -> tuple[list[models.Record], Any]:
        return client.scroll(self._name, wanted, limit=_SCROLL, offset=start, with_payload=False)

    def _ranked(self, requests: list[models.QueryRequest]) -> list[list[Ranked]]:
        answers = self._call(lambda client: client.query_batch_points(self._name, requests))
        return [[(str(point.id), point.score) for point in one.points] for one in answers]

    def _point(self, point: Point) -> models.PointStruct:
        vectors: dict[str, Any] = dict(point.vectors)
        weights = self._words.document(point.text)
        if weights.indices:
            vectors[WORDS] = _sparse(weights)
        return models.PointStruct(id=point.id, vector=vectors, payload=dict(point.payload))


def _asked(
    query: Any,
    name: str,
    limit: int,
    wanted: models.Filter | None,
    correction: Correction | None,
    params: models.SearchParams | None = None,
) -> dict[str, Any]:
    """What asks for the nearest points, or for the best of more of them by corrected cosine."""
    about: dict[str, Any] = {"query": query, "using": name, "filter": wanted, "params": params}
    if correction is None:
        return about
    taken_off = models.MultExpression(mult=[-correction.strength, correction.field])
    formula = models.SumExpression(sum=["$score", taken_off])
    return {
        "query": models.FormulaQuery(formula=formula, defaults={correction.field: 0.0}),
        "prefetch": models.Prefetch(limit=max(limit, CORRECTED), **about),
    }


def server_filter(conditions: Conditions) -> models.Filter | None:
    """The conditions as a server's filter, None for no conditions."""
    must: list[Any] = [_any_of(field, values) for field, values in conditions.any_of.items()]
    must += [
        models.FieldCondition(
            key=field, range=models.DatetimeRange(gte=period.start, lte=period.end)
        )
        for field, period in conditions.during.items()
    ]
    must += [
        models.FieldCondition(key=field, range=models.Range(gte=least))
        for field, least in conditions.at_least.items()
    ]
    must += [
        models.FieldCondition(key=field, range=models.Range(lte=most))
        for field, most in conditions.at_most.items()
    ]
    must += [
        models.FieldCondition(key=field, geo_radius=_circle(near))
        for field, near in conditions.near.items()
    ]
    must += [
        models.FieldCondition(key=field, match=models.MatchPhrase(phrase=phrase))
        for field, phrases in conditions.phrases.items()
        for phrase in phrases
    ]
    if conditions.either:
        must.append(models.Filter(should=[server_filter(one) for one in conditions.either]))
    must_not = [_any_of(field, values) for field, values in conditions.none_of.items()]
    return models.Filter(must=must, must_not=must_not) if must or must_not else None


def _any_of(field: str, values: frozenset[str]) -> models.FieldCondition:
    return models.FieldCondition(key=field, match=models.MatchAny(any=sorted(values)))


def _circle(near: Near) -> models.GeoRadius:
    centre = models.GeoPoint(lat=near.latitude, lon=near.longitude)
    return models.GeoRadius(center=centre, radius=near.kilometres * 1000)


def _sparse(weights: Any) -> models.SparseVector:
    return models.SparseVector(indices=weights.indices, values=weights.values)


def _hit(point: models.ScoredPoint, vector: str) -> Hit:
    return replace(_kept(point, vector), score=point.score)


def _kept(point: models.ScoredPoint | models.Record, vector: str) -> Hit:
    """A stored point as a hit of score 0."""
    kept: Any = point.vector.get(vector) if isinstance(point.vector, dict) else None
    return Hit(str(point.id), 0.0, point.payload or {}, kept)
