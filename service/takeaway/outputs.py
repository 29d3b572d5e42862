"""What a description is written into: each kind says which pictures it wants, and takes them."""

from __future__ import annotations

import errno
import os
import re
import stat
from contextlib import suppress
from pathlib import Path
from time import time
from typing import Protocol

from engine.errors import DiskFull, InvalidInput, MragError
from engine.files import write_whole
from mrag_client.files import open_regular
from mrag_client.models import Description, MadeWith

_FULL = (errno.ENOSPC, errno.EDQUOT)
_STALE_S = 60.0
"""What was begun to be written so long ago was left by a process that is no more."""


class Untaken(InvalidInput):
    """A picture whose description cannot be written there; the others can."""


class Output(Protocol):
    """One place for descriptions; see `service.takeaway.describing`."""

    @property
    def compares(self) -> bool:
        """Whether what it wants depends on what descriptions are made with now."""

    def wants(self, picture: Path, now: MadeWith | None) -> bool:
        """Whether a description of a picture would be written; raises Untaken where it cannot."""

    def write(self, picture: Path, told: Description) -> None:
        """Write a description; raises Untaken, or DiskFull, which concerns all others too."""

    def close(self, *, done: bool) -> None:
        """End what was written; `done`: all pictures have had their turn."""


class Claims:
    """Which picture a file beside pictures is of, where several could be meant."""

    def __init__(self) -> None:
        self._of: dict[str, Path] = {}

    def claim(self, place: Path, picture: Path, remedy: str) -> None:
        """Raise Untaken where another picture has claimed the place first."""
        first = self._of.setdefault(str(place).casefold(), picture)
        if first != picture:
            raise Untaken(f"{place.name} is that of {first.name}, too; {remedy}")


def read_beside(place: Path, most: int) -> bytes:
    """What lies there, b"" where nothing does; raises Untaken for what is not to be touched."""
    try:
        if place.is_symlink():
            raise Untaken(f"{place} is a link, and nothing is written through links; remove it")
        with open_regular(place) as file:
            content = file.read(most + 1)
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise Untaken(f"{place} cannot be read ({error.strerror or error}); left alone") from error
    if len(content) > most:
        raise Untaken(f"{place} has more than {most:,} bytes; left alone")
    return content


def check_writable(place: Path) -> None:
    """Raise Untaken, before anything is described, where a file could not be written."""
    if not os.access(place.parent, os.W_OK):
        raise Untaken(_refused(place, errno.EACCES, "its folder may not be written to"))


def put(place: Path, content: bytes) -> None:
    """Write a file whole, with the rights that it had."""
    try:
        try:
            mode = stat.S_IMODE(place.stat().st_mode)
        except FileNotFoundError:
            mode = 0o644
        write_whole(place, content, mode=mode)
    except OSError as error:
        raise refusal(place, error) from error


class Sweeper:
    """Removes what killed processes had begun to write of files, folder by folder, once in each."""

    def __init__(self, *endings: str) -> None:
        """`endings` are those of the files."""
        self._endings = tuple(re.escape(ending) for ending in endings)
        self._begun = re.compile(rf"\..*({'|'.join(self._endings)})\.[0-9a-f]{{8}}\.partial", re.I)
        self._swept: set[Path] = set()

    def sweep(self, folder: Path) -> None:
        """Sweep a folder, unless that was done before."""
        if folder in self._swept:
            return
        self._swept.add(folder)
        with suppress(OSError):  # it need not be there, and what is there may be another user's
            for path in folder.glob(".*.partial"):
                is_old = time() - path.stat().st_mtime > _STALE_S
                if is_old and self._begun.fullmatch(path.name):
                    path.unlink()


def refusal(place: Path, error: OSError) -> MragError:
    """What the system refuses of a file: DiskFull concerns all that is to be written, else one."""
    told = _refused(place, error.errno or 0, error.strerror or str(error))
    return DiskFull(told) if error.errno in _FULL else Untaken(told)


def _refused(place: Path, code: int, said: str) -> str:
    if code in _FULL:
        return (
            f"the disk of {place} is full; free some space on it, and run the same again: what has "
            "been written is kept"
        )
    elsewhere = "write elsewhere with --out FILE or --embed-to FOLDER"
    if code == errno.EROFS:
        return (
            f"{place} lies on a disk that is mounted read-only; mount it writable, or {elsewhere}"
        )
    return f"{place} cannot be written: {said}; have its owner give you the right, or {elsewhere}"
