"""What is in the shards, indexed: derived from them, and made anew wherever it does not fit.

The shards are the truth. The ledger is a SQLite file beside them that keeps memory flat: it knows
where each picture's living row lies, by content and by file, and in which commit it last changed.
One process at a time writes it (`Ledger.open`, under `corpus.lock.writing`); any number read it
meanwhile (`Ledger.read`), who see it as it was when they began and never wait.

Of rows with the same content the one of the latest commit lives, and of those of one commit the one
in the latest shard, in whatever order they are taken in: so shards may be compacted, and a kill may
leave files that have been replaced.
"""

from __future__ import annotations

import logging
import sqlite3
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from corpus import database
from corpus.corrected import CorrectedTable
from corpus.corrections import CorrectionReader
from corpus.database import Database
from corpus.described import Described, DescribedShard
from corpus.known import Census, Generated, Known, KnownFile, KnownRows, Live
from corpus.lock import Reading
from corpus.parquet import DamagedShard, ShardFile, shard_files
from corpus.refined import RefinedTable
from corpus.shards import Contents, Shard
from corpus.tables import LAYOUT, SCHEMA, SHIFT, row_of
from corpus.taking import RowTaker
from engine.collection import CollectionFolder
from engine.disk import refused
from engine.errors import Damaged, StoreUnavailable
from engine.files import remove_partials
from engine.store.generations import current

__all__ = [
    "Census",
    "Generated",
    "Known",
    "KnownFile",
    "Ledger",
    "Live",
    "forget_ledger",
    "set_aside",
]

_LOG = logging.getLogger(__name__)
_CACHE_KIB = 65_536
_CHECKPOINT_PAGES = 16_384
"""Pages that are written twice at a time: keys are in no order, so each shard touches many."""


class Ledger(KnownRows):
    """The index over a collection's shards; see `open` and `read`."""

    def __init__(self, folder: CollectionFolder, path: Path | str, *, writable: bool) -> None:
        """Open the file as it is."""
        self._folder = folder
        self._writable = writable
        self._db = Database.to(Path(path), writable=writable)
        if writable:
            self._db.execute("pragma journal_mode = wal")
            self._db.execute("pragma synchronous = normal")
            self._db.execute(f"pragma wal_autocheckpoint = {_CHECKPOINT_PAGES}")
            self._db.execute(f"pragma cache_size = -{_CACHE_KIB}")
        else:
            self._db.execute("begin")  # one view of it until it is closed
            self._db.execute("select count(*) from sqlite_master").fetchone()
        if writable:
            self._db.execute("create temp table seen (key integer primary key)")
        self.refined = RefinedTable(self._db, SHIFT)
        self.corrected = CorrectedTable(self._db)
        self._rows = RowTaker(self._db)
        self.damaged: list[DamagedShard] = []
        self._reading: Reading | None = None
        self._private: tempfile.TemporaryDirectory[str] | None = None
        self._is_owner = False

    @classmethod
    def open(cls, folder: CollectionFolder) -> Self:
        """Open the ledger as its one writer, and bring it level with the shards.

        Shards that cannot be read are set aside and named in `damaged`; what was in them is new
        to the next ingest.
        """
        folder.embeddings.mkdir(parents=True, exist_ok=True)
        for place in (folder.embeddings, folder.generated, folder.rounds, folder.corrections):
            remove_partials(place)
        damaged: list[DamagedShard] = []
        while True:
            ledger = cls._sound(folder, writable=True)
            if ledger is None:
                forget_ledger(folder)
                ledger = cls(folder, _path(folder), writable=True)
                ledger._make()
            database.unseal(folder.embeddings)
            ledger._is_owner = True
            try:
                ledger._catch_up()
            except DamagedShard as error:
                ledger.close()
                set_aside(error.path)
                damaged.append(error)
                continue
            ledger.damaged = damaged
            return ledger

    @classmethod
    def read(cls, folder: CollectionFolder) -> Self:
        """Open the ledger to read, as it is now, beside whoever writes.

        Where it is missing or does not fit the shards, a private one is made of them. Raises
        DamagedShard where a shard is needed for that and cannot be read.
        """
        reading = Reading(folder)
        try:
            ledger = cls._sound(folder, writable=False) or cls.made_anew(folder)
        except BaseException:
            reading.close()
            raise
        ledger._reading = reading
        return ledger

    @classmethod
    def made_anew(cls, folder: CollectionFolder) -> Self:
        """A private ledger made of the shards alone, which goes when it is closed.

        Raises DamagedShard.
        """
        private = tempfile.TemporaryDirectory(prefix="mrag-ledger-")
        ledger = cls(folder, Path(private.name) / "ledger.sqlite", writable=True)
        ledger._private = private
        try:
            ledger._make()
            ledger._catch_up()
        except BaseException:
            ledger.close()
            raise
        return ledger

    @classmethod
    def _sound(cls, folder: CollectionFolder, *, writable: bool) -> Self | None:
        """The ledger if it is whole and every shard that it knows of is still there."""
        path = _path(folder)
        try:
            if not path.exists():
                return None
            broken = database.breach(folder.embeddings)
        except OSError as error:
            raise refused(path, error) from error
        if broken:
            _LOG.warning("the ledger %s is damaged: it is made anew from the shards", path)
            return None
        ledger = None
        try:
            ledger = cls(folder, path, writable=writable)
            if writable and not database.is_sealed(folder.embeddings):
                ledger._check_pages()
            if ledger._fits():
                return ledger
        except Damaged:
            _LOG.warning("the ledger %s is damaged: it is made anew from the shards", path)
        except StoreUnavailable:
            if writable:  # who reads makes one of his own
                raise
        except sqlite3.Error:
            pass
        if ledger is not None:
            ledger.close()
        return None

    def _check_pages(self) -> None:
        """Raise Damaged unless the file is one of SQLite's throughout: after a kill."""
        (told,) = self._db.execute("pragma quick_check(1)").fetchone()
        if told != "ok":
            raise Damaged(f"the ledger of collection {self._folder.name!r} is damaged: {told}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Release the file."""
        self._db.close()
        if self._is_owner:
            with suppress(OSError):  # without a seal it is read through when it is next written
                database.seal(self._folder.embeddings)
        if self._private is not None:
            self._private.cleanup()
        if self._reading is not None:
            self._reading.close()

    # Shards and commits

    def add(self, file: ShardFile, contents: Contents, commit: int) -> None:
        """Take in a shard that has just been written, all at once."""
        entries = contents.entries
        loose = contents.loose
        first = len(entries)
        with self._db:
            self._rows.take_gone(
                one._replace(since=one.since or commit) for one in contents.withdrawn
            )
            commits = contents.commits(commit)
            self._rows.take_pictures(file.number, zip(range(first), entries, commits, strict=True))
            self._rows.take_loose(
                file.number, ((first + at, one, commit) for at, one in enumerate(loose))
            )
            self._rows.note_shard(file, len(entries), len(loose), commit)

    def add_described(self, file: ShardFile, described: Sequence[Described], commit: int) -> None:
        """Take in a shard of generated captions that has just been written."""
        with self._db:
            self._rows.take_described(file.number, [(one.sha256, commit) for one in described])
            self._rows.note_described(file, commit)

    def take(self, file: ShardFile) -> None:
        """Take in a shard from disk; raises DamagedShard."""
        self._check(file)
        shard = Shard(file)
        since, first = shard.since, shard.pictures
        entries, loose = shard.entries(), shard.loose_captions()
        with self._db:
            self._rows.take_gone(shard.gone())
            self._rows.take_pictures(
                file.number, ((row, entry, since[row]) for row, entry in enumerate(entries))
            )
            self._rows.take_loose(
                file.number,
                ((first + at, one, since[first + at]) for at, one in enumerate(loose)),
            )
            self._rows.note_shard(file, shard.pictures, shard.loose, shard.commit)

    def take_described(self, file: ShardFile) -> None:
        """Take in a shard of generated captions from disk; raises DamagedShard."""
        self._check(file)
        shard = DescribedShard(file)
        with self._db:
            self._rows.take_described(file.number, shard.contents())
            self._rows.note_described(file, shard.commit)

    def corrections(self) -> CorrectionReader:
        """Reads the corrections that this ledger knows of."""
        place = self._folder.corrections
        names = self.corrected.names().items()
        return CorrectionReader({n: ShardFile(n, place / name) for n, name in names})

    def add_corrections(self, file: ShardFile) -> None:
        """Take in a shard of corrections that has just been written."""
        self.corrected.take(file, self.captions_at)

    def captions_at(self, place: int) -> list[str]:
        """What sources say of the picture at a place; raises DamagedShard."""
        texts = Shard(self.shard(place >> SHIFT)).texts
        return texts[row_of(place)]

    def forget_shards(self, files: Iterable[ShardFile]) -> None:
        """Forget embedding shards of which no row lives."""
        numbers = [(file.number,) for file in files]
        with self._db:
            self._db.executemany("delete from shard where number = ?", numbers)

    def forget_described(self, files: Iterable[ShardFile]) -> None:
        """Forget shards of generated captions of which no row lives."""
        with self._db:
            for file in files:
                # Those of pictures that have gone are still known: they go with the file.
                gone = "delete from described where place >> ? = ?"
                self._db.execute(gone, (SHIFT, file.number))
                self._db.execute("delete from described_shard where number = ?", (file.number,))

    def next_commit(self) -> int:
        """The number of the next commit: one that neither a shard nor an index has seen.

        A shard may have gone whose commit an index knows.
        """
        generation = current(self._folder)
        state = generation.read_state() if generation else None
        return max(self.last_commit(), state.commit if state else 0) + 1

    # Inner workings

    def _make(self) -> None:
        self._db.executescript(SCHEMA)
        self.refined.make()
        self.corrected.make()
        self._db.execute(f"pragma user_version = {LAYOUT}")

    def _fits(self) -> bool:
        if self._one("pragma user_version") != LAYOUT:
            return False
        folders = {"shard": self._folder.embeddings, "described_shard": self._folder.generated}
        for table, folder in folders.items():
            known = dict(self._db.execute(f"select number, name from {table}"))
            present = {number: file.path.name for number, file in shard_files(folder).items()}
            if any(present.get(number) != name for number, name in known.items()):
                return False
        present = {n: file.path.name for n, file in shard_files(self._folder.corrections).items()}
        known = self.corrected.names()
        if any(present.get(number) != name for number, name in known.items()):
            return False
        return self._writable or self.refined.fits(self._folder.rounds)

    def _catch_up(self) -> None:
        known = {number for (number,) in self._db.execute("select number from shard")}
        for number, file in shard_files(self._folder.embeddings).items():
            if number not in known:
                self.take(file)
        known = {number for (number,) in self._db.execute("select number from described_shard")}
        for number, file in shard_files(self._folder.generated).items():
            if number not in known:
                self.take_described(file)
        self.refined.catch_up(self._folder.rounds)
        self.corrected.catch_up(self._folder.corrections, self.captions_at)

    def _check(self, file: ShardFile) -> None:
        if not file.is_whole():
            raise DamagedShard(file.path, "its checksum is not that in its name")


def set_aside(path: Path) -> Path:
    """Give a damaged shard a name under which nothing looks for it; where it lies now."""
    aside = path.with_name(f"{path.name}.damaged")
    try:
        path.replace(aside)
    except OSError as error:
        raise StoreUnavailable(
            f"{path} is damaged and cannot be set aside: {error.strerror}; delete it by hand"
        ) from error
    return aside


def forget_ledger(folder: CollectionFolder) -> None:
    """Remove the ledger: the next who needs it makes it anew from the shards."""
    for path in folder.embeddings.glob("ledger.*"):
        path.unlink(missing_ok=True)


def _path(folder: CollectionFolder) -> Path:
    return folder.embeddings / database.NAME
