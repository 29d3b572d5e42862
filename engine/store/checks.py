"""Arguments of the stores, checked once, before any engine sees them."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import numpy as np

from engine.errors import InvalidInput
from engine.types import Vector, Vectors


def checked_ids(ids: Sequence[str]) -> list[str]:
    """The ids, each of which must be a UUID."""
    for value in ids:
        try:
            UUID(value)
        except ValueError:
            raise InvalidInput(
                f"id {value!r} is not a UUID; make ids with caption_id or picture_id"
            ) from None
    return list(ids)


def point_rows(name: str, ids: Sequence[str], vectors: Sequence[Vector], dim: int) -> Vectors:
    """The `name` vectors of points, one row each: (n, dim) float32, finite."""
    for identifier, vector in zip(ids, vectors, strict=True):
        if vector.shape != (dim,):
            raise InvalidInput(
                f"vector {name!r} of point {identifier} has shape {vector.shape}, "
                f"the index holds ({dim},); encode it with the encoder of this collection"
            )
    rows = np.asarray(vectors, dtype=np.float32).reshape(len(ids), dim)
    finite = np.isfinite(rows).all(axis=1)
    if not finite.all():
        raise InvalidInput(
            f"vector {name!r} of point {ids[int(np.argmin(finite))]} has values that are not "
            "finite numbers; leave the point out or encode it again"
        )
    return rows


def query_rows(queries: Vectors, dim: int) -> Vectors:
    """Query vectors, one row each: (q, dim) float32, finite."""
    rows = np.asarray(queries, dtype=np.float32)
    if rows.ndim != 2 or rows.shape[1] != dim:
        raise InvalidInput(
            f"queries have shape {rows.shape}, the index needs (number of queries, {dim}); "
            "encode them with the encoder of this collection"
        )
    finite = np.isfinite(rows).all(axis=1)
    if not finite.all():
        raise InvalidInput(f"query {int(np.argmin(finite))} has values that are not finite numbers")
    return rows


def check_page(k: int, offset: int = 0) -> None:
    """Refuse a page that cannot be."""
    if k < 1:
        raise InvalidInput(f"k is {k}: ask for at least 1 hit")
    if offset < 0:
        raise InvalidInput(f"offset is {offset}: it must be 0 or more")


def check_text(text: str) -> None:
    """Refuse a word search without words."""
    if not text.strip():
        raise InvalidInput("a search for words needs at least one word")
