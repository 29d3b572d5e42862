"""The captions of refinement rounds in the ledger: which of them stand, and where they lie."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

from corpus.described import RoundShard
from corpus.parquet import DamagedShard, Halves, ShardFile, shard_files

_SCHEMA = """
create table round_shard (number integer primary key, name text, commit_ integer);
create table refined (
    round integer, row integer, sha256 blob, captions_key integer, primary key (round, row)
) without rowid;
create index refined_by_picture on refined (sha256);
"""
# A caption stands while the picture is there with the captions that it was scored against, in a
# training split. So nothing needs to be noted when a picture goes, or is captioned anew.
_SCORED = (
    "from picture p join refined r on r.sha256 = p.sha256 and r.captions_key = p.captions_key "
    "and substr(p.sha256, 1, 8) = substr(r.sha256, 1, 8) "
    "where p.split in (select id from split where training) and"
)
# What the collection's owner says takes their place.
_STANDING = f"{_SCORED} p.corrected = 0 and"


class Standing(NamedTuple):
    """A refined caption of the picture in `row` of an embedding shard, and where it lies."""

    row: int
    round: int
    round_row: int


class RefinedTable:
    """The part of a ledger that knows the refinement rounds."""

    def __init__(self, db: sqlite3.Connection, shift: int) -> None:
        self._db = db
        self._shift = shift

    def make(self) -> None:
        """Make it, empty."""
        self._db.executescript(_SCHEMA)

    def rounds(self) -> list[int]:
        """The rounds whose captions are in the collection, ascending."""
        found = self._db.execute("select number from round_shard order by number")
        return [number for (number,) in found]

    def last_commit(self) -> int:
        """The latest commit among them."""
        query = "select coalesce(max(commit_), 0) from round_shard"
        (latest,) = self._db.execute(query).fetchone()
        return int(latest)

    def fits(self, folder: Path) -> bool:
        """Whether the rounds taken in are those on disk."""
        return self._names() == {n: file.path.name for n, file in shard_files(folder).items()}

    def catch_up(self, folder: Path) -> None:
        """Take in new rounds and forget withdrawn ones; raises DamagedShard."""
        present, known = shard_files(folder), self._names()
        with self._db:
            for number, name in known.items():
                if number not in present or present[number].path.name != name:
                    self._db.execute("delete from refined where round = ?", (number,))
                    self._db.execute("delete from round_shard where number = ?", (number,))
            for number, file in present.items():
                if known.get(number) != file.path.name:
                    self._take(file)

    def standing_in(self, shard: int) -> list[Standing]:
        """The refined captions of a shard's pictures, by picture and round."""
        return self._in(shard, _STANDING)

    def scored_in(self, shard: int) -> list[Standing]:
        """Those that would stand if nothing were corrected."""
        return self._in(shard, _SCORED)

    def _in(self, shard: int, those: str) -> list[Standing]:
        first, end = shard << self._shift, (shard + 1) << self._shift
        found = self._db.execute(
            f"select p.place - ?, r.round, r.row {those} p.place >= ? and p.place < ? "
            "order by 1, 2, 3",
            (first, first, end),
        )
        return [Standing(*values) for values in found]

    def changed(self, after: int) -> list[int]:
        """The places of pictures whose captions of rounds after a commit stand."""
        late = "(select number from round_shard where commit_ > ?)"
        found = self._db.execute(f"select distinct p.place {_STANDING} r.round in {late}", (after,))
        return [place for (place,) in found]

    def counts(self) -> dict[int, int]:
        """How many captions of each round stand; a round without any is left out."""
        return dict(
            self._db.execute(f"select r.round, count(*) {_STANDING} true group by 1 order by 1")
        )

    def _take(self, file: ShardFile) -> None:
        if not file.is_whole():
            raise DamagedShard(file.path, "its checksum is not that in its name")
        shard = RoundShard(file)
        rows = [
            (file.number, row, bytes.fromhex(one.sha256), one.captions_key)
            for row, one in enumerate(shard.refined())
        ]
        self._db.executemany("insert into refined values (?, ?, ?, ?)", rows)
        self._db.execute(
            "insert into round_shard values (?, ?, ?)", (file.number, file.path.name, shard.commit)
        )

    def _names(self) -> dict[int, str]:
        return dict(self._db.execute("select number, name from round_shard order by number"))


class RefinedReader:
    """Reads refined captions and their vectors, a few thousand at a time."""

    def __init__(self, folder: Path) -> None:
        self._files = shard_files(folder)
        self._rounds: dict[int, RoundShard] = {}

    def by_picture(
        self, standing: Iterable[Standing]
    ) -> dict[int, list[tuple[Standing, str, Halves]]]:
        """The captions with their stored vectors (dim,), by the row of their picture."""
        found: dict[int, list[tuple[Standing, str, Halves]]] = {}
        for one in sorted(standing, key=attrgetter("round", "round_row")):
            if one.round not in self._rounds:
                self._rounds[one.round] = RoundShard(self._files[one.round])
            text, vector = self._rounds[one.round].caption(one.round_row)
            found.setdefault(one.row, []).append((one, text, vector))
        return found
