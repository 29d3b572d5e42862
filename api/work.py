"""Work for requests: in a few threads, within a time, and only while somebody waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from starlette.requests import Request

from api.problems import ApiError, ClientGone, TookTooLong
from engine.errors import Busy
from engine.progress import Cancellation, check_cancelled

Done = TypeVar("Done")

_THREADS = 16
"""Enough to fill the batches of the models, few enough for the pictures that each holds."""

_SILENT_S = 10.0
"""Nothing on the way of a stream takes it for dead that hears of it so often."""


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
        cancellation = Cancellation()
        task = self._begun(cancellation, work)
        gone = asyncio.create_task(_gone(request))
        try:
            either: list[asyncio.Future[Any]] = [task, gone]
            await asyncio.wait(either, timeout=self._seconds, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
            raise self._given_up(gone)
        finally:
            cancellation.ask()
            gone.cancel()

    async def stream(
        self, request: Request, begin: Callable[[], Iterable[Done]]
    ) -> AsyncGenerator[Done | None]:
        """What `begin` gives, one by one as they come; raises what `run` does.

        None comes where there was nothing else for a while, so that who reads can be told.
        """
        loop = asyncio.get_running_loop()
        end, told = loop.time() + self._seconds, asyncio.Queue[Done | _Ended]()
        cancellation = Cancellation()

        def work() -> None:
            for one in begin():
                loop.call_soon_threadsafe(told.put_nowait, one)

        task = self._begun(cancellation, work)
        task.add_done_callback(lambda _: told.put_nowait(_Ended()))
        gone = asyncio.create_task(_gone(request))
        try:
            while True:
                one = await _first(told, gone, min(_SILENT_S, end - loop.time()))
                if isinstance(one, _Ended):
                    task.result()
                    return
                if one is None and (gone.done() or loop.time() >= end):
                    raise self._given_up(gone)
                yield one
        finally:
            cancellation.ask()
            gone.cancel()

    def close(self) -> None:
        """Let what runs come to an end, and take no more."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _begun(self, cancellation: Cancellation, work: Callable[[], Done]) -> asyncio.Future[Done]:
        """The work, in a thread that watches the cancellation; raises Busy."""
        if self.running >= self._most:
            self.refused += 1
            raise Busy(
                f"{self._most} requests are worked on already, the most that may be "
                "(MRAG_MAX_WAITING); try again in a moment"
            )

        def watched() -> Done:
            with cancellation.watched():
                check_cancelled()
                return work()

        self.running += 1
        task = asyncio.get_running_loop().run_in_executor(self._pool, watched)
        task.add_done_callback(self._ended)
        return task

    def _given_up(self, gone: asyncio.Task[None]) -> ApiError:
        """Why work is left that has not come to its end."""
        self.dropped += 1
        if gone.done():
            return ClientGone("the client has gone, and so has its work")
        return TookTooLong(
            f"this took longer than {self._seconds:g} seconds (MRAG_REQUEST_SECONDS) and was "
            "given up; ask for less at once",
            {"Retry-After": "10"},
        )

    def _ended(self, task: asyncio.Future[Done]) -> None:
        self.running -= 1
        if not task.cancelled():
            task.exception()  # it may be that nobody waits for it any more


class _Ended:
    """Comes after the last of what is told."""


async def _first(told: asyncio.Queue[Done], gone: asyncio.Task[None], wait_s: float) -> Done | None:
    """The next that is told; None where the client goes before, or nothing comes in time."""
    coming = asyncio.create_task(told.get())
    either: list[asyncio.Future[Any]] = [coming, gone]
    try:
        await asyncio.wait(either, timeout=max(0.0, wait_s), return_when=asyncio.FIRST_COMPLETED)
        return coming.result() if coming.done() else None
    finally:
        coming.cancel()


async def _gone(request: Request) -> None:
    """Wait until the client has gone: all that it has sent has been read before."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
