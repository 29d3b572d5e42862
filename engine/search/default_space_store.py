"""Keeps beside an index in which space it answers best."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Lock

from pydantic import TypeAdapter

from engine.files import write_whole
from engine.search.default_space import SpaceChoice

_KIND = "mrag-default-space/2"
_CHOICE = TypeAdapter(SpaceChoice)


class DefaultSpaceKeeper:
    """Measures an index when it is first asked to; threads may share it."""

    def __init__(self, path: Path) -> None:
        """Keep the choice in that file."""
        self._path = path
        self._lock = Lock()
        self._kept: tuple[str, SpaceChoice] | None = None

    def choice(self, key: str, measure: Callable[[], SpaceChoice]) -> SpaceChoice:
        """What was chosen under the key, which says what the index holds; else `measure()`."""
        with self._lock:
            if self._kept is None or self._kept[0] != key:
                known = self._read(key)
                if known is None:
                    known = measure()
                    self._write(key, known)
                self._kept = (key, known)
            return self._kept[1]

    def _write(self, key: str, choice: SpaceChoice) -> None:
        about = {"kind": _KIND, "key": key, "choice": _CHOICE.dump_python(choice, mode="json")}
        # What cannot be kept costs time alone; what was removed stays removed.
        if self._path.parent.is_dir():
            with suppress(OSError):
                write_whole(self._path, json.dumps(about) + "\n")

    def _read(self, key: str) -> SpaceChoice | None:
        """What was kept under the key; None where that is nothing, or cannot be read."""
        try:
            about = json.loads(self._path.read_bytes())
            if about["kind"] != _KIND or about["key"] != key:
                return None
            return _CHOICE.validate_python(about["choice"])
        except (OSError, ValueError, KeyError, TypeError):
            return None
