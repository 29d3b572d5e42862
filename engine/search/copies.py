"""Which pictures of a collection are copies of one sight, as was found out when it was filled."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from threading import Lock

from engine.files import write_whole

_KIND = "mrag-copies/1"


class Copies:
    """Groups of pictures, by their ids, that show the same; each picture is in one at most."""

    def __init__(self, groups: Iterable[Sequence[str]] = ()) -> None:
        self.groups = tuple(tuple(group) for group in groups)

    @cached_property
    def of(self) -> Mapping[str, int]:
        """By id the group that a picture is in; those without a copy are left out."""
        return {id_: number for number, group in enumerate(self.groups) for id_ in group}

    def beside(self, id_: str) -> tuple[str, ...]:
        """The other pictures of its group."""
        number = self.of.get(id_)
        return () if number is None else tuple(one for one in self.groups[number] if one != id_)


NO_COPIES = Copies()


class CopiesKeeper:
    """Reads the groups from their file, and again when it has changed; threads may share it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = Lock()
        self._kept: tuple[tuple[int, int] | None, Copies] = (None, NO_COPIES)

    def copies(self) -> Copies:
        """The groups; none where nothing was compared yet, or the file cannot be read."""
        try:
            status = self._path.stat()
        except OSError:
            return NO_COPIES
        stamp = (status.st_ino, status.st_mtime_ns)
        with self._lock:
            if self._kept[0] != stamp:
                self._kept = (stamp, _read(self._path))
            return self._kept[1]


def write_copies(path: Path, groups: Sequence[Sequence[str]]) -> None:
    """Write the groups, in one step, where they are others than those that are there."""
    told = json.dumps({"kind": _KIND, "groups": sorted(map(sorted, groups))}) + "\n"
    try:
        if path.read_text(encoding="utf-8") == told:
            return
    except (OSError, ValueError):
        pass
    write_whole(path, told, durable=False)


def _read(path: Path) -> Copies:
    try:
        about = json.loads(path.read_bytes())
        if about["kind"] != _KIND:
            return NO_COPIES
        return Copies([[str(id_) for id_ in group] for group in about["groups"]])
    except (OSError, ValueError, KeyError, TypeError):
        return NO_COPIES
