"""What was judged of late: the pages of one search are cut from one order, and judged once."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from threading import Lock
from time import monotonic

from cachetools import TTLCache

from engine.rerank.judging import Judged

_SEARCHES, _SECONDS = 256, 600.0


class Kept:
    """Judgements by what they were made of, for ten minutes; threads may share one.

    Of the same made twice at once the first stands, so that all that ask go on in one order,
    though another time might have sufficed for more.
    """

    def __init__(self, timer: Callable[[], float] = monotonic) -> None:
        self._made: TTLCache[Hashable, Judged] = TTLCache(_SEARCHES, _SECONDS, timer)
        self._lock = Lock()

    def get(self, key: Hashable, make: Callable[[], Judged]) -> Judged:
        """What was made for the key, or is now."""
        with self._lock:
            if (found := self._made.get(key)) is not None:
                return found
        made = make()
        with self._lock:
            return self._made.setdefault(key, made)
