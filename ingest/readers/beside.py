"""Finds the pictures that a file of annotations is about, where they usually lie."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path

from corpus.records import Skipped
from ingest.readers.annotation import Annotation
from ingest.readers.spelling import Folders

_TRIED = 50
"""Pictures that are looked for: some of a set may be missing, or lie in another folder."""

_PARTS = tuple(f"{part}{year}" for part in ("train", "val", "test") for year in (2014, 2015, 2017))


def folder_beside(path: Path, entries: Iterable[Annotation | Skipped]) -> Path | None:
    """The folder near a file that holds most of the pictures which its first entries name.

    Beside the file and beside its folder, there in `images`, and in COCO's folders (`val2017`).
    None where no picture is found; the nearer place where several hold as many.
    """
    named = (entry for entry in entries if isinstance(entry, Annotation) and entry.image)
    tried = list(islice(named, _TRIED))
    found = [(_held(place, tried), place) for place in _places(path.absolute())]
    most, best = max(found, key=lambda one: one[0], default=(0, path))
    return best if most else None


def _places(path: Path) -> Iterator[Path]:
    for near in (path.parent, path.parent.parent):
        for folder in (near, near / "images"):
            for place in (folder, *(folder / part for part in _PARTS)):
                with suppress(PermissionError):
                    if place.is_dir():
                        yield place


def _held(place: Path, tried: list[Annotation]) -> int:
    folders = Folders()
    return sum(any(_is_there(folders, place, one) for one in names) for names in map(_names, tried))


def _names(entry: Annotation) -> list[str]:
    return [name for name in (entry.image, entry.elsewhere) if name]


def _is_there(folders: Folders, place: Path, name: str) -> bool:
    try:
        return folders.find(place, name) is not None
    except (OSError, ValueError):
        return False
