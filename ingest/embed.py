"""Embeds what a source holds into shards on disk, each thing once, whenever it is interrupted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from operator import length_hint
from pathlib import Path
from time import monotonic
from typing import Self

from corpus.entry import Entry, Name
from corpus.ledger import Known, Ledger
from corpus.lock import writing
from corpus.records import (
    CaptionRecord,
    ImageRecord,
    Leaving,
    NextSource,
    Record,
    Skipped,
    WholeFolder,
)
from corpus.shards import Shard
from corpus.videos import Videos
from engine.collection import CollectionFolder
from engine.errors import UnreadableImage
from engine.images import Admit, Picture, image_bytes, open_picture, read_facts
from engine.limits import DEFAULT_LIMITS, Limits
from engine.metadata.facts import Facts, joined, later
from engine.metadata.sidecars import Sidecars, read_sidecar, stamp
from engine.progress import OnProgress, Progress, check_cancelled, silent
from engine.search.thumbnails import keep_still
from engine.types import Encoder
from engine.video.address import Clip, file_at, is_video
from ingest.building import Item, ShardBuilder, StoredPictures
from ingest.decoding import Opened, opened_in_order
from ingest.likeness import Seen
from ingest.readers.annotation import printable
from ingest.skips import Kind, SkipLog
from ingest.video.watching import ShotRecord, Watcher
from ingest.whereabouts import Placing, below, is_gone

_EVERY_SECONDS = 0.1


@dataclass(frozen=True)
class EmbedReport:
    """What came of a source.

    `read` records: pictures and captions that stand alone. Of the pictures, `embedded` were
    encoded, `reused` kept their vector though their file moved or what is said of them changed,
    `unchanged` were left alone (captions that stand alone too). `removed` are known pictures
    that were withdrawn, because their file is gone or holds a copy now. `captions` were encoded.
    `skipped` counts by kind (see `ingest.skips`), with a few `examples`. `damaged` are shards that
    could not be read and were set aside. `unsaid` captions that stood alone were withdrawn.
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
    damaged: tuple[Path, ...] = ()
    unsaid: int = 0

    @property
    def rate(self) -> float:
        """Records a second."""
        return self.read / self.seconds if self.seconds else 0.0


@dataclass(frozen=True)
class EmbedOptions:
    """The largest picture that is opened, how many are encoded together, and threads that decode.

    A shard is closed at about `shard_size` pictures. Key frames of videos are kept in `stills`,
    where thumbnails are.
    """

    limits: Limits = DEFAULT_LIMITS
    batch_size: int = 32
    workers: int = 2
    shard_size: int = 1024
    stills: Path | None = None


def embed(
    records: Iterable[Record],
    encoder: Encoder,
    folder: CollectionFolder,
    options: EmbedOptions | None = None,
    *,
    beside: CollectionFolder | None = None,
    leaving: Leaving | None = None,
    on_progress: OnProgress = silent,
) -> EmbedReport:
    """Encode what is new or changed and write it to shards.

    Files whose size and time have not changed are not read again, content that is known is
    not encoded again. After a WholeFolder the pictures whose files are gone from that folder
    are withdrawn, except from folders that are there but empty: a disk may not be mounted. What is
    `leaving` is withdrawn after all else, so that what has merely moved keeps its vectors.
    Killed at any moment and run again, it repeats at most one shard. What
    cannot be read is skipped and written to `folder.skipped`; pictures that the collection
    `beside` has of unchanged files are left to it; a failing encoder raises, and
    what was committed before stays. Raises StoreUnavailable while another process writes.
    """
    how = options or EmbedOptions()
    with ExitStack() as stack:
        stack.enter_context(writing(folder))
        ledger = stack.enter_context(Ledger.open(folder))
        skips = stack.enter_context(SkipLog(folder.skipped))
        other = stack.enter_context(Ledger.read(beside)) if beside else None
        videos = stack.enter_context(Videos.open(folder.videos))
        run = _Run(encoder, folder, ledger, skips, how, other, videos)
        on_progress(Progress("embed", 0))  # to count what a large file holds takes a while
        run.total = length_hint(records) or None
        run.on_progress = on_progress
        report = run.all(records, leaving or Leaving())
        return replace(report, damaged=tuple(error.path for error in ledger.damaged))


@dataclass(frozen=True)
class Job:
    """A picture to look at: its record, and its file and the sidecars beside it as they are now.

    `shot`: what is known of it already, where it is one of a video.
    """

    record: ImageRecord
    path: Path
    size: int
    mtime_ns: int
    sidecars: tuple[Path, ...]
    sidecar: str
    shot: ShotRecord | None = None

    @classmethod
    def of(cls, record: ImageRecord, path: Path, sidecars: Sidecars) -> Self:
        """The picture of a record whose file lies there; raises OSError or ValueError."""
        file = file_at(path)
        status = file.stat()
        captions = tuple(dict.fromkeys(text for text in record.captions if text.strip()))
        told = record if captions == record.captions else replace(record, captions=captions)
        beside = sidecars.of(file)
        said = stamp(beside) + (f"\nstarted {record.started}" if record.started else "")
        return cls(told, path, status.st_size, status.st_mtime_ns, beside, said)

    @property
    def name(self) -> Name:
        """What its source says of it."""
        record = self.record
        return Name(
            record.image_id,
            record.uri,
            str(self.path),
            self.size,
            self.mtime_ns,
            record.captions,
            record.split,
            record.tags,
            sidecar=self.sidecar,
        )

    def is_as(self, name: Name) -> bool:
        """Whether what files say has been read of the file and sidecars as they are."""
        there = (name.size, name.mtime_ns, name.sidecar)
        return there == (self.size, self.mtime_ns, self.sidecar)


class _Run:
    """One pass over a source."""

    def __init__(
        self,
        encoder: Encoder,
        folder: CollectionFolder,
        ledger: Ledger,
        skips: SkipLog,
        options: EmbedOptions,
        beside: Ledger | None,
        videos: Videos,
    ) -> None:
        self._ledger = ledger
        self._beside = beside
        self._skips = skips
        self._options = options
        self._builder = ShardBuilder(
            encoder,
            folder,
            ledger,
            batch_size=options.batch_size,
            shard_size=options.shard_size,
            on_bad=self._not_finite,
        )
        self._stored = StoredPictures(ledger)
        self._watcher = Watcher(videos, options.limits, self._is_known, self._tell_time)
        self._watching = ""
        self._watched: set[Path] = set()
        self._seen = Seen(folder)
        self._place = Placing()
        self._sidecars = Sidecars()
        self.total: int | None = None
        self.on_progress: OnProgress = silent
        self._whole: list[Path] = []
        self._read = self._settled = self._reused = self._unchanged = self._removed = 0
        self._source = self._unsaid = 0
        self._told = 0.0

    def all(self, records: Iterable[Record], leaving: Leaving) -> EmbedReport:
        """Take every record, and let go of what is leaving."""
        started = monotonic()
        options = self._options
        opened = opened_in_order(
            self._jobs(records),
            self._opened,
            workers=options.workers,
            ahead=options.batch_size + 2 * options.workers,
        )
        for job, picture in opened:
            self._take(job, picture)
            del picture  # or it would stay while the next one is decoded
        self._builder.finish()
        self._seen.keep()
        for folder in self._whole:
            self._remove_gone(folder)
        self._let_leave(leaving)
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
            unsaid=self._unsaid,
        )

    def _opened(self, job: Job, admit: Admit) -> Picture:
        """Open a picture, and look at it for copies while it is here."""
        picture = job.shot.picture if job.shot else None
        if picture is None:
            picture = open_picture(job.path, self._options.limits, admit)
        else:
            admit(sum(map(image_bytes, (picture.image, *picture.frames))))
            if self._options.stills:
                keep_still(self._options.stills, job.path, picture.image)
        self._seen.see(picture)
        return picture

    def _jobs(self, records: Iterable[Record]) -> Iterator[Job]:
        """The pictures whose files must be read; all else is settled on the way."""
        for record in records:
            if isinstance(record, WholeFolder):
                self._whole.append(record.folder)
                continue
            if isinstance(record, NextSource):
                self._source += 1
                continue
            self._read += 1
            if isinstance(record, Skipped):
                self._skip("source", record.uri, record.reason)
            elif isinstance(record, CaptionRecord):
                self._take_caption(record)
            elif is_video(record.path):
                yield from self._shots(record)
            elif (job := self._look(record)) is not None:
                yield job

    def _shots(self, record: ImageRecord) -> Iterator[Job]:
        """The shots of a video that must be looked at; those that it had before leave."""
        try:
            path = self._place(record.path)
            file = self._watcher.begun(path)
            self._watching, given = path.name, 0
            for shot in self._watcher.shots(record, file):
                if isinstance(shot, Skipped):
                    self._skip("source", shot.uri, shot.reason)
                    continue
                given += 1
                job = self._look(shot.record)
                if job is None:
                    continue
                if shot.picture is None and (item := self._there(shot.sha256)) is not None:
                    self._let_go(job, shot.sha256)
                    self._name(item, job)
                else:
                    yield replace(job, shot=shot)
            self._leave(self._watcher.before(file))
            self._watcher.settled(file)
            self._watched.add(path)
            self._read += given - 1
            self.total = self.total and self.total + given - 1
        except (OSError, ValueError) as error:
            self._skip("unreadable", record.uri, f"{record.path}: cannot be read ({error})")
        except UnreadableImage as error:
            self._skip("unreadable", record.uri, str(error).removeprefix(f"{path}: "))
        finally:
            self._watching = ""

    def _leave(self, before: Iterable[Path]) -> None:
        """Take their names from the shots that a video had before it was changed."""
        for address in before:
            known = self._ledger.file_at(address)
            if known and not self._ledger.was_seen(str(address)):
                self._unname(known.picture, partial(_is_at, {str(address)}))

    def _there(self, sha256: str) -> Item | None:
        """A picture of that content, on its way or in its shard."""
        if pending := self._builder.pending(sha256):
            return pending
        known = self._ledger.picture(sha256)
        return self._stored.item(known) if known else None

    def _is_known(self, sha256: str) -> bool:
        """Whether there is a picture of that content, and it is not being withdrawn."""
        if self._builder.is_withdrawn(sha256):
            return False
        return bool(self._builder.pending(sha256) or self._ledger.picture(sha256))

    def _look(self, record: ImageRecord) -> Job | None:
        """Settle a picture by its file's size and time if that will do."""
        try:
            path = self._place(record.path)
            is_first = self._ledger.first_seen(record.image_id, path, self._source)
            job = Job.of(record, path, self._sidecars)
        except (OSError, ValueError) as error:
            self._skip("unreadable", record.uri, f"{record.path}: cannot be read ({error})")
            return None
        if not is_first:
            reason = f"the source gives the id {record.image_id} twice; its first picture is used"
            self._skip("repeated", record.uri, reason)
            return None
        if self._is_beside(job):
            self._unchanged += 1
            self._count()
            return None
        known = self._ledger.file_at(path)
        if known is None or (known.size, known.mtime_ns) != (job.size, job.mtime_ns):
            return job
        if known.said == job.name.said and known.first:
            self._unchanged += 1
            self._count()
        else:
            self._name(self._item(known.picture), job)
        return None

    def _is_beside(self, job: Job) -> bool:
        """Whether the other collection has the picture as it is, by an unchanged file."""
        there = self._beside.file_at(job.path) if self._beside else None
        if there is None or (there.size, there.mtime_ns) != (job.size, job.mtime_ns):
            return False
        return there.said in {job.name.said, replace(job.name, sidecar=None).said}

    def _take(self, job: Job, opened: Opened) -> None:
        """Settle a picture that has been opened."""
        if not isinstance(opened, Picture):
            self._skip("unreadable", job.record.uri, str(opened).removeprefix(f"{job.path}: "))
            return
        self._let_go(job, opened.sha256)
        known = self._ledger.picture(opened.sha256)
        item = self._item(known) if known else self._builder.pending(opened.sha256)
        if item is None:
            facts = self._facts(job, opened.facts)
            names = (replace(job.name, metadata=facts.metadata),)
            size = opened.width, opened.height
            entry = Entry(opened.sha256, *size, names, _iso(facts.taken_at))
            self._builder.add(Item(entry, (opened.image, *opened.frames)))
            self._count()
        else:
            self._name(item, job, opened.facts)

    def _facts(self, job: Job, said: Facts) -> Facts:
        """What is said of a picture: by its sidecars, and by its file.

        When a video began, in place of what it says itself, is said of each of its shots.
        """
        clip, started = Clip.at(job.path), job.record.started
        after = clip.start if clip else 0.0
        found = [later(Facts(datetime.fromisoformat(started)), after)] if started else []
        for sidecar in job.sidecars:
            try:
                found.append(later(read_sidecar(sidecar), after))
            except ValueError as error:
                reason = f"what it says of {job.path.name} cannot be read ({error})"
                self._skips.add("source", Skipped(printable(str(sidecar)), printable(reason)))
        return joined([*found, said])

    def _let_go(self, job: Job, sha256: str) -> None:
        """Take their names from other pictures: the file's, if it was of another content, and the
        record's id, if the file that it named is gone."""
        at = self._ledger.file_at(job.path)
        held = () if at is None else (at.picture.sha256,)
        if at is not None and at.picture.sha256 != sha256:
            self._unname(at.picture, lambda name: self._place(Path(name.path)) == job.path)
        for other in self._ledger.named(job.record.image_id):
            if other.sha256 != sha256 and other.sha256 not in held:
                self._unname(
                    other, lambda name: name.image_id == job.record.image_id and not _is_there(name)
                )

    def _name(self, item: Item, job: Job, said: Facts | None = None) -> None:
        """Add what the job's source says to a picture that is known, or on its way.

        `said`: what its file says, where that has just been read.
        """
        entry, name = item.entry.named(self._placed(item.entry.names)), job.name
        at_path = [old for old in entry.names if old.path == name.path]
        takes_over = name.captions or job.record.takes_over
        if at_path and at_path[0].image_id != name.image_id and not takes_over:
            # Another source names the same file; it takes over only if it tells more.
            name = replace(at_path[0], size=name.size, mtime_ns=name.mtime_ns, sidecar=name.sidecar)
        name, facts = self._with_metadata(name, at_path, job, said)
        names = _joined(entry.names, name)
        if not (_is_there(names[0]) or (name.captions and name.split != entry.split)):
            # Its first file is gone: it is shown by this one, and keeps what was said of it.
            names = (name, *(old for old in names if old.path != name.path))
        changed = entry.named(names)
        if facts is not None and names[0].path == name.path:
            changed = replace(changed, taken_at=_iso(facts.taken_at))
        if changed == item.entry:
            self._unchanged += 1
        else:
            self._rewrite(item, changed)
            self._reused += 1
        if names[0].path != name.path:
            self._skip_duplicate(job, changed)
        else:
            self._count()

    def _with_metadata(
        self, name: Name, at_path: list[Name], job: Job, said: Facts | None
    ) -> tuple[Name, Facts | None]:
        """The name with what its file says, which is read where it is not known as it is now."""
        if at_path and job.is_as(at_path[0]):
            return replace(name, metadata=at_path[0].metadata), None
        said = said or read_facts(job.path, self._options.limits)
        if said is None:  # it is looked at again next time
            return replace(name, sidecar=None), None
        facts = self._facts(job, said)
        return replace(name, metadata=facts.metadata), facts

    def _placed(self, names: Iterable[Name]) -> tuple[Name, ...]:
        """The names, one for each file: earlier versions knew it by each way to its folder."""
        placed: dict[str, Name] = {}
        for name in names:
            path = str(self._place(Path(name.path)))
            placed.setdefault(path, replace(name, path=path))
        return tuple(placed.values())

    def _unname(self, known: Known, is_gone: Callable[[Name], bool]) -> None:
        """Take names from a picture; one without any is withdrawn."""
        if self._builder.is_withdrawn(known.sha256):
            return
        item = self._item(known)
        kept = tuple(name for name in item.entry.names if not is_gone(name))
        if not kept:
            self._builder.withdraw(known.sha256)
            self._removed += 1
        elif kept != item.entry.names:
            self._rewrite(item, item.entry.named(kept))

    def _item(self, known: Known) -> Item:
        """A picture as it is on its way, or else as it lies in its shard."""
        return self._builder.pending(known.sha256) or self._stored.item(known)

    def _rewrite(self, item: Item, entry: Entry) -> None:
        """Write a picture again, with its vectors as far as they still hold."""
        captions = item.captions if entry.captions == item.entry.captions else None
        # A file that was merely touched is nothing that an index has to be told.
        since = item.since if _shown(entry) == _shown(item.entry) else None
        self._builder.add(Item(entry, item.images, item.vector, captions, since))

    def _take_caption(self, caption: CaptionRecord) -> None:
        if self._ledger.has_loose(caption) or self._builder.pending_loose(caption):
            self._unchanged += 1
        else:
            self._builder.add_loose(caption)
        self._count()

    def _skip_duplicate(self, job: Job, entry: Entry) -> None:
        """Say that a file is a copy; what its source says is the picture's, unless it cannot be."""
        reason = f"has the same bytes as {entry.path}"
        if any(name.path == str(job.path) for name in entry.conflicts):
            told = f"{reason}, which is in split {entry.split!r}: its captions are left out"
            self._skip("conflict", job.record.uri, told)
        else:
            self._skip("duplicate", job.record.uri, reason)

    def _remove_gone(self, folder: Path) -> None:
        """Take the names of files that were deleted from a folder that was read whole."""
        for number, rows in self._ledger.unseen():
            for row, entry in zip(rows, self._entries(number, rows), strict=True):
                gone = {
                    name.path
                    for name in entry.names
                    if not self._ledger.was_seen(name.path)
                    and (place := below(folder, name.path, name.uri)) is not None
                    and (is_gone(place, folder) or file_at(name.path) in self._watched)
                }
                known = self._ledger.picture(entry.sha256)
                if gone and known is not None and (known.shard, known.row) == (number, row):
                    self._unname(known, partial(_is_at, gone))

    def _let_leave(self, leaving: Leaving) -> None:
        """Take the names of the files that are leaving, and the captions that stood alone."""
        for path in leaving.files:
            check_cancelled()
            if known := self._ledger.file_at(Path(path)):
                self._unname(known.picture, partial(_is_at, {path}))
        for caption in leaving.captions:
            if self._ledger.has_loose(caption):
                self._builder.unsay(caption)
                self._unsaid += 1

    def _entries(self, number: int, rows: list[int]) -> list[Entry]:
        return Shard(self._ledger.shard(number)).entries(rows)

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
        if last or (now - self._told >= _EVERY_SECONDS and not self._watching):
            self._told = now
            self.on_progress(Progress("embed", self._settled, self.total))

    def _tell_time(self, seconds: float, length: float | None) -> None:
        """Tell how far a video has been watched."""
        now = monotonic()
        if now - self._told >= _EVERY_SECONDS:
            self._told = now
            total = None if length is None else max(1, round(length))
            stage = f"watch {printable(self._watching)}"
            self.on_progress(Progress(stage, int(seconds), total, "seconds"))


def _shown(entry: Entry) -> tuple[object, ...]:
    """What an index shows of a picture."""
    ids = tuple(dict.fromkeys(name.image_id for name in entry.names))
    said = entry.captions, entry.split, entry.tags, entry.metadata, entry.taken_at
    return ids, entry.uri, *said


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


def _is_at(paths: set[str], name: Name) -> bool:
    return name.path in paths


def _joined(names: tuple[Name, ...], name: Name) -> tuple[Name, ...]:
    """The names with this one: for that of the same file, else for those whose files are gone."""
    places = [at for at, old in enumerate(names) if old.path == name.path]
    if not places:
        places = [at for at, old in enumerate(names) if not _is_there(old)]
    if not places:
        return (*names, name)
    first, *others = places
    return tuple(name if at == first else old for at, old in enumerate(names) if at not in others)


def _is_there(name: Name) -> bool:
    """Whether a picture's file is still there as it was."""
    try:
        status = file_at(name.path).stat()
    except (OSError, ValueError):
        return False
    return (status.st_size, status.st_mtime_ns) == (name.size, name.mtime_ns)
