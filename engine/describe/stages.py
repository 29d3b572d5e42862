"""The stages between a picture and the captions that it is described from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
from PIL.Image import Image

from engine.alignment.alignment import GapMap
from engine.describe.reranking import diverse
from engine.describe.retriever import Retriever
from engine.errors import CollectionMissing
from engine.evidence.pieces import Piece
from engine.identity import UNKNOWN, PictureIdentity
from engine.stages.protocols import Found, Refiner
from engine.timing import Stopwatch
from engine.types import CaptionHit, DescribeSpace, Vector, Vectors

Borrowed = TypeVar("Borrowed", bound=Piece)


@dataclass(frozen=True, eq=False)
class Seen:
    """A picture that is described: its unit vectors, raw and mapped, and itself where it is there.

    `own` says which picture it is where its own captions are not to be borrowed.
    """

    raw: Vector
    mapped: Vector
    own: PictureIdentity | None = None
    image: Image | None = field(default=None, repr=False)


class Nearest:
    """Finds the captions nearest to pictures, in one space or in both."""

    def __init__(
        self,
        retriever: Retriever,
        space: DescribeSpace,
        count: int,
        per_image: int,
        watch: Stopwatch,
    ) -> None:
        self.name = f"retrieve: {space}"
        self._retriever, self._watch = retriever, watch
        self._space: DescribeSpace = space
        self._count, self._per_image = count, per_image

    def retrieve(self, asked: Sequence[Seen]) -> list[Found[CaptionHit]]:
        """Raises CollectionMissing where one picture finds none."""
        with self._watch.stage("retrieve"):
            found = self._found(asked)
        if not all(found):
            own = any(one.own is not None for one in asked)
            raise CollectionMissing(_nothing_to_borrow(own=own))
        return [Found(tuple(hits)) for hits in found]

    def _found(self, asked: Sequence[Seen]) -> list[list[CaptionHit]]:
        own = [one.own or UNKNOWN for one in asked]
        exclude = own if any(one.own is not None for one in asked) else None
        raw, find = np.stack([one.raw for one in asked]), self._retriever
        count, per_image = self._count, self._per_image
        if self._space == "fused":
            return find.nearest_fused(raw, count, per_image=per_image, exclude=exclude)
        queries = raw if self._space == "raw" else np.stack([one.mapped for one in asked])
        return find.nearest(queries, self._space, count, per_image=per_image, exclude=exclude)


class Diverse:
    """Keeps k captions that are near and differ from each other (MMR)."""

    name = "refine: diversity"

    def __init__(self, alignment: GapMap, k: int, diversity: float) -> None:
        self._alignment = alignment
        self._k, self._diversity = k, diversity

    def refine(
        self, asked: Sequence[Seen], found: Sequence[Found[CaptionHit]]
    ) -> list[Found[CaptionHit]]:
        """Of each picture's captions those that are kept, the nearest first."""
        del asked
        return [Found(self._kept(one.items)) for one in found]

    def _kept(self, hits: tuple[CaptionHit, ...]) -> tuple[CaptionHit, ...]:
        if not hits:
            return hits
        rows = self._alignment.map_texts(vectors_of(hits))
        scores = np.array([hit.score for hit in hits])
        return tuple(hits[i] for i in diverse(scores, rows, self._k, self._diversity))


class First:
    """Keeps the first captions of those that were taken for others to be left out."""

    def __init__(self, k: int) -> None:
        self.name = f"refine: the first {k}"
        self._k = k

    def refine(
        self, asked: Sequence[Seen], found: Sequence[Found[CaptionHit]]
    ) -> list[Found[CaptionHit]]:
        """Of each picture's captions the first."""
        del asked
        return [Found(one.items[: self._k]) for one in found]


class Timed:
    """A refiner whose time a watch is told as "refine"."""

    def __init__(self, refiner: Refiner[Seen, CaptionHit], watch: Stopwatch) -> None:
        self.name = refiner.name
        self._refiner, self._watch = refiner, watch

    def refine(
        self, asked: Sequence[Seen], found: Sequence[Found[CaptionHit]]
    ) -> list[Found[CaptionHit]]:
        """What the refiner leaves."""
        with self._watch.stage("refine"):
            return self._refiner.refine(asked, found)


def vectors_of(hits: Sequence[Borrowed]) -> Vectors:
    """The raw vectors of hits, which a retriever gives with each."""
    return np.stack([hit.vector for hit in hits if hit.vector is not None])


def _nothing_to_borrow(*, own: bool) -> str:
    return (
        f"there are no captions{' of other pictures' if own else ''} to describe from; "
        "ingest a file of captions into the collection, or make a memory (mrag memory "
        "coco) and ingest the pictures again with --memory coco"
        + ("; or let the picture's own be borrowed (--own)" if own else "")
    )
