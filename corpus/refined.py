"""The captions of refinement rounds in the ledger: which of them stand, and where they lie."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from corpus.shards import Halves, Refined, round_rows, shard_path
from engine.store.ids import caption_id

_SCHEMA = """
create table if not exists round_shard (number integer primary key, bytes integer);
create table if not exists refined (
    sha256 text, captions_key blob, text text, round integer, row integer,
    primary key (round, row)
) without rowid;
create index if not exists refined_by_picture on refined (sha256);
"""
# A caption stands while the picture is there with the captions that it was scored against, in a
# training split. So nothing needs to be noted when a picture goes, or is captioned anew.
_STANDING = (
    "from picture p join refined r on r.sha256 = p.sha256 and r.captions_key = p.captions_key "
    "where p.training and"
)


class Standing(NamedTuple):
    """A refined caption of the picture in `row` of an embedding shard, and where it lies."""

    row: int
    text: str
    round: int
    round_row: int


class RefinedTable:
    """The part of a ledger that knows the refinement rounds; made where it is missing."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        db.executescript(_SCHEMA)

    def sizes(self) -> dict[int, int]:
        """The rounds that are taken in: number -> bytes of the shard, ascending."""
        return dict(self._db.execute("select number, bytes from round_shard order by number"))

    def add(self, number: int, refined: Sequence[Refined], size: int) -> None:
        """Take in a round; the shards of its pictures are then to be pushed again."""
        rows = [
            (one.sha256, bytes.fromhex(one.captions_key), one.text, number, row)
            for row, one in enumerate(refined)
        ]
        self._db.executemany("insert into refined values (?, ?, ?, ?, ?)", rows)
        self._db.execute("insert into round_shard values (?, ?)", (number, size))
        self._db.execute(
            "update shard set pushed = '' where number in "
            f"(select p.shard {_STANDING} r.round = ?)",
            (number,),
        )

    def remove(self, number: int) -> None:
        """Forget a round."""
        self._db.execute("delete from refined where round = ?", (number,))
        self._db.execute("delete from round_shard where number = ?", (number,))

    def points_of_round(self, number: int) -> list[str]:
        """The ids of the captions of a round that stand."""
        return self._points("r.round = ?", number)

    def points_of_picture(self, sha256: str) -> list[str]:
        """The ids of a picture's refined captions that stand."""
        return self._points("p.sha256 = ?", sha256)

    def standing_in(self, shard: int) -> list[Standing]:
        """The refined captions of a shard's pictures, by picture and round."""
        found = self._db.execute(
            f"select p.row, r.text, r.round, r.row {_STANDING} p.shard = ? order by 1, 3, 4",
            (shard,),
        )
        return [Standing(*values) for values in found]

    def counts(self) -> dict[int, int]:
        """How many captions of each round stand; a round without any is left out."""
        return dict(
            self._db.execute(f"select r.round, count(*) {_STANDING} true group by 1 order by 1")
        )

    def _points(self, condition: str, value: object) -> list[str]:
        found = self._db.execute(f"select p.image_id, r.text {_STANDING} {condition}", (value,))
        return [caption_id(image_id, text, "generated") for image_id, text in found]


class RefinedReader:
    """Reads vectors of refined captions; only the rows that are asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._rounds: dict[int, Any] = {}

    def by_picture(self, standing: Iterable[Standing]) -> dict[int, list[tuple[Standing, Halves]]]:
        """The captions with their stored vectors (dim,), by the row of their picture."""
        found: dict[int, list[tuple[Standing, Halves]]] = {}
        in_rounds = sorted(standing, key=attrgetter("round", "round_row"))
        for number, group in groupby(in_rounds, key=attrgetter("round")):
            captions = list(group)
            vectors = self._vectors(number, [caption.round_row for caption in captions])
            for caption, vector in zip(captions, vectors, strict=True):
                found.setdefault(caption.row, []).append((caption, vector))
        return found

    def _vectors(self, number: int, rows: list[int]) -> Halves:
        """Those rows of a round, ascending, in one read: they lie together as pictures do."""
        if number not in self._rounds:
            self._rounds[number] = round_rows(shard_path(self._folder, number))
        span = self._rounds[number][rows[0] : rows[-1] + 1]
        return np.asarray(span[[row - rows[0] for row in rows]], np.float16)
