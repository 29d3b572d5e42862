"""What an index takes on disk: its files have holes, room ahead that takes none yet."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from engine.store.interface import IndexSpec

ROOM = 64 * 2**20
"""Bytes that must be free for a write: many times what a batch takes, as others write meanwhile."""

_PART = 1 << 20
_JOURNALED = 3 * 32 * 2**20
"""The most that Edge's write-ahead log was seen to keep, in which vectors are float32."""
_BESIDE = 1024
"""Bytes of a point beside its dense vectors, as measured over captions of usual length."""
_UNIT = 512
"""Bytes of a block as the system counts them."""


def filled(handle: int) -> list[tuple[int, int]]:
    """Where an open file has data; all of it where the system does not tell."""
    size = os.fstat(handle).st_size
    if not hasattr(os, "SEEK_DATA"):
        return [(0, size)]
    spans, place = [], 0
    while place < size:
        try:
            start = os.lseek(handle, place, os.SEEK_DATA)
        except OSError:  # nothing but a hole is left
            break
        place = os.lseek(handle, start, os.SEEK_HOLE)
        spans.append((start, place))
    return spans


def copy_with_holes(source: str, target: str) -> str:
    """Copy a file, and leave out what takes no room in it."""
    with Path(source).open("rb", buffering=0) as given, Path(target).open("wb") as taken:
        for start, end in filled(given.fileno()):
            given.seek(start)
            taken.seek(start)
            while part := given.read(min(end - given.tell(), _PART)):
                taken.write(part)
        taken.truncate(os.fstat(given.fileno()).st_size)
    return target


def files_in(folder: Path) -> Iterator[tuple[str, Path]]:
    """The files in a folder and in those in it, with what they are called there.

    An index of pictures has some 230, and all are looked at whenever it is opened.
    """
    begin = len(str(folder)) + 1
    for place, _, names in os.walk(folder):
        within = f"{place[begin:]}/".replace(os.sep, "/") if place[begin:] else ""
        for name in names:
            yield within + name, Path(place, name)


def room_taken(folder: Path) -> tuple[int, int]:
    """The bytes that the files of a folder take on disk, and those that their holes may take."""
    taken = holes = 0
    for _, path in files_in(folder):
        status = path.stat()
        there = getattr(status, "st_blocks", status.st_size // _UNIT) * _UNIT
        taken += there
        holes += max(0, status.st_size - there)
    return taken, holes


def room_for(points: int, spec: IndexSpec) -> int:
    """Bytes that an index of so many points takes while it is written."""
    numbers = points * spec.dim * len(spec.vectors)
    return points * _BESIDE + 2 * numbers + min(6 * numbers, _JOURNALED) + ROOM
