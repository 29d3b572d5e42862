"""Answers that are lists, each under a name, so that they can grow."""

from __future__ import annotations

from pydantic import BaseModel

from mrag_client.models import (
    CollectionAnswer,
    ComparisonAnswer,
    Description,
    Failure,
    JobAnswer,
    SearchAnswer,
)


class Captions(BaseModel):
    """A description or a failure for each picture: files in their order, then ids in theirs."""

    results: list[Description | Failure]


class Searches(BaseModel):
    """An answer for each space that was asked for, in that order."""

    results: list[SearchAnswer]


class Comparisons(BaseModel):
    """A comparison or a failure for each picture: files in their order, then ids in theirs."""

    results: list[ComparisonAnswer | Failure]


class Collections(BaseModel):
    """All collections, by name."""

    collections: list[CollectionAnswer]


class Jobs(BaseModel):
    """All ingests that are known, the newest first."""

    jobs: list[JobAnswer]


class Health(BaseModel):
    """That the server answers."""

    status: str = "ok"
