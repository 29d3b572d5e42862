"""Opens pictures in parallel threads, in order, within bounded memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import CancelledError, Future, wait
from dataclasses import dataclass, field
from queue import SimpleQueue
from threading import Condition, Thread
from time import monotonic
from typing import Generic, TypeVar

from engine.errors import UnreadableImage
from engine.images import Admit, Picture, image_bytes

Job = TypeVar("Job")
Opened = Picture | UnreadableImage
OpenOne = Callable[[Job, Admit], Picture]
"""Opens the picture of a job; asks first whether there is room for what decoding it takes."""

BUDGET_BYTES = 2**30
"""What decoding and decoded pictures that wait to be taken may hold together, one excepted."""

_AT_ONCE_S = 5.0
"""What has been open for so long is taken though others could still join it: a kill would cost it,
and from one shot of a film to the next it may be minutes."""

_LISTEN_S = 1.0
"""How long an interrupt may go unheard."""


def opened_in_order(
    jobs: Iterable[Job], open_one: OpenOne[Job], *, workers: int, ahead: int
) -> Generator[tuple[Job, Opened]]:
    """Open the picture of each job in threads; yields in order, up to `ahead` are in work.

    Whoever stops taking does not wait for what is being opened: a disk may hang.
    """
    window: deque[_Work[Job]] = deque()
    queue: SimpleQueue[_Work[Job] | None] = SimpleQueue()
    budget = Budget(BUDGET_BYTES)
    for number in range(workers):
        # Daemons: the process ends though one of them hangs in a read.
        arguments = (queue, budget, open_one)
        Thread(target=_work_off, args=arguments, name=f"decode-{number}", daemon=True).start()
    try:
        for turn, job in enumerate(jobs):
            window.append(_Work(turn, job, Future()))
            queue.put(window[-1])
            while len(window) >= ahead or (window and window[0].is_old()):
                yield _taken(window, budget)
        while window:
            yield _taken(window, budget)
    finally:
        budget.close()
        for work in window:
            work.opened.cancel()
        for _ in range(workers):
            queue.put(None)


@dataclass(frozen=True)
class _Work(Generic[Job]):
    """A picture to open; turns are counted from 0."""

    turn: int
    job: Job
    opened: Future[Opened]
    given: float = field(default_factory=monotonic)

    def is_old(self) -> bool:
        """Whether it is open, and was given long ago."""
        return self.opened.done() and monotonic() - self.given > _AT_ONCE_S


def _work_off(
    queue: SimpleQueue[_Work[Job] | None], budget: Budget, open_one: OpenOne[Job]
) -> None:
    """What a thread does until there is nothing left."""
    while (work := queue.get()) is not None:
        if work.opened.set_running_or_notify_cancel():
            try:
                work.opened.set_result(_opened(work, budget, open_one))
            except BaseException as error:  # to be raised where it is waited for
                work.opened.set_exception(error)
        del work  # and the picture with it, while the next one is waited for


def _opened(work: _Work[Job], budget: Budget, open_one: OpenOne[Job]) -> Opened:
    try:
        picture = open_one(work.job, lambda size: budget.take(work.turn, size))
    except UnreadableImage as error:
        budget.settle(work.turn, 0)
        return error
    budget.settle(work.turn, sum(map(image_bytes, (picture.image, *picture.frames))))
    return picture


def _taken(window: deque[_Work[Job]], budget: Budget) -> tuple[Job, Opened]:
    """The next picture, which its taker answers for from now on."""
    work = window.popleft()
    # Not without an end: an interrupt that comes just before Python begins to wait is not heard.
    while not wait([work.opened], timeout=_LISTEN_S).done:
        pass
    opened = work.opened.result()
    budget.settle(work.turn, 0)
    return work.job, opened


class Budget:
    """Bytes that pictures hold together, given out in the order of their turns.

    In order, because whoever takes them does so in order: were a later one to hold the room that
    an earlier one waits for, both would wait for ever. What does not fit waits until it does, or
    until it is alone.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._next = 0
        self._held: dict[int, int] = {}
        self._changed = Condition()
        self._closed = False

    def take(self, turn: int, size: int) -> None:
        """Wait for room; raises CancelledError once the budget is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._has_room(turn, size))
            if self._closed:
                raise CancelledError
            self._next = turn + 1
            self._held[turn] = size
            self._changed.notify_all()

    def settle(self, turn: int, size: int) -> None:
        """Hold that much from now on: what has been decoded takes less than decoding it."""
        if turn >= self._next:  # it failed before it asked for room
            self.take(turn, 0)
        with self._changed:
            self._held[turn] = size
            if not size:
                del self._held[turn]
            self._changed.notify_all()

    def close(self) -> None:
        """Send away who waits."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _has_room(self, turn: int, size: int) -> bool:
        held = sum(self._held.values())
        return turn == self._next and (not held or held + size <= self._limit)
