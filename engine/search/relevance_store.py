"""Keeps beside an index the sample that its relevance is measured on."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from engine.errors import AlignmentError
from engine.search.relevance_sample import Sample
from engine.tensorfile import read_tensors, write_tensors

GROWN = 0.1
"""By which share an index may have grown or shrunk before it is sampled again.

What a query scores with pictures in general hardly moves by a tenth more of them; how many there
are is asked anew at each search.
"""

_KIND = "mrag-relevance/2"
_ROWS, _PLACES = ("pictures", "texts"), ("pairs", "related", "owners")


class SampleKeeper:
    """Samples an index when it is first asked to; threads may share it."""

    def __init__(self, path: Path) -> None:
        """Keep the sample in that file."""
        self._path = path
        self._lock = Lock()
        self._kept: tuple[list[int], list[int], Sample] | None = None

    def sample(self, numbers: list[int], held: Sequence[int], take: Callable[[], Sample]) -> Sample:
        """What was taken of generations with these numbers; else `take()`.

        `held`: how much they hold now, 0 where that cannot be told.
        """
        with self._lock:
            kept = self._kept or _read(self._path)
            if kept is None or kept[0] != numbers or not _like(kept[1], held):
                kept = (numbers, list(held), take())
                # What cannot be kept costs time alone; what was removed stays removed.
                if self._path.parent.is_dir():
                    with suppress(OSError):
                        _write(self._path, kept)
            self._kept = kept
            return kept[2]


def _like(then: Sequence[int], now: Sequence[int]) -> bool:
    return len(then) == len(now) and all(
        new == 0 or abs(new - old) <= GROWN * old for old, new in zip(then, now, strict=True)
    )


def _write(path: Path, kept: tuple[list[int], list[int], Sample]) -> None:
    numbers, held, sample = kept
    tensors: dict[str, NDArray[np.generic]] = {
        name: np.ascontiguousarray(getattr(sample, name), np.float64) for name in _ROWS
    }
    tensors |= {name: np.ascontiguousarray(getattr(sample, name)) for name in _PLACES}
    about = {"numbers": json.dumps(numbers), "held": json.dumps(held)}
    write_tensors(path, _KIND, tensors, about)


def _read(path: Path) -> tuple[list[int], list[int], Sample] | None:
    """What was kept; None where that is nothing, or cannot be read."""
    try:
        tensors, about = read_tensors(path, _KIND, "it is measured again")
        pictures, texts = (tensors[name].astype(np.float32) for name in _ROWS)
        pairs, related = (tensors[name].astype(np.uint64).reshape(-1, 2) for name in _PLACES[:2])
        numbers, held = json.loads(about["numbers"]), json.loads(about["held"])
        for places in (pairs, related):
            if places.size and (places >= (len(texts), len(pictures))).any():
                return None
        owners = tensors["owners"].astype(np.uint64)
        if owners.shape != (len(pictures),):
            return None
        return numbers, held, Sample(pictures, texts, pairs, related, owners)
    except (AlignmentError, KeyError, ValueError, TypeError):
        return None
