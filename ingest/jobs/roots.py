"""Keeps a source inside one folder: nothing outside it can be reached, links included."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from operator import length_hint
from pathlib import Path

from corpus.records import Counted, ImageRecord, Record, Skipped
from engine.errors import InvalidInput, SourceError
from engine.video.address import file_at


def inside(root: Path, path: Path) -> Path:
    """Where a path really lies, which must be the root or below it; raises InvalidInput.

    A relative path starts at the root. What lies outside is refused in the same words whether
    it exists or not.
    """
    place = _resolved(root / path)
    if place is None or not place.is_relative_to(root.resolve()):
        raise InvalidInput(
            f"{path} does not lie in {root}, the only folder of this machine that may be read "
            "(MRAG_SOURCE_ROOT); move it there, or upload a zip"
        )
    return place


def check_links(root: Path, folder: Path) -> None:
    """Raise SourceError if a link in the folder, or below it, leads out of the root."""
    root = root.resolve()
    pending, seen = [folder], set[Path]()
    while pending:
        current = pending.pop().resolve()
        if current in seen or not os.access(current, os.R_OK | os.X_OK):
            continue
        seen.add(current)
        with os.scandir(current) as found:
            for item in found:
                if item.is_symlink():
                    _check_link(root, Path(item.path))
                if item.is_dir():
                    pending.append(Path(item.path))


def only_inside(records: Iterable[Record], root: Path) -> Iterator[Record]:
    """The records, with Skipped in place of pictures whose files lie outside the root."""
    checked = _checked(iter(records), root.resolve())
    count = length_hint(records)
    return Counted(checked, lambda: count) if count else checked


def _checked(records: Iterator[Record], root: Path) -> Iterator[Record]:
    for record in records:
        if isinstance(record, ImageRecord):
            place = _resolved(file_at(record.path))
            if place is None or not place.is_relative_to(root):
                yield Skipped(record.uri, "lies outside the folder that may be read")
                continue
        yield record


def _check_link(root: Path, link: Path) -> None:
    place = _resolved(link)
    if place is None or not place.is_relative_to(root):
        raise SourceError(
            f"{link} is a link that leads out of {root}, the only folder that may be read; remove "
            "it, or put what it names in its place"
        )


def _resolved(path: Path) -> Path | None:
    """The path without links, None where it cannot be one."""
    try:
        return path.resolve()
    except (OSError, ValueError, RuntimeError):
        return None
