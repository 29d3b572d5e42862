"""Mends what the hub's cache holds of a model: damaged files go, and are fetched again."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from time import time

from engine.models import hub
from engine.models.hub_cache import Needed, cached, repository_folder, snapshot
from engine.models.soundness import flaw_by_checksum
from engine.progress import ticking

_ABANDONED_S = 3600.0
"""A part of a file that nobody has added to for so long is nobody's any more."""


def repair(needed: Needed) -> list[str]:
    """Compare the cache's files with their checksums, fetch anew what is damaged or not there.

    Returns what was found and done. Raises Missing where the hub cannot be asked; then nothing
    has been removed.
    """
    told = [f"{path} had been left behind and is removed" for path in _left_behind(needed)]
    damaged = {path: found for path in _files(needed) if (found := _flaw(path))}
    there = bool(cached(needed))
    if damaged or not there:
        hub.listed(needed)
        for path in damaged:
            _remove(path, needed)
        hub.fetch_all(needed)
    if not there:
        told.append(f"what was not there of {needed.repository} has been fetched")
    told += [f"{path} {found}: fetched again" for path, found in damaged.items()]
    return told or [f"the files of {needed.repository} are whole"]


def _flaw(path: Path) -> str:
    with ticking(f"check {path.name} (seconds)"):
        return flaw_by_checksum(path)


def _remove(path: Path, needed: Needed) -> None:
    """Remove a file from the cache; what a link leads to elsewhere is not the cache's."""
    kept = path.resolve()
    path.unlink(missing_ok=True)
    if kept.is_relative_to(repository_folder(needed.repository).resolve()):
        kept.unlink(missing_ok=True)


def _files(needed: Needed) -> list[Path]:
    """The files of the cache that are, or were, fetched for it."""
    folder = snapshot(needed.repository)
    if folder is None or not folder.is_dir():
        return []
    patterns = [name for one in needed.files for name in one.names]
    patterns += [*needed.also, "*-of-*.safetensors"]
    return [
        path
        for path in sorted(folder.iterdir())
        if path.is_file() and any(fnmatch(path.name, pattern) for pattern in patterns)
    ]


def _left_behind(needed: Needed) -> Iterator[Path]:
    """Parts that the hub's own client left when it was killed: it never goes on with them."""
    for path in sorted((repository_folder(needed.repository) / "blobs").glob("*.incomplete")):
        if time() - path.stat().st_mtime > _ABANDONED_S:
            path.unlink()
            yield path
