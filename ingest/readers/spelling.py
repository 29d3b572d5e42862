"""File names that are written otherwise than on disk: an é as one character, or as e and accent.

macOS hands names out decomposed (NFD), other systems and most lists of captions have them
composed (NFC). Both are the same name to whoever wrote it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from unicodedata import normalize

from mrag_client.files import is_regular

_FOLDERS = 64
"""Folders whose listings are remembered."""

Spellings = Mapping[str, list[str]]


def spellings(names: Iterable[str]) -> Spellings:
    """The names by their composed form, those in plain ASCII left out: they have one spelling."""
    found: dict[str, list[str]] = {}
    for name in names:
        if not name.isascii():
            found.setdefault(normalize("NFC", name), []).append(name)
    return found


def spelled(name: str, known: Spellings) -> str:
    """The known name that is this one in another spelling, "" where there is none.

    Raises ValueError where several are.
    """
    found = [] if name.isascii() else known.get(normalize("NFC", name), [])
    if len(found) > 1:
        raise ValueError(
            f"{len(found)} files have the name {name!r} but for how its accents are written; "
            "rename all but one"
        )
    return found[0] if found else ""


class Folders:
    """Finds files by names in any spelling; what is in a folder is listed once."""

    def __init__(self) -> None:
        self._listed = lru_cache(maxsize=_FOLDERS)(_listed)

    def find(self, base: Path, name: str) -> Path | None:
        """The file of that name below `base`, if there is one; the name as written goes first.

        Raises OSError or ValueError for what is something else or can be no file, or could be
        several.
        """
        path = base / name
        if is_regular(path):
            return path
        if name.isascii():
            return None
        place = base
        for part in Path(name).parts:
            exact = place / part
            if exact.exists():
                place = exact
            elif other := spelled(part, self._listed(place)):
                place /= other
            else:
                return None
        return place if is_regular(place) else None


def _listed(folder: Path) -> Spellings:
    return spellings(item.name for item in folder.iterdir()) if folder.is_dir() else {}
