"""Work for requests: in a few threads, within a time, and only while somebody waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from starlette.requests import Request

from api.problems import ClientGone, TookTooLong
from engine.errors import Busy
from engine.progress import Cancellation, check_cancelled

Done = TypeVar("Done")

_THREADS = 16
"""Enough to fill the batches of the models, few enough for the pictures that each holds."""


class Work:
    """Runs what blocks for requests.

    Where a client goes away, or a request takes longer than `seconds`, its work is asked to stop:
    what waits for a model is taken out of the queue. More than `waiting` requests that wait for a
    thread get Busy.
    """

    def __init__(self, *, waiting: int, seconds: float, threads: int = _THREADS) -> None:
        self._pool = ThreadPoolExecutor(threads, "api")
        self._most = threads + waiting
        self._seconds = seconds
        self.running = self.refused = self.dropped = 0

    async def run(self, request: Request, work: Callable[[], Done]) -> Done:
        """What `work` gives; raises Busy, TookTooLong, ClientGone or whatever it raises."""
        if self.running >= self._most:
            self.refused += 1
            raise Busy(
                f"{self._most} requests are worked on already, the most that may be "
                "(MRAG_MAX_WAITING); try again in a moment"
            )
        cancellation = Cancellation()

        def watched() -> Done:
            with cancellation.watched():
                check_cancelled()
                return work()

        self.running += 1
        task = asyncio.get_running_loop().run_in_executor(self._pool, watched)
        task.add_done_callback(self._ended)
        gone = asyncio.create_task(_gone(request))
        try:
            either: list[asyncio.Future[Any]] = [task, gone]
            await asyncio.wait(either, timeout=self._seconds, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
            self.dropped += 1
            if gone.done():
                raise ClientGone("the client has gone, and so has its work")
            raise TookTooLong(
                f"this took longer than {self._seconds:g} seconds (MRAG_REQUEST_SECONDS) and was "
                "given up; ask for less at once",
                {"Retry-After": "10"},
            )
        finally:
            cancellation.ask()
            gone.cancel()

    def close(self) -> None:
        """Let what runs come to an end, and take no more."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _ended(self, task: asyncio.Future[Done]) -> None:
        self.running -= 1
        if not task.cancelled():
            task.exception()  # it may be that nobody waits for it any more


async def _gone(request: Request) -> None:
    """Wait until the client has gone: all that it has sent has been read before."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
