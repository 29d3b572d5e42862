"""The refinement that is going on in a collection, so that one that was killed goes on."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from engine.collection import CollectionFolder
from engine.files import write_whole
from refine.yardstick import Yardstick


@dataclass(frozen=True)
class Run:
    """A refinement: what it was asked for and began with.

    `about` must be the same for it to go on; `first` is the number of its first round, `baseline`
    the validation mean before that.
    """

    about: dict[str, Any]
    first: int
    baseline: float
    yardstick: Yardstick


_RUN = TypeAdapter(Run)
_WORTH = TypeAdapter(dict[str, float])


def open_run(folder: CollectionFolder, run: Run) -> None:
    """Note that a run has begun."""
    folder.rounds.mkdir(parents=True, exist_ok=True)
    write_whole(_path(folder), json.dumps(asdict(run)))


def read_run(folder: CollectionFolder) -> Run | None:
    """The run that has not ended, if there is one."""
    try:
        return _RUN.validate_json(_path(folder).read_bytes())
    except (OSError, ValidationError):
        return None


def close_run(folder: CollectionFolder) -> None:
    """Forget the run, and what it wrote on the way."""
    _path(folder).unlink(missing_ok=True)
    shutil.rmtree(work_folder(folder), ignore_errors=True)


def note_worth(folder: CollectionFolder, number: int, worth: Mapping[str, float]) -> None:
    """Note what the caption of each validation picture was worth after a round, by its sha256."""
    write_whole(_worth(folder, number), json.dumps(dict(worth)))


def read_worth(folder: CollectionFolder, number: int) -> dict[str, float]:
    """What captions were worth after a round of this run; nothing where it was not noted."""
    try:
        return _WORTH.validate_json(_worth(folder, number).read_bytes())
    except (OSError, ValidationError):
        return {}


def work_folder(folder: CollectionFolder) -> Path:
    """Where a run writes down captions that are to be judged."""
    return folder.rounds / "work"


def _worth(folder: CollectionFolder, number: int) -> Path:
    return work_folder(folder) / f"worth-{number:05d}.json"


def _path(folder: CollectionFolder) -> Path:
    return folder.rounds / "run.json"
