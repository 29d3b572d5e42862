"""A cache in SQLite beside a collection's shards, which any number of processes may write.

What is lost of it is made again of what it was made of.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Self

from corpus.database import Database
from engine.errors import Damaged


class Cache:
    """A file that is made, and made anew where it is damaged or of another layout."""

    layout: ClassVar[int]
    """The number of the tables' form."""

    tables: ClassVar[str]
    """Statements that drop the tables, if there are any, and create them."""

    def __init__(self, database: Database) -> None:
        self._db = database

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open the file, which is made if there is none; one that is damaged is made anew."""
        try:
            return cls(cls._opened(path))
        except Damaged:
            path.unlink(missing_ok=True)
            return cls(cls._opened(path))

    @classmethod
    def _opened(cls, path: Path) -> Database:
        database = Database.to(path, writable=True)
        try:
            # Others write it too, and what a power cut takes of a cache is made again.
            database.execute("pragma busy_timeout = 60000")
            database.execute("pragma synchronous = off")
            (layout,) = database.execute("pragma user_version").fetchone()
            if layout != cls.layout:
                noted = f"pragma user_version = {cls.layout};"
                database.executescript(f"begin immediate; {cls.tables} {noted} commit;")
        except BaseException:
            database.close()
            raise
        return database

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
