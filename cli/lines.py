"""Progress of long work where no bar can be drawn (a log, a pipe, cron): a line now and then."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from threading import Event, Lock, Thread
from time import monotonic
from types import TracebackType
from typing import Self

from engine.footprint import readable
from engine.progress import Progress

EVERY_S = 10.0
"""Seconds between two lines of a stage: a log stays short, and nobody takes it for dead."""

_LOOK_S = 1.0


@dataclass(frozen=True)
class _Begun:
    """When a stage began, with how much of it done already."""

    at: float
    done: int


class Lines:
    """Says each stage when it begins, and every ten seconds where it stands.

    It says so too while the work itself reports nothing, from a thread of its own.
    """

    def __init__(self, say: Callable[[str], None], clock: Callable[[], float] = monotonic) -> None:
        self._say, self._clock = say, clock
        self._lock = Lock()
        self._begun: dict[str, _Begun] = {}
        self._step: Progress | None = None
        self._said = 0.0
        self._ended = Event()
        self._thread = Thread(target=self._look, name="progress lines", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join()

    def show(self, step: Progress) -> None:
        """Take note of where a stage stands."""
        with self._lock:
            again = self._step and self._step.stage == step.stage and step.done < self._step.done
            if step.stage not in self._begun or again:
                self._begun[step.stage] = _Begun(self._clock(), step.done)
                self._said = self._clock()
                self._say(f"{step.stage} ...")
            self._step = step
        self.tick()

    def tick(self) -> None:
        """Say where the stage stands, if it is time."""
        with self._lock:
            now = self._clock()
            if self._step is not None and now - self._said >= EVERY_S:
                self._said = now
                self._say(told(self._step, now - self._begun[self._step.stage].at, self._new()))

    def _new(self) -> int:
        """How much has been done since the stage began."""
        step = self._step
        return 0 if step is None else step.done - self._begun[step.stage].done

    def _look(self) -> None:
        with suppress(OSError, ValueError):  # a stream that has been closed: the work meets it too
            while not self._ended.wait(_LOOK_S):
                self.tick()


def told(step: Progress, seconds: float, new: int) -> str:
    """Where a stage stands, for how long it has run, how fast, and how long it will take."""
    stage, counts_seconds, _ = step.stage.partition(" (seconds)")
    parts = [step.amount] if step.done and not counts_seconds else []
    parts.append(f"{_time(seconds)} so far")
    rate = 0.0 if counts_seconds or not seconds else new / seconds
    if rate and step.done != step.total:
        times = "x as it plays" if step.unit == "seconds" else "/s"
        parts.append(f"{_speed(rate, step.unit)}{times}")
        if step.total is not None and step.seconds_left is None:
            parts.append(f"{_time((step.total - step.done) / rate)} left")
    return f"{stage}: {', '.join(parts)}"


def _speed(rate: float, unit: str) -> str:
    if unit == "bytes":
        return readable(rate)
    return f"{rate:,.0f}" if rate >= 10 else f"{rate:.2g}"


def _time(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
