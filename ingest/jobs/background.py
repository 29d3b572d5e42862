"""Ingests in the background of a process that also answers: one after the other, in a thread."""

from __future__ import annotations

import atexit
import logging
import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path, PurePath
from threading import RLock, Thread
from time import monotonic
from typing import Any

from corpus.records import Record
from engine.app import Engine
from engine.collection import CollectionFolder
from engine.errors import Busy, InvalidInput, MragError, StoreUnavailable
from engine.legible import legible
from engine.progress import (
    Cancellation,
    Cancelled,
    OnProgress,
    Progress,
    check_cancelled,
    told_to,
)
from ingest.again import describe_again
from ingest.delete import empty_trash
from ingest.filling import Specs, fill, specs_of_card
from ingest.jobs.archive import (
    Upload,
    beside_table,
    discard_upload,
    keep_upload,
    source_in,
    unpack_upload,
    uploads,
)
from ingest.jobs.learner import Learner
from ingest.jobs.records import Job, JobRecords, SkippedInput, State, new_id
from ingest.jobs.roots import check_links, inside, only_inside
from ingest.pipeline import IngestReport
from ingest.readers import open_source
from ingest.readers.detect import detect
from ingest.reporting import again_json, ingest_json
from ingest.sources import Source
from ingest.survey import sources_to_sync
from ingest.sync import preview, sync, sync_json
from mrag_client.models import IngestOptions, SyncOptions

NOTHING = IngestOptions()
"""All of a source, as it is."""

MOST_WAITING = 20
"""Jobs that may wait behind the one that runs."""

_ITS_SOURCES = "its sources"
PATIENCE_S = 5.0
"""How long a process that ends waits for its job to come to the end of a step."""

_WRITE_EVERY_S = 2.0
_LOG = logging.getLogger(__name__)


class Jobs:
    """The background ingests of an engine; any number of threads may use it.

    Each job is a file under the home, so it is still known after a restart: what ran then is
    `interrupted`, and `resume` goes on from where it was. Graphs are never built here, as that
    stops every thread (see `ingest.push`).
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.learner = Learner(engine)
        self._records = JobRecords(engine.settings.home)
        self._records.sweep()
        empty_trash(engine.settings.home)
        self._owner = secrets.token_hex(4)
        self._alive = self._records.lock(self._owner)
        self._own: dict[str, Job] = {}
        self._lock = RLock()
        self._thread: Thread | None = None
        self._running = Cancellation()
        self._closing = False

    def start(
        self,
        name: str,
        source: Path,
        options: IngestOptions = NOTHING,
        *,
        models: Specs | None = None,
        anywhere: bool = False,
    ) -> Job:
        """Ingest a folder or file of this machine, inside `settings.source_root`.

        `models` are for a collection that is new and has no memory; without them the settings'.
        `anywhere`: who asks owns this machine, so that it may lie outside, by its whole path.
        Raises InvalidInput and SourceError for what may not or cannot be read, CollectionMissing
        for a memory that is not there, Busy when too many jobs wait, StoreUnavailable where the
        job cannot be recorded.
        """
        self._check(name, options)
        place = _whole_path(source) if anywhere else inside(self._root(), source)
        detect(place)
        job = self._new(name, place, options)
        return self._begin(replace(job, models=models, anywhere=anywhere))

    def start_upload(
        self,
        name: str,
        file: Upload,
        filename: str,
        options: IngestOptions = NOTHING,
        *,
        models: Specs | None = None,
    ) -> Job:
        """Ingest an uploaded zip archive; raises as `keep_upload` and `start` do."""
        if options.images:
            raise InvalidInput(
                "a folder of pictures is named beside a zip; put the pictures into the zip"
            )
        self._check(name, options)
        kept = keep_upload(file, filename, name, self._engine.settings)
        called = legible(PurePath(filename).name)
        job = replace(self._new(name, kept, options), name=called, models=models)
        try:
            return self._begin(job)
        except MragError:
            self._discard(job)
            raise

    def start_sync(self, name: str, options: SyncOptions) -> Job:
        """Bring a collection level with its sources, or only look at what that would do.

        Raises CollectionMissing, NothingToSync where no source is known, and else as `start`.
        """
        folder = self._engine.folder(name)
        sources_to_sync(folder)
        job = self._new(name, folder.path, NOTHING)
        return self._begin(replace(job, name=_ITS_SOURCES, sync=options))

    def start_again(self, name: str) -> Job:
        """Describe again what a collection has described otherwise than it would now.

        Raises CollectionMissing where there is none, and as `start` does.
        """
        self._engine.folder(name).read_card()
        job = self._new(name, Path(), NOTHING)
        return self._begin(replace(job, name="its own pictures", again=True))

    def all(self) -> list[Job]:
        """All jobs that are known, the newest first."""
        with self._lock:
            return [self._settled(job) for job in self._records.read()]

    def get(self, key: str) -> Job:
        """The job of that id; raises InvalidInput where there is none."""
        with self._lock:
            job = self._own.get(key) or self._records.get(key)
            if job is None:
                raise InvalidInput(f"there is no job {key!r}; it may have been removed since")
            return self._settled(job)

    def skipped(self, key: str) -> Iterator[SkippedInput]:
        """What a job could not read, and why; that a picture came twice is no failure."""
        return (one for one in self._records.skipped(key) if one.kind != "duplicate")

    def active(self, name: str) -> list[Job]:
        """The jobs of a collection that wait or run."""
        return [job for job in self.all() if job.collection == name and job.is_active]

    def cancel(self, key: str) -> Job:
        """End a job at its next step; what it has done is kept. One that has ended stays so."""
        with self._lock:
            job = self.get(key)
            if job.state == "waiting" and job.owner == self._owner:
                return self._end(job, "cancelled")
            if job.state == "running" and job.owner == self._owner:
                self._running.ask()
                return self._note(replace(job, stopping=True))
            if job.is_active:
                raise InvalidInput("another process works on this job; cancel it there")
            return job

    def resume(self, key: str) -> Job:
        """Run a job again: what has been done before is not done again; raises as `start`."""
        with self._lock:
            job = self.get(key)
            if job.is_active:
                raise InvalidInput("this job has not ended; cancel it first")
            self._check(job.collection, job.options)
            return self._begin(
                replace(
                    job,
                    owner=self._owner,
                    state="waiting",
                    started=datetime.now(UTC),
                    ended=None,
                    message="",
                    error="",
                    skipped=0,
                    result=None,
                )
            )

    def dismiss(self, key: str) -> None:
        """Forget a job that has ended; what it filled stays. Raises InvalidInput for others."""
        with self._lock:
            job = self.get(key)
            if job.is_active:
                raise InvalidInput("this job has not ended; cancel it first")
            self._own.pop(key, None)
            self._records.remove(job)
            self._discard(job)

    def close(self) -> None:
        """End what runs, as `interrupted`, and wait a little for it."""
        self.learner.close()
        with self._lock:
            self._closing = True
            self._running.ask()
            thread = self._thread
            for job in list(self._own.values()):
                if job.state == "waiting":
                    self._end(job, "interrupted")
        if thread is not None:
            thread.join(PATIENCE_S)
        self._alive.release()

    def _check(self, name: str, options: IngestOptions) -> None:
        CollectionFolder(self._engine.settings.home, name)
        for needed in (options.memory, options.alignment):
            if needed:
                self._engine.folder(needed).read_card()

    def _root(self) -> Path:
        root = self._engine.settings.source_root
        if root is None:
            raise InvalidInput(
                "no folder of this machine may be read; name one with MRAG_SOURCE_ROOT, or upload "
                "a zip"
            )
        return root

    def _new(self, name: str, source: Path, options: IngestOptions) -> Job:
        return Job(new_id(), name, source, datetime.now(UTC), self._owner, options=options)

    def _begin(self, job: Job) -> Job:
        with self._lock:
            if self._closing:
                raise Busy("this process is about to end; try again when it has been started anew")
            if sum(one.state == "waiting" for one in self._own.values()) >= MOST_WAITING:
                raise Busy(
                    f"{MOST_WAITING} jobs wait already; cancel one, or try again when some have "
                    "ended"
                )
            if not self._alive.is_locked:
                self._alive.acquire()
                atexit.register(self.close)
            self._records.write(job)
            self._own[job.id] = job
            if self._thread is None:
                # Not waited for when the process ends: `close` stops it between two steps.
                self._thread = Thread(target=self._work, name="ingest-jobs", daemon=True)
                self._thread.start()
            return job

    def _settled(self, job: Job) -> Job:
        """The job as it is now, whatever its record says."""
        if job.id in self._own:
            return self._own[job.id]
        if job.is_active and not self._records.is_alive(job.owner):
            job = replace(job, state="interrupted", stopping=False)
            self._kept(job)
        return job

    def _note(self, job: Job) -> Job:
        self._own[job.id] = job
        self._kept(job)
        return job

    def _kept(self, job: Job) -> bool:
        """Whether its record could be written; a full disk shall not end the thread."""
        try:
            self._records.write(job)
        except StoreUnavailable as error:
            _LOG.warning("%s", error)
            return False
        return True

    def _end(self, job: Job, state: State, **told: Any) -> Job:
        ended = replace(job, state=state, stopping=False, ended=datetime.now(UTC), **told)
        self._own[job.id] = ended
        if self._kept(ended):
            del self._own[job.id]
            for forgotten in self._records.prune():
                self._discard(forgotten)
        return ended

    def _work(self) -> None:
        """Run the jobs that wait, the oldest first, until none is left."""
        while (job := self._next()) is not None:
            try:
                with self._running.watched():
                    done = self._done(job)
            except Cancelled:
                self._close(job, "interrupted" if self._closing else "cancelled")
            except MragError as error:
                self._close(job, "failed", message=str(error), error=type(error).__name__)
            except OSError as error:
                self._close(job, "failed", message=f"{error}; check that the disk has space")
            except Exception as error:
                if self._closing or not _threads_can_start():
                    self._close(job, "interrupted")
                    continue
                _LOG.exception("job %s failed", job.id)
                bug = f"this is a bug: {type(error).__name__}: {error}"
                self._close(job, "failed", message=bug)
            else:
                self._close(job, "done", **done)

    def _next(self) -> Job | None:
        with self._lock:
            waiting = [job for job in self._own.values() if job.state == "waiting"]
            if self._closing or not waiting:
                self._thread = None
                return None
            self._running = Cancellation()
            first = min(waiting, key=lambda job: job.started)
            return self._note(replace(first, state="running"))

    def _close(self, job: Job, state: State, **told: Any) -> None:
        with self._lock:
            if state == "failed" and not self._engine.folder(job.collection).exists():
                self._discard(job)
            self._end(self._own[job.id], state, **told)

    def _discard(self, job: Job) -> None:
        """Remove the upload of a job that is not to be resumed, unless another job needs it.

        Where there is a collection, its pictures may lie in what was unpacked: that stays.
        """
        others = (one for one in self.all() if one.id != job.id)
        needed = any(one.source == job.source and one.may_go_on for one in others)
        if needed or not _is_upload(self._engine, job):
            return
        if self._engine.folder(job.collection).exists():
            job.source.unlink(missing_ok=True)
        else:
            discard_upload(job.source)

    def _done(self, job: Job) -> dict[str, Any]:
        """Run a job; what is told of it."""
        if job.sync is not None:
            return self._synced(job, job.sync)
        if job.again:
            return self._again(job)
        report = self._ingest(job)
        result = ingest_json(job.collection, report)
        return {"message": report.text, "skipped": _failed(report), "result": result}

    def _synced(self, job: Job, options: SyncOptions) -> dict[str, Any]:
        tell, name = self._teller(job.id), job.collection
        check_cancelled()
        with told_to(tell):
            if options.dry_run:
                report = preview(self._engine, name, on_progress=tell)
            else:
                report = sync(self._engine, name, allowed=options.allowed, on_progress=tell)
        if report.done is not None:
            self._records.keep_skipped(job.id, self._engine.folder(name).skipped)
        return {
            "message": report.text,
            "plain": report.plain,
            "skipped": _failed(report.done) if report.done else 0,
            "result": sync_json(name, report),
        }

    def _again(self, job: Job) -> dict[str, Any]:
        """Describe again; what is noted of it."""
        tell = self._teller(job.id)
        tell(Progress("load the models", 0))
        with told_to(tell):
            report = describe_again(self._engine, job.collection, on_progress=tell)
        result = again_json(job.collection, report)
        return {"message": report.text, "skipped": report.described.failed, "result": result}

    def _ingest(self, job: Job) -> IngestReport:
        tell = self._teller(job.id)
        check_cancelled()
        tell(Progress("load the models", 0))
        options = job.options
        models = self._models(job)
        with told_to(tell):
            self._engine.models.encoder(models[0])
            report = fill(
                self._engine,
                self._read(job, tell),
                job.collection,
                models=models,
                memory=options.memory,
                alignment=options.alignment,
                method=options.method,
                source=self._source(job),
                on_progress=tell,
            )
        self._records.keep_skipped(job.id, self._engine.folder(job.collection).skipped)
        return report

    def _models(self, job: Job) -> Specs:
        is_new = not self._engine.folder(job.collection).exists()
        if job.models and is_new and not job.options.memory:
            return job.models
        return specs_of_card(self._engine, job.collection, job.options.memory)

    def _source(self, job: Job) -> Source:
        """The job's source as its collection knows it from now on."""
        options = job.options
        root = Path() if job.anywhere or _is_upload(self._engine, job) else self._root()
        images = options.images
        if images and root != Path():
            images = str(inside(root, Path(images)))
        return Source(
            str(job.source),
            "upload" if _is_upload(self._engine, job) else "place",
            name=job.name,
            images=images,
            splits=options.splits,
            limit=options.limit,
            image_column=options.image_column,
            caption_column=options.caption_column,
            started=options.started,
            root="" if root == Path() else str(root),
        )

    def _read(self, job: Job, tell: OnProgress) -> Iterator[Record]:
        """The records of the job's source, none of which lies outside the folder allowed."""
        images = Path(job.options.images) if job.options.images else None
        if job.anywhere:
            return _opened(job.source, images and _whole_path(images), job.options)
        if _is_upload(self._engine, job):
            root = unpack_upload(job.source, self._engine.settings, on_progress=tell)
            return only_inside(_unpacked(source_in(root), job.options), root)
        root = self._root()
        source = inside(root, job.source)
        images = images and inside(root, images)
        if source.is_dir():
            check_links(root, source)
        return only_inside(_opened(source, images, job.options), root)

    def _teller(self, key: str) -> OnProgress:
        """Notes progress."""
        written = monotonic()

        def tell(progress: Progress) -> None:
            nonlocal written
            with self._lock:
                job = replace(self._own[key], progress=progress)
                self._own[key] = job
                if monotonic() - written > _WRITE_EVERY_S:
                    written = monotonic()
                    self._kept(job)

        return tell


def _whole_path(path: Path) -> Path:
    """A path that means the same in whichever folder this process began."""
    if not path.is_absolute():
        raise InvalidInput(f"{path} is no whole path; name it from the root of this machine")
    return path


def _opened(source: Path, images: Path | None, options: IngestOptions) -> Iterator[Record]:
    return open_source(
        source,
        images=images,
        split=frozenset(options.splits),
        limit=options.limit,
        image_column=options.image_column,
        caption_column=options.caption_column,
        started=options.started,
    )


def _unpacked(source: Path, options: IngestOptions) -> Iterator[Record]:
    """A table's pictures and those beside it, unless only some of the table are wanted."""
    records = _opened(source, None, options)
    everything = source.is_file() and not options.splits and options.limit is None
    return beside_table(source, records) if everything else records


def _failed(report: IngestReport) -> int:
    """How many inputs could not be read; that a picture came twice is no failure."""
    return sum(count for kind, count in report.embed.skipped.items() if kind != "duplicate")


def _is_upload(engine: Engine, job: Job) -> bool:
    return job.source.is_relative_to(uploads(engine.settings.home, job.collection))


def _threads_can_start() -> bool:
    """Whether the process goes on: when it ends none can start any more, even before `close`."""
    try:
        with ThreadPoolExecutor(1) as pool:
            pool.submit(int)
    except RuntimeError:
        return False
    return True
