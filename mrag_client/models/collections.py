"""Collections, their sources, and the jobs that fill them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from mrag_client.models.base import MANY, Answered, Asked

MapMethod = Literal["auto", "raw", "centred", "shrink", "ridge", "procrustes", "ols"]

JobState = Literal["waiting", "running", "done", "failed", "cancelled", "interrupted"]


class Round(Answered):
    """A refinement round that stands."""

    round: int
    added: int
    metric: str
    after: float


class SourceAnswer(Answered):
    """A source of a collection; `path` and `images` are empty for those who may not know them.

    `can_sync`: it is a place of the server's machine, which may change and can be read again.
    """

    name: str
    can_sync: bool
    path: str = ""
    images: str = ""
    splits: tuple[str, ...] = ()
    limit: int | None = None


class CollectionAnswer(Answered):
    """A collection at a glance; counts are null where there is no index yet.

    `trouble` says so with the remedy; `waiting` what waits to be pushed, and how.
    `path` is empty for those who may not know it. `sources`: where it came from, as far as known.
    """

    collection: str
    images: int | None
    captions: int | None
    method: str
    encoder: str
    dim: int
    generator: str
    memory: str
    path: str
    rounds: tuple[Round, ...] = ()
    trouble: str = ""
    waiting: str = ""
    sources: tuple[SourceAnswer, ...] = ()

    @property
    def broken(self) -> bool:
        """Whether its card cannot be read, so that `trouble` is all there is to tell."""
        return not self.encoder


class IngestOptions(Asked):
    """What of a source is taken, and how a collection is filled with it."""

    memory: Annotated[
        str, Field(max_length=63, description="Collection whose captions describe the pictures.")
    ] = ""
    alignment: Annotated[str, Field(max_length=63, description="Collection whose map is used.")] = (
        ""
    )
    method: MapMethod = "auto"
    images: Annotated[str, Field(max_length=4096, description="Folder of a file's pictures.")] = ""
    splits: tuple[str, ...] = ()
    limit: Annotated[int | None, Field(ge=1, le=MANY)] = None
    image_column: Annotated[str, Field(max_length=200)] = ""
    caption_column: Annotated[str, Field(max_length=200)] = ""
    started: Annotated[
        str,
        Field(max_length=40, description="When a video began, as 2024-05-01T09:00; else it says."),
    ] = ""


class SyncOptions(Asked):
    """How a collection is brought level with its sources."""

    allowed: Annotated[
        Literal["little", "rest", "all"],
        Field(
            description="What may leave. little: where more than a tenth would, nothing is done; "
            "rest: all is done but that; all: whatever is in no source any more."
        ),
    ] = "little"
    dry_run: Annotated[bool, Field(description="Only say what would be done.")] = False


class JobProgress(Answered):
    """Where a job stands; `total` is null where it is not known."""

    stage: str
    done: int
    total: int | None = None
    share: float = 0.0
    amount: str = ""


class JobAnswer(Answered):
    """A background ingest; `source` is its name, or its place to those who may know it.

    `message`: what it did, or why it failed; `error`: the name of the error that ended it, as in
    `Problem.type`. `skipped`: inputs that could not be read.
    `result`: once it is done, the counts that `mrag ingest --json` prints, or `mrag sync --json`
    where its `kind` is that.
    """

    id: str
    collection: str
    source: str
    state: JobState
    started: datetime
    ended: datetime | None = None
    progress: JobProgress | None = None
    stopping: bool = False
    message: str = ""
    error: str = ""
    skipped: int = 0
    result: Mapping[str, object] | None = None
    kind: Literal["ingest", "sync", "description"] = "ingest"
