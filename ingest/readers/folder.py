"""Reads a folder of pictures and videos, with captions from text files beside pictures."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePath
from typing import NamedTuple

from corpus.records import Skipped
from engine.video.address import is_video
from ingest.readers.annotation import Annotation, one_line, printable
from ingest.readers.lines import encoding_of, is_decoded
from ingest.readers.spelling import Spellings, spelled, spellings
from mrag_client.files import open_regular

_SIDECAR_LIMIT = 2**20
_NOT_THE_USERS = frozenset({"@eaDir", "__MACOSX", "#recycle", "$RECYCLE.BIN"})
"""Folders that file servers and archives put beside pictures, with copies of them."""


def read_folder(folder: Path) -> Iterator[Annotation | Skipped]:
    """An entry for each picture or video, sub-folders included, folder by folder in order of names.

    Captions are the lines of `photo.jpg.txt`, else of `photo.txt`, beside `photo.jpg`.
    Text beside a video is about all of it, and is the caption of none of its shots.
    Linked folders come last and each folder is read once, so links in a circle end. Hidden
    files and folders, and files that are not pictures, are passed over. Memory: the names of
    one folder.
    """
    for found in _walk(folder):
        if isinstance(found, Skipped):
            yield found
            continue
        for name in found.pictures:
            yield from _read_picture(folder, found, name)


def pictures_in(folder: Path) -> Iterator[Path | Skipped]:
    """The picture files that `read_folder` would give, in its order; their text is not read."""
    for found in _walk(folder):
        if isinstance(found, Skipped):
            yield found
        else:
            yield from (found.path / name for name in found.pictures)


def count_pictures(folder: Path) -> int:
    """How many pictures `read_folder` would give."""
    found = _walk(folder)
    return sum(len(one.pictures) for one in found if not isinstance(one, Skipped))


class _Folder(NamedTuple):
    """Names in one folder: pictures and folders in order, sidecars by lower-case suffix.

    `spellings` are those of the sidecars.
    """

    path: Path
    pictures: list[str]
    spellings: Spellings
    sidecars: Mapping[str, str]
    folders: list[str]

    def sidecar(self, picture: str) -> str:
        """The file with the captions of a picture, "" where it has none.

        Raises ValueError where several may be meant.
        """
        wanted = (f"{picture}.txt", f"{PurePath(picture).stem}.txt")
        names = [name for name in wanted if name in self.sidecars] or [
            name for one in wanted if (name := spelled(one, self.spellings))
        ]
        return self.sidecars[names[0]] if names else ""


def _walk(folder: Path) -> Iterator[_Folder | Skipped]:
    """The folder and those below it."""
    seen: set[tuple[int, int]] = set()
    pending, linked = [folder], list[Path]()
    while pending or linked:
        current = pending.pop() if pending else linked.pop(0)
        try:
            status = current.stat()
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            listed = _list(current, linked)
        except OSError as error:
            reason = f"the folder cannot be read: {error.strerror}"
            yield Skipped(printable(str(current)), reason)
            continue
        yield listed
        pending.extend(current / name for name in reversed(listed.folders))


def _list(folder: Path, linked: list[Path]) -> _Folder:
    """What is in a folder; notes links to folders."""
    from engine.images import SUFFIXES
    from engine.video.address import VIDEO_SUFFIXES

    pictures, sidecars, folders, links = [], {}, [], []
    with os.scandir(folder) as found:
        for item in found:
            suffix = PurePath(item.name).suffix
            if item.name.startswith(".") or item.name in _NOT_THE_USERS:
                continue
            if item.is_dir(follow_symlinks=False):
                folders.append(item.name)
            elif item.is_symlink() and Path(item.path).is_dir():
                links.append(folder / item.name)
            elif suffix.lower() in SUFFIXES | VIDEO_SUFFIXES:
                pictures.append(item.name)
            elif suffix.lower() == ".txt":
                sidecars[item.name.removesuffix(suffix) + ".txt"] = item.name
    linked.extend(sorted(links))
    return _Folder(folder, sorted(pictures), spellings(sidecars), sidecars, sorted(folders))


def _read_picture(root: Path, found: _Folder, name: str) -> Iterator[Annotation | Skipped]:
    relative = (found.path / name).relative_to(root)
    captions: tuple[str, ...] = ()
    sidecar = f"{name}.txt"
    try:
        if not is_video(name) and (sidecar := found.sidecar(name)):
            captions = _read_sidecar(found.path / sidecar)
    except (OSError, ValueError) as error:
        uri = printable(str(found.path / (sidecar or name)))
        yield Skipped(uri, f"captions not read: {error}", "captions")
    yield Annotation(
        image=str(relative), captions=captions, image_id=printable(relative.as_posix())
    )


def _read_sidecar(path: Path) -> tuple[str, ...]:
    with open_regular(path) as file:
        content = file.read(_SIDECAR_LIMIT + 1)
    if len(content) > _SIDECAR_LIMIT:
        raise ValueError(f"the file has more than {_SIDECAR_LIMIT:,} bytes")
    try:
        text = content.decode(encoding_of(content))
    except UnicodeDecodeError as error:
        raise ValueError("the file is not UTF-8; save it as UTF-8") from error
    if not is_decoded(text):
        raise ValueError("the file is not UTF-8; save it as UTF-8")
    return tuple(line for line in map(one_line, text.splitlines()) if line)
