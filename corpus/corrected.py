"""The owner's corrections in the ledger: which there are, and which of them stand."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from pathlib import Path

from corpus.corrections import Correction, CorrectionReader, CorrectionShard, Standing
from corpus.entry import key_of
from corpus.parquet import DamagedShard, ShardFile, shard_files
from corpus.tables import IS, SHIFT, row_of

SCHEMA = """
create table correction_shard (number integer primary key, name text, commit_ integer);
create table correction (
    id text primary key, sha256 blob, since integer, place integer, kind text, undoes text,
    text_key integer
) without rowid;
create index correction_by_picture on correction (sha256);
create table corrected (
    sha256 blob primary key, since integer, place integer, text_key integer
) without rowid;
"""
# `corrected` is what stands of a picture since the last word on it: without a place nothing does.
_OF = (
    "from corrected c cross join picture p on p.sha256 = c.sha256 "
    "and substr(p.sha256, 1, 8) = substr(c.sha256, 1, 8)"
)
Captions = Callable[[int], Iterable[str]]
"""The captions that a source has of the picture at a place."""


class CorrectedTable:
    """The part of a ledger that knows the corrections."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def make(self) -> None:
        """Make it, empty."""
        self._db.executescript(SCHEMA)

    def names(self) -> dict[int, str]:
        """The files of the shards taken in, by number."""
        return dict(self._db.execute("select number, name from correction_shard order by number"))

    def next_shard(self) -> int:
        """A number that no shard of corrections has."""
        query = "select coalesce(max(number), -1) + 1 from correction_shard"
        return int(self._db.execute(query).fetchone()[0])

    def last_commit(self) -> int:
        """The latest commit among them."""
        query = "select coalesce(max(commit_), 0) from correction_shard"
        return int(self._db.execute(query).fetchone()[0])

    def count(self) -> int:
        """How many pictures there are of which a correction stands."""
        return int(self._db.execute(f"select count(*) {_OF} where c.place >= 0").fetchone()[0])

    def has(self, key: str) -> bool:
        """Whether the correction of that id was taken in."""
        query = "select 1 from correction where id = ?"
        return self._db.execute(query, (key,)).fetchone() is not None

    def catch_up(self, folder: Path, captions: Captions) -> None:
        """Take in new shards and forget those that have gone; raises DamagedShard."""
        present, known = shard_files(folder), self.names()
        for number, file in present.items():
            if known.get(number) != file.path.name:
                self.take(file, captions)
        gone = [number for number in known if number not in present]
        if gone:
            self.forget(gone, captions)

    def take(self, file: ShardFile, captions: Captions) -> None:
        """Take in a shard, all at once; raises DamagedShard."""
        if not file.is_whole():
            raise DamagedShard(file.path, "its checksum is not that in its name")
        shard = CorrectionShard(file)
        rows = [
            (one.id, bytes.fromhex(one.sha256), since, file.number << SHIFT | row, one.kind,
             one.undoes, one.text_key)
            for row, (one, since) in enumerate(shard.all())
        ]  # fmt: skip
        with self._db:
            self._db.executemany(
                "insert into correction values (?, ?, ?, ?, ?, ?, ?) on conflict do update set "
                "place = excluded.place where place < excluded.place",
                rows,
            )
            self._db.execute(
                "insert or replace into correction_shard values (?, ?, ?)",
                (file.number, file.path.name, shard.commit),
            )
            self._settle({row[1] for row in rows}, captions)

    def forget(self, numbers: Iterable[int], captions: Captions) -> None:
        """Forget shards, and what was in them alone."""
        with self._db:
            for number in numbers:
                span = number << SHIFT, (number + 1) << SHIFT
                those = "place >= ? and place < ?"
                found = self._db.execute(f"select sha256 from correction where {those}", span)
                pictures = {sha256 for (sha256,) in found.fetchall()}
                self._db.execute(f"delete from correction where {those}", span)
                self._db.execute("delete from correction_shard where number = ?", (number,))
                self._settle(pictures, captions)

    def of(self, sha256: str, until: int | None = None) -> list[tuple[int, int]]:
        """Where the corrections of a picture lie, in their order: by shard and row.

        `until`: those of that commit and before.
        """
        found = self._db.execute(
            "select place from correction where sha256 = ? and since <= ? order by since, place",
            (bytes.fromhex(sha256), 2**62 if until is None else until),
        )
        return [(place >> SHIFT, row_of(place)) for (place,) in found]

    def standing_in(self, shard: int) -> list[Standing]:
        """The corrections that stand of a shard's pictures."""
        first, end = shard << SHIFT, (shard + 1) << SHIFT
        found = self._db.execute(
            f"select p.place, c.place {_OF} where c.place >= 0 and p.place >= ? and p.place < ? "
            "order by c.place",
            (first, end),
        )
        return [Standing(row_of(place), at >> SHIFT, row_of(at)) for place, at in found]

    def changed(self, after: int) -> list[int]:
        """The places of pictures of which more was said, or taken back, after a commit."""
        found = self._db.execute(f"select p.place {_OF} where c.since > ?", (after,))
        return [place for (place,) in found]

    def changed_pictures(self, after: int) -> list[tuple[str, int]]:
        """The sha256 of those pictures, and the commit that their row was last changed in."""
        found = self._db.execute(f"select p.sha256, p.since {_OF} where c.since > ?", (after,))
        return [(sha256.hex(), since) for sha256, since in found]

    def latest(self, count: int) -> list[str]:
        """The sha256 of the pictures that were corrected last."""
        found = self._db.execute(
            "select sha256 from corrected where place >= 0 order by since desc limit ?", (count,)
        )
        return [sha256.hex() for (sha256,) in found]

    def adds(self, sha256: bytes, said: Iterable[str]) -> int:
        """How many captions the correction that stands adds to what sources say: 0 or 1."""
        query = "select text_key from corrected where sha256 = ? and place >= 0"
        found = self._db.execute(query, (sha256,)).fetchone()
        return int(found is not None and found[0] not in {key_of(text) for text in said})

    def any(self) -> bool:
        """Whether there is any."""
        found = self._db.execute("select exists (select 1 from corrected)").fetchone()
        return bool(found[0])

    def _settle(self, pictures: Iterable[bytes], captions: Captions) -> None:
        for sha256 in pictures:
            rows = self._db.execute(
                "select id, since, place, kind, undoes, text_key from correction "
                "where sha256 = ? order by since, place",
                (sha256,),
            ).fetchall()
            undone = {undoes for _, _, _, _, undoes, _ in rows}
            left = [row for row in rows if row[3] != "undone" and row[0] not in undone]
            place, text_key = (left[-1][2], left[-1][5]) if left else (-1, 0)
            if rows:
                self._db.execute(
                    "insert or replace into corrected values (?, ?, ?, ?)",
                    (sha256, rows[-1][1], place, text_key),
                )
            else:
                self._db.execute("delete from corrected where sha256 = ?", (sha256,))
            self._mark(sha256, captions)

    def _mark(self, sha256: bytes, captions: Captions) -> None:
        """Note at the picture what its correction adds."""
        query = f"select place, captions from picture where {IS}"
        for place, told in self._db.execute(query, (sha256,)).fetchall():
            adds = self.adds(sha256, captions(place) if told else ())
            self._db.execute("update picture set corrected = ? where place = ?", (adds, place))


def history(
    table: CorrectedTable, reader: CorrectionReader, sha256: str, until: int | None = None
) -> list[Correction]:
    """All that was said of a picture, in order."""
    return [reader.correction(*place) for place in table.of(sha256, until)]
