"""How long work tells what it has done, and how it is asked to stop: two things."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from threading import Event, Lock, Thread
from time import monotonic

from engine.footprint import readable
from engine.video.address import clock


@dataclass(frozen=True)
class Progress:
    """Where a stage stands; `total` and `seconds_left` are None where they are not known.

    `unit` says what is counted, where that is not plain from the stage: "bytes", "seconds".
    """

    stage: str
    done: int
    total: int | None = None
    unit: str = ""
    seconds_left: int | None = None

    @property
    def amount(self) -> str:
        """How much is done, in words: "3 of 40", or "1.2 GB of 3 GB, 70 s left"."""
        show = _SHOWN.get(self.unit, "{:,}".format)
        told = show(self.done) if self.total is None else f"{show(self.done)} of {show(self.total)}"
        return told if self.seconds_left is None else f"{told}, {self.seconds_left:,} s left"

    @property
    def share(self) -> float:
        """How much is done, from 0 to 1; 0 where the total is not known."""
        return min(1.0, self.done / self.total) if self.total else 0.0


_SHOWN: Mapping[str, Callable[[int], str]] = {"bytes": readable, "seconds": clock}

OnProgress = Callable[[Progress], None]
"""Told of progress, so that a front end can draw it; it decides nothing."""


def silent(progress: Progress) -> None:
    """Tell nobody."""
    del progress


@contextmanager
def told_to(on_progress: OnProgress) -> Iterator[None]:
    """What runs inside, in this thread, tells this listener what it does by `tell`."""
    token = _LISTENER.set(on_progress)
    try:
        yield
    finally:
        _LISTENER.reset(token)


def tell(progress: Progress) -> None:
    """Tell whoever listens: of models that are fetched and loaded, deep inside of other work."""
    _LISTENER.get()(progress)


@contextmanager
def ticking(stage: str) -> Iterator[None]:
    """Tell, each second that the block takes, how many it has taken; a short one tells nothing."""
    listener, ended, began = _LISTENER.get(), Event(), monotonic()

    def tick() -> None:
        while not ended.wait(1.0):
            listener(Progress(stage, int(monotonic() - began)))

    thread = Thread(target=tick, name="ticking", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        if seconds := int(monotonic() - began):
            listener(Progress(stage, seconds, seconds))


class Cancelled(Exception):
    """Raised between two steps of work that was asked to stop; what is done stays done."""


class Cancellation:
    """Asks work to stop, from any thread."""

    def __init__(self) -> None:
        self._asked = Event()
        self._lock = Lock()
        self._waking: list[Callable[[], None]] = []

    def ask(self) -> None:
        """Have the work end at its next step, or at once where it waits."""
        with self._lock:
            self._asked.set()
            waking = list(self._waking)
        for wake in waking:
            wake()

    @contextmanager
    def waking(self, wake: Callable[[], None]) -> Iterator[None]:
        """While the block waits, have `wake` end its wait when it is asked to, or was before."""
        with self._lock:
            self._waking.append(wake)
            asked = self._asked.is_set()
        if asked:
            wake()
        try:
            yield
        finally:
            with self._lock:
                self._waking.remove(wake)

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
_LISTENER: ContextVar[OnProgress] = ContextVar("listener", default=silent)


def watched_cancellation() -> Cancellation | None:
    """What this thread watches, for work that waits and is to be woken; None: nothing."""
    return _WATCHED.get()


def check_cancelled() -> None:
    """Between two steps of long work: raise Cancelled if whoever runs it wants it to stop.

    Nothing is passed inward for this, as most work is never cancelled. A thread that the work
    starts watches nothing: check in the one that was called.
    """
    if cancellation := _WATCHED.get():
        cancellation.check()
