"""Where files lie, and whether one was deleted or is merely out of reach."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

from engine.video.address import file_at
from ingest.readers.clutter import is_clutter


class Placing:
    """Says where files lie: one place for all ways to a folder, by links, `..` or as it is.

    A link to a file is a file of its own, which can be removed alone.
    """

    def __init__(self) -> None:
        self._real_folder = lru_cache(maxsize=256)(os.path.realpath)

    def __call__(self, path: Path) -> Path:
        """The one place of a file."""
        return Path(self._real_folder(path.parent), path.name)


def is_gone(path: Path, root: Path) -> bool:
    """Whether a file below the root was deleted, and is not merely out of reach.

    A folder that cannot be read, or holds nothing of a user's, may be a disk that is not mounted.
    """
    try:
        file_at(path).lstat()
    except FileNotFoundError:
        return holds_anything(nearest_folder(path, root))
    except OSError:
        pass
    return False


def nearest_folder(path: Path, root: Path) -> Path:
    """The deepest folder that is there of those that lead from the root to a file."""
    folder = path.parent
    while folder != root and not os.path.lexists(folder):
        folder = folder.parent
    return folder


def holds_anything(folder: Path) -> bool:
    """Whether there is more in a folder than what systems leave on a disk."""
    try:
        with os.scandir(folder) as found:
            return any(not is_clutter(item.name) for item in found)
    except OSError:
        return False


def below(root: Path, *places: str) -> Path | None:
    """The first of some ways to a file that leads through the root; None where none does."""
    found = (Path(place) for place in places)
    return next((path for path in found if path.is_relative_to(root)), None)
