"""Measured cells on disk, one file each, so that a grid goes on where it was."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from engine.files import write_whole
from evaluation.ablation.cells import Outcome

_OUTCOME = TypeAdapter(Outcome)


def cell_key(settings: Mapping[str, Any]) -> str:
    """32 hex digits of all that a cell's outcome depends on: settings, data, program."""
    text = json.dumps(settings, sort_keys=True)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


class CellCache:
    """The outcomes in a folder; a file that cannot be read counts as absent."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, settings: Mapping[str, Any]) -> Outcome | None:
        """The outcome under these settings, None if there is none."""
        try:
            stored = json.loads(self._path(settings).read_text(encoding="utf-8"))
            return _OUTCOME.validate_python(stored["outcome"])
        except (OSError, ValueError, KeyError, TypeError, ValidationError):
            return None

    def put(self, settings: Mapping[str, Any], outcome: Outcome) -> None:
        """Write an outcome, whole or not at all."""
        content = {"settings": settings, "outcome": asdict(outcome)}
        write_whole(self._path(settings), json.dumps(content))

    def _path(self, settings: Mapping[str, Any]) -> Path:
        return self._folder / f"{cell_key(settings)}.json"
