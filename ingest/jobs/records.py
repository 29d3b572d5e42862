"""What is known of background ingests, one JSON file each, so that it outlives the process."""

from __future__ import annotations

import json
import re
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock, Timeout
from pydantic import TypeAdapter

from engine.errors import StoreUnavailable
from engine.files import remove_partials, write_whole
from engine.progress import Progress
from mrag_client.models import IngestOptions, SyncOptions

State = Literal["waiting", "running", "done", "failed", "cancelled", "interrupted"]
ACTIVE: frozenset[State] = frozenset(("waiting", "running"))

KEPT = 50
"""Records of ended jobs that are kept, the newest."""


@dataclass(frozen=True)
class Job:
    """A background ingest.

    `models` are an encoder and a generator for a collection that is new; None: the settings'.
    `name` is what its user calls the source, "" where that is the place's own name. `anywhere`:
    the source need not lie inside the folder allowed, as the owner of this machine named it.
    `owner` is the process that works on it; without that one an active job is `interrupted`.
    `again`: it describes the collection's own pictures again (`ingest.again`), from no source.
    `stopping`: it was cancelled and ends at the next step. `message`: what it did, or why it
    failed, `error` then being the name of that; `result`: the counts of what it did. `skipped`:
    inputs that could not be read, each of which `JobRecords.skipped` names. `sync`: it brings the
    collection level with its sources; `plain` is then what it did without saying where they lie.
    """

    id: str
    collection: str
    source: Path
    started: datetime
    owner: str = ""
    name: str = ""
    options: IngestOptions = field(default_factory=IngestOptions)
    models: tuple[str, str] | None = None
    anywhere: bool = False
    again: bool = False
    state: State = "waiting"
    progress: Progress | None = None
    stopping: bool = False
    ended: datetime | None = None
    message: str = ""
    error: str = ""
    skipped: int = 0
    result: Mapping[str, Any] | None = None
    sync: SyncOptions | None = None
    plain: str = ""

    @property
    def shown(self) -> str:
        """What its source is called."""
        return self.name or self.source.name

    @property
    def is_active(self) -> bool:
        """Whether it waits or runs."""
        return self.state in ACTIVE

    @property
    def may_go_on(self) -> bool:
        """Whether it waits or runs, or was ended halfway by no fault of its source."""
        return self.state not in {"done", "failed"}


@dataclass(frozen=True)
class SkippedInput:
    """An input that an ingest could not read, or left out, and why."""

    uri: str
    kind: str
    reason: str


_JOB = TypeAdapter(Job)
_SKIPPED = TypeAdapter(SkippedInput)
_ID = re.compile(r"[0-9A-Za-z-]{1,64}")


def new_id() -> str:
    """An id that sorts by time."""
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S-%f}-{secrets.token_hex(2)}"


class JobRecords:
    """The records under `home/jobs`."""

    def __init__(self, home: Path) -> None:
        self._folder = home / "jobs"

    def write(self, job: Job) -> None:
        """Keep a record, whole or not at all; raises StoreUnavailable where the disk refuses."""
        try:
            write_whole(self._path(job.id), _JOB.dump_json(job, indent=2) + b"\n")
        except OSError as error:
            raise StoreUnavailable(
                f"the job cannot be recorded in {self._folder}: {error.strerror}; check that the "
                "disk has space, and who may write there"
            ) from error

    def read(self) -> Iterator[Job]:
        """All records, the newest first; what cannot be read is left out."""
        for path in sorted(self._folder.glob("*.json"), reverse=True):
            if job := _read(path):
                yield job

    def get(self, key: str) -> Job | None:
        """The record of that id, None where there is none."""
        return _read(self._path(key)) if _ID.fullmatch(key) else None

    def keep_skipped(self, key: str, written: Path) -> None:
        """Keep what a job skipped: the next ingest into its collection writes its own."""
        with suppress(OSError):  # a full disk costs the list alone; the count is in the record
            shutil.copyfile(written, self._skipped(key))

    def skipped(self, key: str) -> Iterator[SkippedInput]:
        """What a job could not read or left out, one after the other."""
        try:
            lines = self._skipped(key).open(encoding="utf-8")
        except OSError:
            return
        with lines:
            yield from map(_SKIPPED.validate_json, lines)

    def remove(self, job: Job) -> None:
        """Forget a job."""
        path = self._path(job.id)
        path.unlink(missing_ok=True)
        self._skipped(job.id).unlink(missing_ok=True)
        remove_partials(self._folder, of=path.name)

    def prune(self) -> list[Job]:
        """Forget the oldest of the ended jobs, beyond those that are kept; gives these."""
        forgotten = [job for job in self.read() if not job.is_active][KEPT:]
        for job in forgotten:
            self.remove(job)
        return forgotten

    def lock(self, owner: str) -> FileLock:
        """The lock that a process holds as long as it works on its jobs."""
        self._folder.mkdir(parents=True, exist_ok=True)
        return FileLock(self._folder / f"{owner}.lock", timeout=1, thread_local=False)

    def is_alive(self, owner: str) -> bool:
        """Whether the process that works on jobs under this name still runs."""
        path = self._folder / f"{owner}.lock"
        if not path.exists():
            return False
        lock = self.lock(owner)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return True
        lock.release()
        path.unlink(missing_ok=True)
        return False

    def sweep(self) -> None:
        """Remove the locks of processes that were killed."""
        for path in self._folder.glob("*.lock"):
            self.is_alive(path.stem)

    def _path(self, key: str) -> Path:
        return self._folder / f"{key}.json"

    def _skipped(self, key: str) -> Path:
        return self._folder / f"{key}.skipped.jsonl"


def _read(path: Path) -> Job | None:
    try:
        values = json.loads(path.read_bytes())
        if memory := values.get("memory"):  # of a record of an earlier version
            values["options"] = {"memory": memory}
        return _JOB.validate_python(values)
    except (OSError, ValueError, AttributeError):
        return None


def remove_records(home: Path, collection: str) -> None:
    """Forget all jobs of a collection."""
    records = JobRecords(home)
    for job in records.read():
        if job.collection == collection:
            records.remove(job)
