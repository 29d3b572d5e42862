"""Brings captions together by picture, in flat memory."""

from __future__ import annotations

import itertools
import json
import sqlite3
import tempfile
from collections.abc import Iterator
from types import TracebackType

from engine.errors import SourceError
from ingest.readers.annotation import Annotation

_LAYOUT = """
pragma journal_mode = off;
pragma synchronous = off;
pragma cache_size = -16000;
create table picture (n integer primary key, key blob unique, entry text);
create table caption (n integer primary key, picture integer, text text);
"""
_ALL = """
select picture.n, picture.entry, caption.text
from picture left join caption on caption.picture = picture.n
order by picture.n, caption.n
"""


class Gathering:
    """Annotations by key, each with the captions that were added to it; kept in a temporary file.

    An in-memory dict of COCO's train captions takes 400 MiB and grows with the source.
    """

    def __init__(self) -> None:
        # "" is a database in a temporary file that SQLite removes. Readers may be drained by
        # another thread than the one that closes them, never by two at once.
        self._db = sqlite3.connect("", check_same_thread=False)
        self._db.executescript(_LAYOUT)

    def __enter__(self) -> Gathering:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._db.close()
        if isinstance(error, sqlite3.Error):
            raise SourceError(
                f"captions could not be sorted by picture in {tempfile.gettempdir()}: {error}; "
                "free room there, or set TMPDIR to another folder"
            ) from error

    def add(self, key: str, entry: Annotation) -> None:
        """Add an entry; where the key is known already, only its captions."""
        picture = self._find(key)
        if picture is None:
            row = (_bytes(key), json.dumps({**vars(entry), "captions": ()}))
            insert = "insert into picture (key, entry) values (?, ?)"
            picture = self._db.execute(insert, row).lastrowid
        for caption in entry.captions:
            self._insert(picture, caption)

    def add_caption(self, key: str, caption: str) -> bool:
        """Add a caption to the entry of that key; False where there is none."""
        picture = self._find(key)
        if picture is not None:
            self._insert(picture, caption)
        return picture is not None

    def _find(self, key: str) -> int | None:
        found = self._db.execute("select n from picture where key = ?", (_bytes(key),)).fetchone()
        return found[0] if found else None

    def _insert(self, picture: int | None, caption: str) -> None:
        self._db.execute(
            "insert into caption (picture, text) values (?, ?)", (picture, _bytes(caption))
        )

    def entries(self) -> Iterator[Annotation]:
        """The entries in the order they were first added, with all their captions."""
        self._db.execute("create index by_picture on caption (picture)")
        rows = self._db.execute(_ALL)
        for (_, fields), group in itertools.groupby(rows, key=lambda row: row[:2]):
            captions = tuple(_text(row[2]) for row in group if row[2] is not None)
            values = json.loads(fields)
            yield Annotation(**{**values, "captions": captions, "tags": tuple(values["tags"])})


def _bytes(text: str) -> bytes:
    """Text as SQLite can hold it: file names need not be Unicode, and JSON may hold halves."""
    return text.encode("utf-8", "surrogatepass")


def _text(kept: bytes) -> str:
    return kept.decode("utf-8", "surrogatepass")
