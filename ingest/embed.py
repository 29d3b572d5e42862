"""Embeds what a source holds into shards on disk, each thing once, whenever it is interrupted."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from hashlib import blake2b
from operator import length_hint
from pathlib import Path
from time import monotonic

from corpus.ledger import Known, Ledger, about_key, captions_key
from corpus.lock import writing
from corpus.records import CaptionRecord, ImageRecord, Record, Skipped, WholeFolder
from corpus.shards import Entry, Halves, ShardReader
from engine.collection import CollectionFolder
from engine.images import DEFAULT_LIMITS, Limits, Picture, open_picture
from engine.progress import OnProgress, Progress, check_cancelled, silent
from engine.types import Encoder
from ingest.building import Item, ShardBuilder
from ingest.decoding import Opened, opened_in_order
from ingest.skips import Kind, SkipLog

_EVERY_SECONDS = 0.1


@dataclass(frozen=True)
class EmbedReport:
    """What came of a source.

    `read` records: pictures and captions that stand alone. Of the pictures, `embedded` were
    encoded, `reused` kept their vector though their file moved or what is said of them changed,
    `unchanged` were left alone (captions that stand alone too). `removed` are known pictures
    that were withdrawn, because their file is gone or holds a copy now. `captions` were encoded.
    `skipped` counts by kind (see `ingest.skips`), with a few `examples`.
    """

    read: int
    embedded: int
    reused: int
    unchanged: int
    removed: int
    captions: int
    skipped: Mapping[str, int]
    examples: tuple[Skipped, ...]
    seconds: float

    @property
    def rate(self) -> float:
        """Records a second."""
        return self.read / self.seconds if self.seconds else 0.0


def embed(
    records: Iterable[Record],
    encoder: Encoder,
    folder: CollectionFolder,
    *,
    limits: Limits = DEFAULT_LIMITS,
    batch_size: int = 32,
    workers: int = 2,
    shard_size: int = 1024,
    on_progress: OnProgress = silent,
) -> EmbedReport:
    """Encode what is new or changed and write it to shards of about `shard_size` pictures.

    Files whose size and time have not changed are not read again, content that is known is
    not encoded again. After a WholeFolder the pictures whose files are gone from that folder
    are withdrawn, except from folders that are there but empty: a disk may not be mounted.
    Killed at any moment and run again, it repeats at most one shard. What
    cannot be read is skipped and written to `folder.skipped`; a failing encoder raises, and
    what was committed before stays. Raises StoreUnavailable while another process writes.
    """
    with writing(folder), Ledger.open(folder) as ledger, SkipLog(folder.skipped) as skips:
        run = _Run(encoder, folder, ledger, skips, limits, batch_size, shard_size)
        run.total = length_hint(records) or None
        run.on_progress = on_progress
        return run.all(records, workers, batch_size)


@dataclass(frozen=True)
class _Job:
    """A picture to look at: its record, under the id that it has here, and its file."""

    record: ImageRecord
    size: int
    mtime_ns: int

    @property
    def path(self) -> Path:
        return self.record.path.absolute()


class _Run:
    """One pass over a source."""

    def __init__(
        self,
        encoder: Encoder,
        folder: CollectionFolder,
        ledger: Ledger,
        skips: SkipLog,
        limits: Limits,
        batch_size: int,
        shard_size: int,
    ) -> None:
        self._ledger = ledger
        self._skips = skips
        self._limits = limits
        self._shards = ShardReader(folder.embeddings)
        self._builder = ShardBuilder(
            encoder,
            folder,
            ledger,
            batch_size=batch_size,
            shard_size=shard_size,
            on_bad=self._not_finite,
        )
        self.total: int | None = None
        self.on_progress: OnProgress = silent
        self._whole: list[Path] = []
        self._read = self._settled = self._reused = self._unchanged = self._removed = 0
        self._told = 0.0

    def all(self, records: Iterable[Record], workers: int, batch_size: int) -> EmbedReport:
        """Take every record."""
        started = monotonic()
        opened = opened_in_order(
            self._jobs(records),
            lambda job: open_picture(job.path, self._limits),
            workers=workers,
            ahead=batch_size + 2 * workers,
        )
        for job, picture in opened:
            self._take(job, picture)
        self._builder.finish()
        for folder in self._whole:
            self._remove_gone(folder)
        self._builder.finish()
        self._tell(last=True)
        return EmbedReport(
            read=self._read,
            embedded=self._builder.pictures_encoded,
            reused=self._reused,
            unchanged=self._unchanged,
            removed=self._removed,
            captions=self._builder.captions_encoded,
            skipped=dict(self._skips.counts),
            examples=tuple(self._skips.examples),
            seconds=monotonic() - started,
        )

    def _jobs(self, records: Iterable[Record]) -> Iterator[_Job]:
        """The pictures whose files must be read; all else is settled on the way."""
        for record in records:
            if isinstance(record, WholeFolder):
                self._whole.append(record.folder)
                continue
            self._read += 1
            if isinstance(record, Skipped):
                self._skip("source", record.uri, record.reason)
            elif isinstance(record, CaptionRecord):
                self._take_caption(record)
            elif (job := self._look(record)) is not None:
                yield job

    def _look(self, record: ImageRecord) -> _Job | None:
        """Settle a picture by its file's size and time if that will do."""
        if not self._ledger.first_seen(record.image_id):
            reason = f"the source gives the id {record.image_id} twice; its first picture is used"
            self._skip("repeated", record.uri, reason)
            return None
        try:
            status = record.path.stat()
        except (OSError, ValueError) as error:
            self._skip("unreadable", record.uri, f"{record.path}: cannot be read ({error})")
            return None
        captions = tuple(dict.fromkeys(text for text in record.captions if text.strip()))
        record = replace(record, image_id=self._own_id(record), captions=captions)
        job = _Job(record, status.st_size, status.st_mtime_ns)
        known = self._ledger.picture(record.image_id)
        if known is not None and _same_file(known, job):
            self._reuse(job, known)
            return None
        twin = self._ledger.duplicate_of(job.path, job.size, job.mtime_ns)
        if twin is not None and _is_there(twin):
            self._skip_duplicate(job, os.fsdecode(twin.path))
            return None
        return job

    def _own_id(self, record: ImageRecord) -> str:
        """The record's id, or one of its own if another file that still exists has that id.

        Folders name their pictures by the path inside them, so two folders may both have an
        IMG_0001.jpg.
        """
        path = record.path.absolute()
        apart = f"{record.image_id}#{blake2b(os.fsencode(path), digest_size=4).hexdigest()}"
        here = self._ledger.picture_at(path)
        if here is not None and here.image_id in {record.image_id, apart}:
            return here.image_id
        holder = self._ledger.picture(record.image_id)
        return record.image_id if holder is None or not _is_there(holder) else apart

    def _take(self, job: _Job, opened: Opened) -> None:
        """Settle a picture that has been opened."""
        if not isinstance(opened, Picture):
            self._skip("unreadable", job.record.uri, str(opened).removeprefix(f"{job.path}: "))
            return
        pending = self._builder.pending(opened.sha256)
        known = self._ledger.picture_of(opened.sha256)
        if pending is not None:
            self._skip_duplicate(job, pending.path, opened.sha256)
        elif known is None:
            self._builder.add(Item(_entry(job, opened), image=opened.image))
            self._count()
        elif self._is_another(job, known):
            self._skip_duplicate(job, os.fsdecode(known.path), opened.sha256)
        else:
            self._reuse(job, known)

    def _is_another(self, job: _Job, known: Known) -> bool:
        """Whether the known picture stays as it is, and the job is a mere copy of it."""
        if known.image_id == job.record.image_id:
            return False
        if known.path == os.fsencode(job.path):
            # Another source names the same file; it takes over only if it tells more.
            return not job.record.captions
        return _is_there(known)

    def _reuse(self, job: _Job, known: Known) -> None:
        """Keep the vector of a known picture, under the job's record."""
        record = job.record
        same_captions = known.captions_key == captions_key(record.captions)
        same_about = known.about_key == about_key(record.uri, record.split, record.tags)
        same_place = known.image_id == record.image_id and _same_file(known, job)
        if same_captions and same_about and same_place:
            self._unchanged += 1
            self._count()
            return
        shard = self._shards.read(known.shard)
        old = shard.contents.entries[known.row]
        entry = replace(
            old,
            image_id=record.image_id,
            uri=record.uri,
            path=str(job.path),
            size=job.size,
            mtime_ns=job.mtime_ns,
            captions=record.captions,
            split=record.split,
            tags=record.tags,
        )
        captions: Halves | None = None
        if same_captions:
            captions = shard.captions[shard.contents.spans[known.row]]
        self._builder.add(Item(entry, vector=shard.images[known.row], captions=captions))
        self._reused += 1
        self._count()

    def _take_caption(self, caption: CaptionRecord) -> None:
        if self._ledger.has_loose(caption) or self._builder.pending_loose(caption):
            self._unchanged += 1
        else:
            self._builder.add_loose(caption)
        self._count()

    def _skip_duplicate(self, job: _Job, other: str, sha256: str = "") -> None:
        if sha256:
            self._ledger.note_duplicate(job.path, job.size, job.mtime_ns, sha256)
        old = self._ledger.picture(job.record.image_id)
        if old is not None and not _is_there(old):
            self._withdraw(old)  # the file holds the copy now
        self._skip("duplicate", job.record.uri, f"has the same bytes as {other}")

    def _remove_gone(self, folder: Path) -> None:
        for known in self._ledger.unseen_under(folder):
            if _is_gone(Path(os.fsdecode(known.path)), folder):
                self._withdraw(known)

    def _withdraw(self, known: Known) -> None:
        self._builder.withdraw(known)
        self._removed += 1

    def _not_finite(self, uri: str) -> None:
        reason = "the encoder gave numbers that are not finite; try MRAG_PRECISION=fp32"
        self._skip("not finite", uri, reason)

    def _skip(self, kind: Kind, uri: str, reason: str) -> None:
        self._skips.add(kind, Skipped(uri, reason))
        self._count()

    def _count(self) -> None:
        check_cancelled()
        self._settled += 1
        self._tell()

    def _tell(self, *, last: bool = False) -> None:
        now = monotonic()
        if last or now - self._told >= _EVERY_SECONDS:
            self._told = now
            self.on_progress(Progress("embed", self._settled, self.total))


def _entry(job: _Job, picture: Picture) -> Entry:
    record = job.record
    return Entry(
        image_id=record.image_id,
        uri=record.uri,
        path=str(job.path),
        size=job.size,
        mtime_ns=job.mtime_ns,
        sha256=picture.sha256,
        width=picture.width,
        height=picture.height,
        taken_at=None if picture.taken_at is None else picture.taken_at.isoformat(),
        captions=record.captions,
        split=record.split,
        tags=record.tags,
    )


def _same_file(known: Known, job: _Job) -> bool:
    stamp = (os.fsencode(job.path), job.size, job.mtime_ns)
    return (known.path, known.size, known.mtime_ns) == stamp


def _is_there(known: Known) -> bool:
    """Whether the file of a known picture is still there as it was."""
    try:
        status = Path(os.fsdecode(known.path)).stat()
    except OSError:
        return False
    return (status.st_size, status.st_mtime_ns) == (known.size, known.mtime_ns)


def _is_gone(path: Path, root: Path) -> bool:
    """Whether a file below the root was deleted, and is not merely out of reach.

    A folder that cannot be read, or is empty, may be a disk that is not mounted.
    """
    try:
        path.lstat()
    except FileNotFoundError:
        folder = path.parent
        while folder != root and not os.path.lexists(folder):
            folder = folder.parent
        return _holds_anything(folder)
    except OSError:
        pass
    return False


def _holds_anything(folder: Path) -> bool:
    try:
        with os.scandir(folder) as found:
            return any(found)
    except OSError:
        return False
