"""Sidecars: files of XMP beside a picture, which say of it what was not written into it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from engine.legible import legible
from engine.metadata.facts import Facts
from engine.metadata.xmp import read_xmp
from engine.xmp import MOST_BYTES, NotXmp
from mrag_client.files import open_regular

SUFFIX = ".xmp"


class Sidecars:
    """The sidecars of the pictures of one pass: each folder is listed once."""

    def __init__(self) -> None:
        self._listed = lru_cache(maxsize=64)(_listed)

    def of(self, picture: Path) -> tuple[Path, ...]:
        """`photo.jpg.xmp` and `photo.xmp` beside `photo.jpg`, as far as they are there."""
        there = self._listed(picture.parent)
        if not there:
            return ()
        wanted = dict.fromkeys((f"{picture.name}{SUFFIX}", f"{picture.stem}{SUFFIX}"))
        found = (there.get(name.casefold()) for name in wanted)
        return tuple(picture.parent / name for name in found if name)


def stamp(sidecars: Sequence[Path]) -> str:
    """What tells whether sidecars have changed; "" where there are none."""
    told = []
    for path in sidecars:
        with suppress(OSError):
            status = path.stat()
            name = legible(path.name)  # bytes that are no text could not be kept
            told.append(f"{name} {status.st_size} {status.st_mtime_ns}")
    return "\n".join(told)


def read_sidecar(path: Path) -> Facts:
    """What a sidecar says; raises ValueError, which says why, where it cannot be read."""
    try:
        with open_regular(path) as file:
            return read_xmp(file.read(MOST_BYTES + 1))
    except NotXmp as error:
        raise ValueError(str(error)) from error
    except (OSError, ValueError) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error


def _listed(folder: Path) -> dict[str, str]:
    """The names of sidecars in a folder, by how they are compared."""
    with suppress(OSError), os.scandir(folder) as found:
        names = (item.name for item in found)
        return {name.casefold(): name for name in names if name.casefold().endswith(SUFFIX)}
    return {}
