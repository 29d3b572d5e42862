"""Which shots a collection's videos have: so that none is watched twice.

A cache: what is lost is found again by watching a video once more, with the same shots.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from corpus.cache import Cache

_TABLES = """
drop table if exists video;
drop table if exists shot;
drop table if exists file;
create table video (sha256 text primary key, method text, whole integer) without rowid;
create table shot (
    sha256 text, start_ms integer, end_ms integer, primary key (sha256, start_ms)
) without rowid;
create table file (
    path blob, sha256 text, size integer, mtime_ns integer, primary key (path, sha256)
) without rowid;
"""

Span = tuple[int, int]
"""When a shot begins and ends, in milliseconds."""


@dataclass(frozen=True)
class Watched:
    """What is known of a video; `whole`: it was watched to its end."""

    shots: tuple[Span, ...] = ()
    whole: bool = False


class Videos(Cache):
    """The shots of videos by their content, and which content lay where."""

    layout = 2
    tables = _TABLES

    def content_at(self, path: Path, size: int, mtime_ns: int) -> str:
        """The sha256 of the video that lay there, "" where it is not as it was."""
        query = "select sha256 from file where path = ? and size = ? and mtime_ns = ?"
        found = self._db.execute(query, (os.fsencode(path), size, mtime_ns)).fetchone()
        return str(found[0]) if found else ""

    def were_at(self, path: Path) -> tuple[str, ...]:
        """The sha256s of the videos that lay there, however the file looked."""
        query = "select sha256 from file where path = ?"
        return tuple(str(one) for (one,) in self._db.execute(query, (os.fsencode(path),)))

    def has_size(self, size: int) -> bool:
        """Whether any video had so many bytes."""
        query = "select exists (select 1 from file where size = ?)"
        return bool(self._db.execute(query, (size,)).fetchone()[0])

    def watched(self, sha256: str, method: str) -> Watched:
        """The shots of a video that were found by this method, in order."""
        query = "select method, whole from video where sha256 = ?"
        found = self._db.execute(query, (sha256,)).fetchone()
        if found is None or found[0] != method:
            return Watched()
        return Watched(self.shots(sha256), bool(found[1]))

    def shots(self, sha256: str) -> tuple[Span, ...]:
        """The shots of a video, by whatever method they were found."""
        query = "select start_ms, end_ms from shot where sha256 = ? order by start_ms"
        return tuple((start, end) for start, end in self._db.execute(query, (sha256,)))

    def put_file(self, path: Path, size: int, mtime_ns: int, sha256: str) -> None:
        """Note which video lies there, beside those that did before."""
        with self._db:
            self._db.execute(
                "insert or replace into file values (?, ?, ?, ?)",
                (os.fsencode(path), sha256, size, mtime_ns),
            )

    def forget_others(self, path: Path, sha256: str) -> None:
        """Forget which other videos lay there."""
        with self._db:
            self._db.execute(
                "delete from file where path = ? and sha256 <> ?", (os.fsencode(path), sha256)
            )

    def begin(self, sha256: str, method: str, shots: Sequence[Span]) -> None:
        """Note the shots that are known so far, and no others."""
        with self._db:
            self._db.execute("delete from shot where sha256 = ?", (sha256,))
            self._db.execute("insert or replace into video values (?, ?, 0)", (sha256, method))
            self._db.executemany(
                "insert into shot values (?, ?, ?)", [(sha256, *one) for one in shots]
            )

    def add(self, sha256: str, shot: Span) -> None:
        """Note one more shot."""
        with self._db:
            self._db.execute("insert or replace into shot values (?, ?, ?)", (sha256, *shot))

    def end(self, sha256: str) -> None:
        """Note that a video was watched to its end."""
        with self._db:
            self._db.execute("update video set whole = 1 where sha256 = ?", (sha256,))

    def take(self, other: Videos) -> None:
        """Take over what is known elsewhere, and not here."""
        for table, places in (("video", 3), ("shot", 3), ("file", 4)):
            rows = other._db.execute(f"select * from {table}").fetchall()
            marks = ", ".join("?" * places)
            with self._db:
                self._db.executemany(f"insert or ignore into {table} values ({marks})", rows)
