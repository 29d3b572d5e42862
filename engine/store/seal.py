"""A seal on a folder: the size and checksum of each file as it was written last.

Whoever opens what lies in it can tell damage before a library maps the files, which may end the
process or answer wrongly. A file that the system says nobody has touched since is not read again.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import NamedTuple, Self

from pydantic import TypeAdapter, ValidationError

from engine.files import write_whole
from engine.store.holes import files_in, filled

_BLOCK = 1 << 16
_ZEROS = bytes(_BLOCK)
_SMALL = 1 << 21
_TRANSIENT = ".atomicwrite"
"""How names begin of files that Edge renames when they are whole."""


class Mark(NamedTuple):
    """What a file was: its length, its checksum, and when the system saw it change last."""

    size: int
    checksum: int
    modified_ns: int
    changed_ns: int


@dataclass(frozen=True)
class Seal:
    """The files of a folder, by their paths in it.

    `settled`: opening them changes nothing but their times. `closed`: nobody had them open.
    """

    files: dict[str, Mark]
    settled: bool
    closed: bool = False

    @classmethod
    def of(
        cls,
        folder: Path,
        *,
        settled: bool,
        closed: bool = False,
        known: Seal | None = None,
        only: str = "",
    ) -> Self:
        """Seal a folder as it is now, or `only` one file of it.

        Of `known` files those alone are read that were touched.
        """
        marks = {} if known is None else known.files
        chosen = [(only, folder / only)] if only else _files(folder)
        return cls({name: _mark(path, marks.get(name)) for name, path in chosen}, settled, closed)

    @property
    def binds(self) -> bool:
        """Whether what differs from it is damage."""
        return self.settled or self.closed

    @classmethod
    def read(cls, path: Path) -> Self | None:
        """Read a seal; None where there is none, or none that can be read."""
        try:
            return TypeAdapter(cls).validate_json(path.read_bytes())
        except (OSError, ValidationError):
            return None

    def write(self, path: Path) -> None:
        """Keep the seal; after a power cut it may be missing, or broken, but never wrong."""
        write_whole(path, json.dumps(vars(self)) + "\n", durable=False)

    def breach(self, folder: Path, *, thorough: bool = False) -> str:
        """What is not as it was sealed; "" where all is. `thorough`: reads untouched files too."""
        found = dict(_files(folder))
        for name, mark in self.files.items():
            if name not in found:
                return f"{name} is gone"
            now = _mark(found[name], None if thorough else mark)
            if (now.size, now.checksum) != (mark.size, mark.checksum):
                return f"{name} is not as it was written"
        added = [name for name in found.keys() - self.files.keys() if name.startswith("segments/")]
        return f"{min(added)} was not there" if added else ""

    def is_quick(self, folder: Path) -> bool:
        """Whether the large files are untouched, so that they need not be read."""
        return all(
            mark.size <= _SMALL or _times((folder / name).stat()) == mark[2:]
            for name, mark in self.files.items()
        )


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    for name, path in files_in(folder):
        if not name.rpartition("/")[2].startswith(_TRANSIENT):
            yield name, path


def _mark(path: Path, known: Mark | None) -> Mark:
    """The mark of a file, which is not read where it is known and was not touched since."""
    status = path.stat()
    times = _times(status)
    if known is not None and times == known[2:]:
        return known
    if path.suffix == ".json":  # written again and again, with its keys in any order
        content = _canonical(path.read_bytes())
        return Mark(len(content), zlib.crc32(content), *times)
    with path.open("rb", buffering=0) as file:
        return Mark(status.st_size, _checksum(file, status.st_size), *times)


def _times(status: os.stat_result) -> tuple[int, int]:
    return status.st_mtime_ns, status.st_ctime_ns


def _canonical(content: bytes) -> bytes:
    try:
        return json.dumps(json.loads(content), sort_keys=True).encode()
    except ValueError:
        return content


def _checksum(file: FileIO, size: int) -> int:
    """The checksum of a file, in which a hole and zeros are the same."""
    found, done = 0, 0
    for start, end in filled(file.fileno()) if size > _BLOCK else [(0, size)]:
        place = max(done, start - start % _BLOCK)
        while place < end:
            file.seek(place)
            block = file.read(_BLOCK)
            if block != _ZEROS[: len(block)]:
                found = zlib.crc32(block, zlib.crc32(place.to_bytes(8, "little"), found))
            place += _BLOCK
        done = place
    return found
