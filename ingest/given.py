"""What sources give now, in flat memory: each file once, and all of what is new."""

from __future__ import annotations

import pickle
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from enum import IntEnum
from types import TracebackType
from typing import Literal, Self

import numpy as np

from corpus.records import CaptionRecord, ImageRecord
from ingest.sources import Keys

_LAYOUT = """
pragma journal_mode = off;
pragma synchronous = off;
pragma cache_size = -64000;
create table file (
    key integer primary key, turn integer, source integer, own integer, known integer,
    state integer, size integer, record blob
);
create table caption (key integer primary key, turn integer, source integer, record blob);
"""
_FIELDS = ("turn", "source", "own", "state", "size", "record")
# Of several sources that give a file the last one with captions speaks, without any the first.
_ADD = f"""
insert into file values (:key, :turn, :source, :own, :own, :state, :size, :record)
on conflict (key) do update set known = file.known or excluded.known,
{", ".join(f"{one} = iif(:captioned, excluded.{one}, file.{one})" for one in _FIELDS)}
"""
_MANY = 1000


class State(IntEnum):
    """How a file stands to what the collection knows of it.

    `SAID`: other words are said of it. `LESS`: so are they, but none, and by another one than who
    said the old ones. `BAD`: it could not be read before, and has not changed since.
    """

    SAME, NEW, CHANGED, SAID, LESS, BAD, MOVED = range(7)


@dataclass(frozen=True)
class GivenFile:
    """A file that a source gives.

    `own`: by the id that the collection has for it; `known`: a source, if another one, does so.
    """

    key: int
    source: int
    state: State
    size: int
    record: ImageRecord
    own: bool = False
    known: bool = False


class Given:
    """Collects what sources give, one source after the other."""

    def __init__(self) -> None:
        # "" is a database in a temporary file that SQLite removes.
        self._db = sqlite3.connect("", check_same_thread=False)
        self._db.executescript(_LAYOUT)
        self._files: list[dict[str, object]] = []
        self._turn = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._db.close()

    def clear(self) -> None:
        """Forget all of it."""
        self._files = []
        self._db.executescript("delete from file; delete from caption")

    def add(self, file: GivenFile) -> None:
        """Take a file; what else was given of it gives way if this tells more."""
        self._turn += 1
        values = {name: getattr(file, name) for name in ("key", "source", "own", "state", "size")}
        record = None if file.state == State.SAME else pickle.dumps(file.record)
        captioned = bool(file.record.captions)
        self._files.append({**values, "turn": self._turn, "record": record, "captioned": captioned})
        if len(self._files) >= _MANY:
            self._flush()

    def add_caption(self, key: int, source: int, caption: CaptionRecord | None) -> None:
        """Take a caption that stands alone; None: it is known."""
        self._turn += 1
        record = None if caption is None else pickle.dumps(caption)
        insert = "insert or ignore into caption values (?, ?, ?, ?)"
        self._db.execute(insert, (key, self._turn, source, record))

    def keys(self, table: Literal["file", "caption"]) -> Keys:
        """The keys of what is given, ascending."""
        self._flush()
        found = self._db.execute(f"select key from {table} order by key")
        return np.fromiter((key for (key,) in found), np.int64)

    def files(self, *states: State) -> Iterator[GivenFile]:
        """The files in these states, in the order that they were given in."""
        self._flush()
        wanted = ", ".join(str(int(state)) for state in states)
        found = self._db.execute(
            "select key, source, state, size, record, own, known from file "
            f"where state in ({wanted}) order by turn"
        )
        with closing(found):
            for key, source, state, size, record, own, known in found:
                told: ImageRecord = pickle.loads(record)
                yield GivenFile(key, source, State(state), size, told, bool(own), bool(known))

    def new_captions(self) -> Iterator[tuple[int, CaptionRecord]]:
        """The captions that are new, each with its source."""
        query = "select source, record from caption where record is not null order by turn"
        for source, record in self._db.execute(query):
            yield source, pickle.loads(record)

    def put(self, file: GivenFile, state: State) -> None:
        """Have a file be in another state."""
        record = pickle.dumps(file.record)
        change = "update file set state = ?, record = ? where key = ?"
        self._db.execute(change, (state, record, file.key))

    def count(self, *states: State) -> int:
        """How many files are in these states."""
        self._flush()
        wanted = ", ".join(str(int(state)) for state in states)
        (count,) = self._db.execute(
            f"select count(*) from file where state in ({wanted})"
        ).fetchone()
        return int(count)

    def count_captions(self) -> int:
        """How many captions are new."""
        query = "select count(*) from caption where record is not null"
        (count,) = self._db.execute(query).fetchone()
        return int(count)

    def _flush(self) -> None:
        self._db.executemany(_ADD, self._files)
        self._files = []
