"""The ledger's SQLite file: opened, sealed while nobody writes it, and its faults named."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from engine.disk import refusal
from engine.errors import Damaged
from engine.store.seal import Seal

NAME = "ledger.sqlite"
_SEAL = "ledger.seal.json"
_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_REFUSED = {
    sqlite3.SQLITE_FULL: errno.ENOSPC,
    sqlite3.SQLITE_READONLY: errno.EACCES,
    sqlite3.SQLITE_PERM: errno.EACCES,
    sqlite3.SQLITE_CANTOPEN: errno.EACCES,
    sqlite3.SQLITE_IOERR: errno.EIO,
}
_IOERR_FULL = (sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE)


class Database(sqlite3.Connection):
    """A connection whose errors say what is true, wherever they come up."""

    path: Path

    @classmethod
    def to(cls, path: Path, *, writable: bool) -> Self:
        """Open the file, which a writable one makes."""
        with _named(path):
            where = path.absolute().as_uri() + ("" if writable else "?mode=ro")
            made = sqlite3.connect(where, uri=True, factory=cls)
            made.path = path
            return made

    def execute(self, *arguments: Any) -> sqlite3.Cursor:
        """Run a statement, whose rows name their faults too."""
        return self.cursor(_Rows).execute(*arguments)

    def executemany(self, *arguments: Any) -> sqlite3.Cursor:
        """Run a statement for each of several values."""
        return self.cursor(_Rows).executemany(*arguments)

    def executescript(self, *arguments: Any) -> sqlite3.Cursor:
        """Run several statements."""
        return self.cursor(_Rows).executescript(*arguments)

    def __exit__(self, *raised: Any) -> Any:
        with _named(self.path):
            return super().__exit__(*raised)


class _Rows(sqlite3.Cursor):
    """The rows of a statement, in reading which damage may come up too."""

    def execute(self, *arguments: Any) -> Self:
        with self._named():
            return super().execute(*arguments)

    def executemany(self, *arguments: Any) -> Self:
        with self._named():
            return super().executemany(*arguments)

    def executescript(self, *arguments: Any) -> sqlite3.Cursor:
        with self._named():
            return super().executescript(*arguments)

    def fetchone(self) -> Any:
        with self._named():
            return super().fetchone()

    def fetchall(self) -> list[Any]:
        with self._named():
            return super().fetchall()

    def __next__(self) -> Any:
        try:  # for each row: a context would take longer than the row
            return super().__next__()
        except sqlite3.DatabaseError as error:
            raise _error(error, self._path) from error

    @property
    def _path(self) -> Path:
        connection = self.connection
        assert isinstance(connection, Database)
        return connection.path

    def _named(self) -> Any:
        return _named(self._path)


@contextmanager
def _named(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.DatabaseError as error:
        raise _error(error, path) from error


def _error(error: sqlite3.DatabaseError, path: Path) -> Exception:
    """What SQLite said, as the error that it is; itself where it is none of the disk's."""
    code = getattr(error, "sqlite_errorcode", 0)
    if code & 0xFF in _DAMAGE:
        name = path.absolute().parents[1].name
        return Damaged(
            f"the ledger {path} is damaged ({error}); it is made anew from the shards with: "
            f"mrag verify {name} --mend"
        )
    if code & 0xFF in _REFUSED:
        number = errno.ENOSPC if code in _IOERR_FULL else _REFUSED[code & 0xFF]
        return refusal(path, number, str(error))
    return error


def seal(folder: Path) -> None:
    """Note what the ledger is, now that it is closed; not while others still read it."""
    if _is_at_rest(folder):
        Seal.of(folder, settled=True, only=NAME).write(folder / _SEAL)


def unseal(folder: Path) -> None:
    """Forget what it was: it is about to be written."""
    (folder / _SEAL).unlink(missing_ok=True)


def breach(folder: Path) -> str:
    """What is wrong with a ledger that nobody writes; "" where nothing is, or none can tell."""
    found = Seal.read(folder / _SEAL)
    if found is None or not (folder / NAME).exists() or not _is_at_rest(folder):
        return ""
    told = found.breach(folder)
    return told if told and Seal.read(folder / _SEAL) == found else ""


def is_sealed(folder: Path) -> bool:
    """Whether it can be told what the ledger was."""
    return (folder / _SEAL).is_file()


def _is_at_rest(folder: Path) -> bool:
    """Whether all that was written is in the one file."""
    journal = folder / f"{NAME}-wal"
    return not journal.exists() or not journal.stat().st_size
