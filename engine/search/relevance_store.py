"""Keeps beside an index the sample that its least scores are measured on."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Lock

import numpy as np

from engine.alignment.alignment import Alignment
from engine.errors import AlignmentError
from engine.search.relevance import OwnedVectors, Relevance
from engine.tensorfile import read_tensors, write_tensors

_KIND = "mrag-relevance/1"
_SAMPLES = ("texts", "pictures", "captions")


class RelevanceKeeper:
    """Samples an index when it is first asked to; threads may share it."""

    def __init__(self, path: Path, alignment: Alignment) -> None:
        """Keep the sample in that file, of an index that was written with that map."""
        self._path = path
        self._alignment = alignment
        self._lock = Lock()
        self._kept: tuple[str, Relevance] | None = None

    def relevance(self, key: str, sample: Callable[[], Relevance]) -> Relevance:
        """What was measured under the key, which says what the index holds; else `sample()`."""
        with self._lock:
            if self._kept is None or self._kept[0] != key:
                known = _read(self._path, key, self._alignment)
                if known is None:
                    known = sample()
                    # What cannot be kept costs time alone; what was removed stays removed.
                    if self._path.parent.is_dir():
                        with suppress(OSError):
                            _write(self._path, key, known)
                self._kept = (key, known)
            return self._kept[1]


def _write(path: Path, key: str, relevance: Relevance) -> None:
    tensors = {
        name: np.ascontiguousarray(sample.rows, np.float64)
        for name, sample in relevance.samples.items()
    }
    owners = {name: sample.owners.tolist() for name, sample in relevance.samples.items()}
    write_tensors(path, _KIND, tensors, {"key": key, "owners": json.dumps(owners)})


def _read(path: Path, key: str, alignment: Alignment) -> Relevance | None:
    """What was kept under the key; None where that is nothing, or cannot be read."""
    try:
        tensors, metadata = read_tensors(path, _KIND, "it is measured again")
        if metadata.get("key") != key:
            return None
        owners = json.loads(metadata["owners"])
        texts, pictures, captions = (
            OwnedVectors(np.array(owners[name], dtype=np.str_), tensors[name].astype(np.float32))
            for name in _SAMPLES
        )
        return Relevance(alignment, texts, pictures, captions)
    except (AlignmentError, KeyError, ValueError, TypeError):
        return None
