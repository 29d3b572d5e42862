"""The index on a Qdrant server or cluster: qdrant-client, over gRPC."""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any

from qdrant_client import QdrantClient, models

from engine.errors import CollectionMissing, InvalidInput, MragError
from engine.settings import Settings
from engine.store.bm25 import WordEncoder
from engine.store.generations import number_text
from engine.store.interface import (
    EVERYTHING,
    INDEXES,
    MMR_CANDIDATES,
    WORDS,
    Conditions,
    Hit,
    IndexSpec,
    Period,
    Point,
    Ranked,
)
from engine.store.made_with import check_made_with, made_with
from engine.store.server_calls import ServerCalls
from engine.types import Vector, Vectors

PATIENCE_S = 3.0
"""How long a server that cannot be reached is tried again."""

_TIMEOUT_S = 60
_SCROLL = 1000


def connect(settings: Settings) -> QdrantClient:
    """A client of the server that the settings name; an https URL means TLS.

    Makes no call yet. Raises InvalidInput for a URL that is none.
    """
    try:
        return QdrantClient(
            url=settings.qdrant_url,
            grpc_port=settings.qdrant_grpc_port,
            prefer_grpc=True,
            api_key=settings.qdrant_api_key.get_secret_value() or None,
            timeout=_TIMEOUT_S,
            check_compatibility=False,  # it would ask over REST, in a thread that only warns
        )
    except ValueError as error:
        raise InvalidInput(
            f"MRAG_QDRANT_URL is {settings.qdrant_url!r}: {error}; "
            "give it like http://localhost:6333 or https://qdrant.example.org"
        ) from error


def count_collections(settings: Settings) -> int:
    """The number of Qdrant collections on the server; raises StoreUnavailable."""
    client = connect(settings)
    try:
        call = ServerCalls(_address(client), "", PATIENCE_S)
        return len(call(client.get_collections).collections)
    finally:
        client.close()


def drop_collections(
    settings: Settings, collection: str, numbers: Container[int] | None = None
) -> None:
    """Remove generations of a collection of ours from the server, by default all that is its.

    Raises StoreUnavailable.
    """
    client = connect(settings)
    try:
        call = ServerCalls(_address(client), collection, PATIENCE_S)
        for name, number in _kept_of(client, call, collection).items():
            if numbers is None or number in numbers:
                call(partial(client.delete_collection, name))
    finally:
        client.close()


def numbers_on_server(settings: Settings, collection: str) -> set[int]:
    """The generations that the server has something of; raises StoreUnavailable."""
    client = connect(settings)
    try:
        call = ServerCalls(_address(client), collection, PATIENCE_S)
        return {number for number in _kept_of(client, call, collection).values() if number}
    finally:
        client.close()


def point_aliases(settings: Settings, collection: str, number: int) -> None:
    """Let the names without a number, for readers other than ours, mean a generation: all at once.

    Collections of these names, from before there were generations, go for it. Raises
    StoreUnavailable.
    """
    client = connect(settings)
    try:
        call = ServerCalls(_address(client), collection, PATIENCE_S)
        for name, kept in _kept_of(client, call, collection).items():
            if not kept:
                call(partial(client.delete_collection, name))
        aliases = [
            models.CreateAliasOperation(
                create_alias=models.CreateAlias(
                    collection_name=_name_of(collection, index, number),
                    alias_name=_alias_of(collection, index),
                )
            )
            for index in INDEXES
        ]
        call(partial(client.update_collection_aliases, aliases))
    finally:
        client.close()


def _kept_of(client: QdrantClient, call: ServerCalls, collection: str) -> dict[str, int]:
    """What the server has of a collection of ours: name -> generation, 0 for none."""
    names = "|".join(map(re.escape, (_alias_of(collection, index) for index in INDEXES)))
    ours = re.compile(rf"(?:{names})(?:-(\d{{6,}}))?")
    found = (ours.fullmatch(one.name) for one in call(client.get_collections).collections)
    return {match[0]: int(match[1] or 0) for match in found if match}


class ServerIndex:
    """A VectorIndex in the server's collection `mrag-<collection>-<name>-<generation>`.

    Takes over the client: closing the index closes it. Writes are acknowledged when they are
    durable; the server builds its graphs by itself.
    """

    def __init__(
        self,
        client: QdrantClient,
        spec: IndexSpec,
        number: int,
        *,
        create: bool = False,
        patience_s: float = PATIENCE_S,
    ) -> None:
        """Open the index of a generation, or make it if there is none and `create` is True.

        Raises CollectionMissing, IncompatibleIndex or StoreUnavailable.
        """
        self._client = client
        self._spec = spec
        self._name = _name_of(spec.collection, spec.name, number)
        self._words = WordEncoder(spec.typical_words)
        self._call = ServerCalls(_address(client), spec.collection, patience_s)
        try:
            self._open(create)
        except MragError:
            client.close()
            raise

    @property
    def spec(self) -> IndexSpec:
        """What the index holds."""
        return self._spec

    def upsert(self, points: Sequence[Point]) -> None:
        """Write points; a point of the same id is replaced whole."""
        stored = [self._point(point) for point in points]
        if stored:  # a server refuses an empty list
            self._call(lambda: self._client.upsert(self._name, stored, wait=True))

    def delete(self, ids: Sequence[str]) -> None:
        """Remove points; unknown ids are ignored."""
        chosen = models.PointIdsList(points=list(ids))
        if ids:  # a server refuses an empty list
            self._call(lambda: self._client.delete(self._name, chosen, wait=True))

    def nearest(
        self,
        name: str,
        queries: Vectors,
        limit: int,
        conditions: Conditions = EVERYTHING,
        *,
        vector: str = "",
    ) -> list[list[Hit]]:
        """For each query the points nearest by cosine, with their vector named `vector`."""
        wanted = server_filter(conditions)
        requests = [
            models.QueryRequest(
                query=query,
                using=name,
                limit=limit,
                filter=wanted,
                with_payload=True,
                with_vector=[vector] if vector else False,
            )
            for query in queries.tolist()
        ]
        answers = self._call(lambda: self._client.query_batch_points(self._name, requests))
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
                query=part,
                using=name,
                limit=depth,
                filter=wanted,
                params=params,
                with_payload=False,
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
            lambda: self._client.retrieve(self._name, list(ids), with_vectors=wanted)
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

    def facet(self, field: str, limit: int) -> dict[str, int]:
        """The commonest values of an indexed keyword field, each with its number of points."""
        answer = self._call(lambda: self._client.facet(self._name, field, limit=limit, exact=True))
        return {str(hit.value): hit.count for hit in answer.hits}

    def bounds(self, field: str) -> Period:
        """The earliest and the latest value of an indexed datetime field; open without any."""
        return Period(
            self._first(field, models.Direction.ASC), self._first(field, models.Direction.DESC)
        )

    def count(self, conditions: Conditions = EVERYTHING) -> int:
        """How many points satisfy the conditions, exactly."""
        wanted = server_filter(conditions)
        return self._call(lambda: self._client.count(self._name, wanted, exact=True)).count

    def optimize(self) -> None:
        """Nothing to do: the server builds its graphs by itself."""

    def flush(self) -> None:
        """Nothing to do: the server has acknowledged every write as durable."""

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def _open(self, create: bool) -> None:
        exists = self._call(lambda: self._client.collection_exists(self._name))
        if not exists and not create:
            raise CollectionMissing(
                f"the Qdrant server at {_address(self._client)} has no collection {self._name}; "
                f"write it with: mrag push {self._spec.collection}"
            )
        if not exists:
            self._make()
        info = self._call(lambda: self._client.get_collection(self._name))
        check_made_with(info.config.metadata, self._spec, f"the server's collection {self._name}")
        if create:
            self._index_fields(set(info.payload_schema))

    def _make(self) -> None:
        try:
            self._call(self._create_collection)
        except (MragError, ValueError):
            # Another process may have made it just now; its metadata is checked next.
            if not self._call(lambda: self._client.collection_exists(self._name)):
                raise

    def _create_collection(self) -> None:
        params = models.VectorParams(
            size=self._spec.dim,
            distance=models.Distance.COSINE,
            datatype=models.Datatype.FLOAT16,
        )
        words = models.SparseVectorParams(modifier=models.Modifier.IDF)
        self._client.create_collection(
            self._name,
            vectors_config=dict.fromkeys(self._spec.vectors, params),
            sparse_vectors_config={WORDS: words} if self._spec.typical_words else None,
            metadata=made_with(self._spec),
        )

    def _index_fields(self, present: set[str]) -> None:
        schemas = dict.fromkeys(self._spec.keywords, models.PayloadSchemaType.KEYWORD)
        schemas |= dict.fromkeys(self._spec.datetimes, models.PayloadSchemaType.DATETIME)
        for field in schemas.keys() - present:
            self._call(partial(self._index_field, field, schemas[field]))

    def _index_field(self, field: str, schema: models.PayloadSchemaType) -> None:
        self._client.create_payload_index(self._name, field, schema, wait=True)

    def _scroll(self, wanted: models.Filter | None, start: Any) -> tuple[list[models.Record], Any]:
        return self._client.scroll(
            self._name, wanted, limit=_SCROLL, offset=start, with_payload=False
        )

    def _first(self, field: str, direction: models.Direction) -> datetime | None:
        order = models.OrderBy(key=field, direction=direction)
        records, _ = self._call(
            lambda: self._client.scroll(self._name, limit=1, order_by=order, with_payload=True)
        )
        return datetime.fromisoformat((records[0].payload or {})[field]) if records else None

    def _ranked(self, requests: list[models.QueryRequest]) -> list[list[Ranked]]:
        answers = self._call(lambda: self._client.query_batch_points(self._name, requests))
        return [[(str(point.id), point.score) for point in one.points] for one in answers]

    def _point(self, point: Point) -> models.PointStruct:
        vectors: dict[str, Any] = dict(point.vectors)
        weights = self._words.document(point.text)
        if weights.indices:
            vectors[WORDS] = _sparse(weights)
        return models.PointStruct(id=point.id, vector=vectors, payload=dict(point.payload))


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
    if conditions.either:
        must.append(models.Filter(should=[server_filter(one) for one in conditions.either]))
    must_not = [_any_of(field, values) for field, values in conditions.none_of.items()]
    return models.Filter(must=must, must_not=must_not) if must or must_not else None


def _any_of(field: str, values: frozenset[str]) -> models.FieldCondition:
    return models.FieldCondition(key=field, match=models.MatchAny(any=sorted(values)))


def _sparse(weights: Any) -> models.SparseVector:
    return models.SparseVector(indices=weights.indices, values=weights.values)


def _hit(point: models.ScoredPoint, vector: str) -> Hit:
    return replace(_kept(point, vector), score=point.score)


def _kept(point: models.ScoredPoint | models.Record, vector: str) -> Hit:
    """A stored point as a hit of score 0."""
    kept: Any = point.vector.get(vector) if isinstance(point.vector, dict) else None
    return Hit(str(point.id), 0.0, point.payload or {}, kept)


def _alias_of(collection: str, index: str) -> str:
    return f"mrag-{collection}-{index}"


def _name_of(collection: str, index: str, number: int) -> str:
    return f"{_alias_of(collection, index)}-{number_text(number)}"


def _address(client: QdrantClient) -> str:
    return str(client.init_options.get("url") or client.init_options.get("location"))
