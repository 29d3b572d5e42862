"""Which pictures are meant by folders and files that somebody names."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from corpus.records import Skipped
from ingest.readers.folder import pictures_in


def pictures_of(
    paths: Iterable[Path], tell: Callable[[Path, str], None], *, without: Path | None = None
) -> Iterator[Path]:
    """The pictures in folders and below, and files by themselves, each once.

    `tell` is told of what cannot be looked at. Nothing inside of `without` is given.
    """
    seen: set[Path] = set()
    for path in paths:
        for picture in _found(path, tell):
            left_out = without is not None and picture.absolute().is_relative_to(without.absolute())
            if picture not in seen and not left_out:
                seen.add(picture)
                yield picture


def _found(path: Path, tell: Callable[[Path, str], None]) -> Iterator[Path]:
    if not os.path.isdir(path):  # noqa: PTH112 (of a name that none can have it says so)
        yield path  # what it is shows when it is opened
        return
    for found in pictures_in(path):
        if isinstance(found, Skipped):
            tell(Path(found.uri), found.reason)
        else:
            yield found
