"""Opens pictures in parallel threads, in order, within bounded memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from engine.errors import UnreadableImage
from engine.images import Picture

Job = TypeVar("Job")
Opened = Picture | UnreadableImage

WINDOW_BYTES = 2**29
"""Decoded pictures that may wait to be encoded take no more than this, one excepted."""


def opened_in_order(
    jobs: Iterable[Job], open_one: Callable[[Job], Picture], *, workers: int, ahead: int
) -> Iterator[tuple[Job, Opened]]:
    """Open the picture of each job in threads; yields in order, up to `ahead` are in work."""

    def work(job: Job) -> Opened:
        try:
            return open_one(job)
        except UnreadableImage as error:
            return error

    window: deque[tuple[Job, Future[Opened]]] = deque()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="decode")
    try:
        for job in jobs:
            window.append((job, pool.submit(work, job)))
            while len(window) >= ahead or _waiting_bytes(window) > WINDOW_BYTES:
                first, future = window.popleft()
                yield first, future.result()
        while window:
            first, future = window.popleft()
            yield first, future.result()
    finally:
        pool.shutdown(cancel_futures=True)


def _waiting_bytes(window: Iterable[tuple[Job, Future[Opened]]]) -> int:
    done = (future.result() for _, future in window if future.done())
    return sum(picture_bytes(opened) for opened in done if isinstance(opened, Picture))


def picture_bytes(picture: Picture) -> int:
    """Memory of the decoded picture."""
    return 3 * picture.width * picture.height
