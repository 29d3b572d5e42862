"""What the stores ask of a vector index, whichever engine keeps it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, Protocol

from engine.types import Filters, Near, Vector, Vectors

WORDS = "bm25"
"""Name of the sparse vector that keeps the words of a point's text."""

HUB = "hub"
"""The payload field that says how near a point is to everything (`engine.alignment.hubs`)."""

INDEXES = ("captions", "images")
"""Names of the indexes of a collection."""

MMR_CANDIDATES = 256
"""Among how many of the nearest hits diversity is sought; those after them come as they are."""


FACET_DEPTH = 5_000
"""So many values of a field are counted exactly without a look at each point.

A part of an index tells its commonest values only, so where a field has more of them the last are
counted too low. Asked to be exact, Edge reads every point: 2 ms for 20,000 of them, not 0.02.
"""

NO_FILTERS = Filters()

FieldKind = Literal["keyword", "datetime", "integer", "location", "text", "number"]
"""What a payload field is indexed as. A text is words with spaces between them, see `phrases`."""


@dataclass(frozen=True)
class IndexSpec:
    """What an index holds, and what its vectors are made with.

    `vectors` are the named dense vectors (cosine, stored as float16), `keywords`, `datetimes`,
    `integers`, `locations`, `texts` and `corrections` (numbers, see `Correction`; points may lack
    them) the payload fields that are indexed, `typical_words` the usual number of words in a text
    (BM25 measures lengths against it), 0 where no words are kept.
    """

    collection: str
    name: str
    encoder_id: str
    dim: int
    vectors: tuple[str, ...]
    keywords: tuple[str, ...]
    datetimes: tuple[str, ...] = ()
    typical_words: float = 0.0
    integers: tuple[str, ...] = ()
    locations: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    corrections: tuple[str, ...] = ()

    @property
    def fields(self) -> dict[str, FieldKind]:
        """The payload fields that are indexed, each with its kind."""
        kinds: dict[FieldKind, tuple[str, ...]] = {
            "keyword": self.keywords,
            "datetime": self.datetimes,
            "integer": self.integers,
            "location": self.locations,
            "text": self.texts,
            "number": self.corrections,
        }
        return {field: kind for kind, fields in kinds.items() for field in fields}


CORRECTED = 1024
"""Among so many of the points nearest by cosine, at least, a correction changes the order.

What lies beyond them has a cosine so much lower that a correction would hardly bring it up. More
cost time: each one's number is read.
"""


@dataclass(frozen=True)
class Correction:
    """What is taken off the cosines of points: `strength` times a number of their payload.

    Points without it keep their cosines.
    """

    field: str
    strength: float


NO_CORRECTIONS: Mapping[str, Correction] = {}


@dataclass(frozen=True)
class Point:
    """A point to write: some or all of the named dense vectors, a payload, a text for BM25."""

    id: str
    vectors: Mapping[str, Sequence[float]]
    payload: Mapping[str, Any]
    text: str = ""


@dataclass(frozen=True)
class Hit:
    """A point that was found, `vector` only if it was asked for."""

    id: str
    score: float
    payload: Mapping[str, Any]
    vector: Sequence[float] | None = None


Ranked = tuple[str, float]
"""The id and the score of a point in a ranking: what is stored of it is read for a page only."""


Dated = tuple[str, datetime]
"""The id of a point, and its moment in UTC; one that says no zone is taken as that."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Period:
    """A span of time with both ends included; None leaves an end open."""

    start: datetime | None
    end: datetime | None


@dataclass(frozen=True)
class Conditions:
    """Conditions on payload fields, all of which must hold; without any, every point passes.

    `any_of` and `none_of` map a field to the values it must or must not have, `at_least` to the
    smallest number that it may hold, `at_most` to the largest, `near` to the circle that it must
    lie in, and `phrases` to words that must stand in it one after the other (see
    `engine.store.phrases`). Of `either`, where there are any, one must hold.
    """

    any_of: Mapping[str, frozenset[str]] = field(default_factory=dict)
    none_of: Mapping[str, frozenset[str]] = field(default_factory=dict)
    during: Mapping[str, Period] = field(default_factory=dict)
    at_least: Mapping[str, int] = field(default_factory=dict)
    either: tuple[Conditions, ...] = ()
    near: Mapping[str, Near] = field(default_factory=dict)
    phrases: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    at_most: Mapping[str, int] = field(default_factory=dict)


EVERYTHING = Conditions()


def alike(
    fields: Mapping[str, Mapping[str, Any]],
) -> list[tuple[list[str], Mapping[str, Any]]]:
    """Ids of points with the payload that is set for all of them, so that it is told once."""
    groups: dict[str, tuple[list[str], Mapping[str, Any]]] = {}
    for key, told in fields.items():
        groups.setdefault(json.dumps(told, sort_keys=True), ([], told))[0].append(key)
    return list(groups.values())


def moment_at(microseconds: float) -> datetime:
    """The moment so long after 1970 began, in UTC, as engines order by it."""
    return _EPOCH + timedelta(microseconds=round(microseconds))


def moment(text: str) -> datetime:
    """The moment that a payload field says; one without a zone is taken as UTC."""
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


class VectorIndex(Protocol):
    """Points with named dense vectors, the words of a text, and a payload.

    Ids are UUIDs. Arguments have been checked by the stores: dimensions agree, numbers are
    finite, limits are positive. Hits come best first. Methods raise StoreUnavailable when
    the engine cannot answer. All of them may be called from several threads at once.
    """

    @property
    def spec(self) -> IndexSpec:
        """What the index holds."""

    def upsert(self, points: Sequence[Point]) -> None:
        """Write points; a point of the same id is replaced whole."""

    def delete(self, ids: Sequence[str]) -> None:
        """Remove points; unknown ids are ignored."""

    def set_payload(self, fields: Mapping[str, Mapping[str, Any]]) -> None:
        """Set payload fields of points that are here, by id; all else of them stays."""

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
        """For each query the points nearest by cosine, with their vector named `vector`.

        With a correction by corrected cosine, among the CORRECTED nearest at least.
        """

    def diverse(
        self,
        name: str,
        query: Vector,
        diversity: float,
        conditions: Conditions = EVERYTHING,
    ) -> list[Ranked]:
        """The MMR_CANDIDATES nearest points, ordered by maximal marginal relevance."""

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
        """The `depth` best points of each ranking.

        The rankings are by cosine, one for each dense query by vector name, and by BM25 where a
        word is left of the text. Those of vectors with a correction are by corrected cosine,
        among the CORRECTED nearest at least. Without `exact` a graph may miss a few points, others
        for another depth.
        """

    def get(self, ids: Sequence[str], *, vector: str = "") -> list[Hit]:
        """The points of these ids in the order given, with their vector named `vector`.

        Their score is 0; unknown ids are left out.
        """

    def ids(self, conditions: Conditions = EVERYTHING) -> Iterator[str]:
        """The ids of the points that satisfy the conditions, in ascending order."""

    def facet(self, field: str, limit: int, conditions: Conditions = EVERYTHING) -> dict[str, int]:
        """The commonest values of an indexed keyword field, each with its number of points.

        Of points that satisfy the conditions; equally common values in their order.
        """

    def ordered(
        self, field: str, limit: int, conditions: Conditions = EVERYTHING, *, descending: bool
    ) -> list[Dated]:
        """The first `limit` points by an indexed datetime field, equal ones in any order.

        Points that have no value there are left out.
        """

    def count(self, conditions: Conditions = EVERYTHING) -> int:
        """How many points satisfy the conditions, exactly."""

    def optimize(self) -> None:
        """Build the graph (HNSW) that makes searches of many points fast."""

    def flush(self) -> None:
        """Write what is still in memory to disk."""

    def close(self) -> None:
        """Release the index; closing twice is allowed."""
