"""The generations of a collection's index: where each lies, which answers, who reads it.

A generation is written aside under a number that no other has, and answers once the pointer
file names it:

    index/current                          the number of the generation that answers
    index/000001/alignment.safetensors     the map that its points were written with
    index/000001/generation.json           what has been written into it
    index/000001/captions, images          its embedded indexes; on a server, two collections
    index/000001/*.safetensors             what was measured of it
    index/000001/default_space.json        in which space it answers best

Whoever reads a generation holds it, and what nobody holds may go once another one answers.
"""

from __future__ import annotations

import json
import re
import sys
import weakref
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from engine.collection import CollectionFolder
from engine.errors import CollectionMissing, StoreLocked
from engine.files import write_whole
from engine.folder_lock import release, shared
from engine.store.addresses import same_place

_POINTER = "current"
_NUMBERED = re.compile(r"\d{6,}")


@dataclass(frozen=True)
class GenerationState:
    """What has been written into a generation.

    All changes of the corpus up to `commit` and the refinement `rounds`, which made so many
    points of `images` and `captions`; these count from 0 while a push is at work, as what
    the indexes hold then proves nothing. `place` is the server's addresses, empty: embedded.
    `graph`: how many points each index had when its graph was built. `tags` tell the taggings
    whose labels its pictures have.
    """

    commit: int = -1
    rounds: tuple[int, ...] = ()
    images: int = 0
    captions: int = 0
    place: str = ""
    graph: Mapping[str, int] = field(default_factory=dict)
    tags: tuple[str, ...] = ()


_STATE = TypeAdapter(GenerationState)


class GenerationFolder:
    """The files of one generation."""

    def __init__(self, folder: CollectionFolder, number: int) -> None:
        self.number = number
        self.path = folder.index / number_text(number)
        self.alignment = self.path / "alignment.safetensors"
        self.relevance = self.path / "relevance.safetensors"
        self.gap = self.path / "gap.safetensors"
        self.default_space = self.path / "default_space.json"
        self._state = self.path / "generation.json"

    def index(self, name: str) -> Path:
        """The folder of an embedded index."""
        return self.path / name

    def read_state(self) -> GenerationState | None:
        """What has been written; None where that cannot be told, so that it is written anew."""
        try:
            values = json.loads(self._state.read_bytes())
            if values.pop("checksum", None) not in (None, _checksum(values)):
                return None
            return _STATE.validate_python(values)
        except (OSError, ValueError, AttributeError):
            return None

    def write_state(self, state: GenerationState) -> None:
        """Note what has been written, whole or not at all."""
        values = asdict(state)
        told = {**values, "checksum": _checksum(values)}
        write_whole(self._state, json.dumps(told) + "\n")


def _checksum(values: Mapping[str, Any]) -> int:
    return zlib.crc32(json.dumps(values, sort_keys=True).encode())


def number_text(number: int) -> str:
    """A generation's number as it stands in names of files and of a server's collections."""
    return f"{number:06d}"


def generations(folder: CollectionFolder) -> list[GenerationFolder]:
    """All generations on disk, whole or not, in order."""
    try:
        names = [path.name for path in folder.index.iterdir() if path.is_dir()]
    except FileNotFoundError:
        return []
    numbers = sorted(int(name) for name in names if _NUMBERED.fullmatch(name))
    return [GenerationFolder(folder, number) for number in numbers]


def begin(folder: CollectionFolder, number: int, state: GenerationState) -> GenerationFolder:
    """Make the folder of a new generation, which does not answer yet."""
    made = GenerationFolder(folder, number)
    made.path.mkdir(parents=True)
    made.write_state(state)
    return made


def current(folder: CollectionFolder) -> GenerationFolder | None:
    """The generation that answers, None before the first."""
    try:
        text = (folder.index / _POINTER).read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return None
    if not _NUMBERED.fullmatch(text):
        return None
    found = GenerationFolder(folder, int(text))
    return found if found.path.is_dir() else None


def answering(folder: CollectionFolder, place: str) -> tuple[GenerationFolder, GenerationState]:
    """The generation that answers, which must be kept in that place; raises CollectionMissing."""
    found = current(folder)
    state = None if found is None else found.read_state()
    if (found is None or state is None) and folder.is_being_written():
        raise StoreLocked(
            f"collection {folder.name!r} has no index yet: another mrag process, or a job of the "
            "app, is writing it just now; wait until it has finished"
        )
    if found is None or state is None:
        fit = "" if folder.alignment.is_file() else f"mrag fit {folder.name} && "
        raise CollectionMissing(
            f"collection {folder.name!r} has no index yet; write it with: {fit}mrag push "
            f"{folder.name}"
        )
    if not same_place(state.place, place):
        kept, sought = (f"on {one}" if one else "in its folder" for one in (state.place, place))
        raise CollectionMissing(
            f"the index of collection {folder.name!r} is kept {kept}, not {sought}; set "
            f"MRAG_QDRANT_URL to what it was, or write the index there with: mrag push "
            f"{folder.name}"
        )
    return found, state


def pointer_stamp(folder: CollectionFolder) -> tuple[int, int] | None:
    """Differs when another generation answers; costs next to nothing."""
    try:
        status = (folder.index / _POINTER).stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns


def change_over(folder: CollectionFolder, number: int) -> None:
    """From now on this generation answers, for whoever looks."""
    write_whole(folder.index / _POINTER, number_text(number) + "\n")


class Hold:
    """Keeps a generation from being removed for as long as this lives, or until `close`.

    The system lets go of it when the process ends, however it ends.
    """

    def __init__(self, generation: GenerationFolder) -> None:
        """Raises CollectionMissing where it is gone or is just being removed."""
        self.handle = shared(generation.path, wait=False)
        if self.handle is None and sys.platform != "win32":
            raise CollectionMissing(f"{generation.path} has been removed meanwhile; try again")
        self._finalizer = weakref.finalize(self, release, self.handle)

    def close(self) -> None:
        """Let go; more than once is allowed."""
        self._finalizer()
