"""How long work tells what it has done, and how it is asked to stop: two things."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from threading import Event


@dataclass(frozen=True)
class Progress:
    """Where a stage stands; `total` is None where it is not known beforehand."""

    stage: str
    done: int
    total: int | None = None


OnProgress = Callable[[Progress], None]
"""Told of progress, so that a front end can draw it; it decides nothing."""


def silent(progress: Progress) -> None:
    """Tell nobody."""
    del progress


class Cancelled(Exception):
    """Raised between two steps of work that was asked to stop; what is done stays done."""


class Cancellation:
    """Asks work to stop, from any thread."""

    def __init__(self) -> None:
        self._asked = Event()

    def ask(self) -> None:
        """Have the work end at its next step."""
        self._asked.set()

    @contextmanager
    def watched(self) -> Iterator[None]:
        """What runs inside, in this thread, heeds it wherever it calls `check_cancelled`."""
        token = _WATCHED.set(self)
        try:
            yield
        finally:
            _WATCHED.reset(token)

    def check(self) -> None:
        """Raise Cancelled if it was asked."""
        if self._asked.is_set():
            raise Cancelled


_WATCHED: ContextVar[Cancellation | None] = ContextVar("watched", default=None)


def check_cancelled() -> None:
    """Between two steps of long work: raise Cancelled if whoever runs it wants it to stop.

    Nothing is passed inward for this, as most work is never cancelled. A thread that the work
    starts watches nothing: check in the one that was called.
    """
    if cancellation := _WATCHED.get():
        cancellation.check()
