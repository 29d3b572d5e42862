"""Takes rows of shards into the tables of a ledger, in whatever order they come.

Of rows with the same content the one of the latest commit lives, and of those of one commit the one
in the latest shard. Whoever calls holds the transaction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from corpus.corrected import CorrectedTable
from corpus.entry import Entry, captions_key, key_of
from corpus.parquet import ShardFile
from corpus.records import CaptionRecord
from corpus.shards import Withdrawn
from corpus.tables import IS, SHIFT, loose_key, path_key
from engine.types import TRAINING_SPLITS

# A path is of the picture that said so last: an earlier row may be taken in after a later one.
_CLAIM = """
insert into file values (?, ?, ?, ?, ?, ?, ?) on conflict (path_key) do update set
    place = excluded.place, at = excluded.at, size = excluded.size, mtime_ns = excluded.mtime_ns,
    said = excluded.said, id_key = excluded.id_key
where ((select since from picture where place = file.place), file.place)
    <= ((select since from picture where place = excluded.place), excluded.place)
"""


class RowTaker:
    """The one that writes to the tables."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._corrected = CorrectedTable(db)

    def note_shard(self, file: ShardFile, pictures: int, loose: int, commit: int) -> None:
        """Note an embedding shard whose rows were taken in."""
        self._db.execute(
            "insert into shard values (?, ?, ?, ?, ?)",
            (file.number, file.path.name, pictures, loose, commit),
        )

    def note_described(self, file: ShardFile, commit: int) -> None:
        """Note a shard of generated captions whose rows were taken in."""
        self._db.execute(
            "insert into described_shard values (?, ?, ?)", (file.number, file.path.name, commit)
        )

    def take_gone(self, withdrawn: Iterable[Withdrawn]) -> None:
        """Take in what was withdrawn, each as of its commit."""
        for hexed, since, caption in withdrawn:
            if caption is not None:
                self._take_unsaid(caption, since)
                continue
            sha256 = bytes.fromhex(hexed)
            query = f"select place, since from picture where {IS}"
            living = self._db.execute(query, (sha256,)).fetchone()
            if living is not None and living[1] > since:
                continue
            if living is not None:
                self._remove(living[0])
            self._db.execute(
                "insert into gone values (?, ?) on conflict do update "
                "set since = max(since, excluded.since)",
                (sha256, since),
            )

    def _take_unsaid(self, caption: CaptionRecord, since: int) -> None:
        """Take in that a loose caption was withdrawn."""
        key = loose_key(caption)
        query = "select since from loose where key = ?"
        living = self._db.execute(query, (key,)).fetchone()
        if living is not None and living[0] > since:
            return
        self._db.execute("delete from loose where key = ?", (key,))
        self._db.execute(
            "insert into unsaid values (?, ?, ?, ?) on conflict do update "
            "set since = max(since, excluded.since)",
            (key, since, caption.image_id, caption.text),
        )

    def _remove(self, place: int) -> None:
        self._db.execute("delete from file where place = ?", (place,))
        self._db.execute("delete from picture where place = ?", (place,))

    def take_pictures(self, number: int, rows: Iterable[tuple[int, Entry, int]]) -> None:
        """Take in pictures of a shard, each with its row and its commit."""
        splits = _Splits(self._db)
        pictures, files = [], []
        any_gone = self._is_any("gone")
        any_known = self._is_any("picture")
        any_corrected = self._corrected.any()
        for row, entry, since in rows:
            place, sha256 = number << SHIFT | row, bytes.fromhex(entry.sha256)
            if any_known and not self._make_room(sha256, since, place):
                continue
            if any_gone and not self._came_back(sha256, since):
                continue
            captions = entry.captions
            split = splits[entry.split]
            adds = self._corrected.adds(sha256, captions) if any_corrected else 0
            key = captions_key(captions)
            pictures.append((place, sha256, since, split, len(captions), key, adds))
            files += [
                (
                    place,
                    at,
                    path_key(name.path),
                    name.size,
                    name.mtime_ns,
                    name.said,
                    key_of(name.image_id),
                )
                for at, name in enumerate(entry.names)
            ]
        self._db.executemany("insert into picture values (?, ?, ?, ?, ?, ?, ?)", pictures)
        self._db.executemany(_CLAIM, files)

    def _make_room(self, sha256: bytes, since: int, place: int) -> bool:
        """Remove the row of that content if it is no later; False where it is.

        Of one commit the row in the later shard counts: a file was touched, or rows were moved.
        """
        found = self._db.execute(
            f"select place, since from picture where {IS}", (sha256,)
        ).fetchone()
        if found is None:
            return True
        if (found[1], found[0]) > (since, place):
            return False
        self._remove(found[0])
        return True

    def _came_back(self, sha256: bytes, since: int) -> bool:
        """Whether a row is no earlier than the withdrawal of its content, which is forgotten."""
        found = self._db.execute("select since from gone where sha256 = ?", (sha256,)).fetchone()
        if found is not None and found[0] > since:
            return False
        self._db.execute("delete from gone where sha256 = ?", (sha256,))
        return True

    def take_loose(self, number: int, rows: Iterable[tuple[int, CaptionRecord, int]]) -> None:
        """Take in captions that stand alone, each with its row and its commit."""
        splits = _Splits(self._db)
        values = [
            (loose_key(one), number << SHIFT | row, since, splits[one.split])
            for row, one, since in rows
        ]
        if self._is_any("unsaid"):
            values = [one for one in values if self._is_said_again(one[0], one[2])]
        # The first to say it is kept as it was; a later place of the same commit is a move.
        self._db.executemany(
            "insert into loose values (?, ?, ?, ?) on conflict do update set "
            "place = excluded.place, since = excluded.since, split = excluded.split "
            "where (since, excluded.place) > (excluded.since, place)",
            values,
        )

    def _is_said_again(self, key: int, since: int) -> bool:
        """Whether a row is no earlier than the withdrawal of its caption, which is forgotten."""
        found = self._db.execute("select since from unsaid where key = ?", (key,)).fetchone()
        if found is not None and found[0] > since:
            return False
        self._db.execute("delete from unsaid where key = ?", (key,))
        return True

    def take_described(self, number: int, rows: Iterable[tuple[str, int]]) -> None:
        """Take in a shard of generated captions: of which picture each is, and its commit."""
        values = [
            (bytes.fromhex(sha256), since, number << SHIFT | row)
            for row, (sha256, since) in enumerate(rows)
        ]
        self._db.executemany(
            "insert into described values (?, ?, ?) on conflict do update "
            "set since = excluded.since, place = excluded.place "
            "where (since, place) < (excluded.since, excluded.place)",
            values,
        )

    def _is_any(self, table: str) -> bool:
        (found,) = self._db.execute(f"select exists (select 1 from {table})").fetchone()
        return bool(found)


class _Splits(dict[str, int]):
    """Ids of splits by name, each made when it is first asked for."""

    def __init__(self, db: sqlite3.Connection) -> None:
        super().__init__((name, key) for key, name in db.execute("select id, name from split"))
        self._db = db

    def __missing__(self, name: str) -> int:
        insert = "insert into split (name, training) values (?, ?)"
        key = self._db.execute(insert, (name, name in TRAINING_SPLITS)).lastrowid
        assert key is not None
        self[name] = key
        return key
