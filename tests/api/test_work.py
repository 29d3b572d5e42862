"""Work for requests: dropped when nobody waits, given up in time, never without bound; and told."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from starlette.requests import Request
from starlette.testclient import TestClient
from starlette.types import Message, Scope

from api.problems import ClientGone, TookTooLong
from api.work import Work
from engine.app import Engine
from engine.errors import Busy, InvalidInput
from engine.models.queues import BatchQueue
from engine.progress import Cancelled, check_cancelled
from service.answering import LocalAnswers
from tests.api.conftest import ADMIN, READER, Asked, mounted, problem

V1 = "/api/v1"


class Client:
    """A client whose body has come, and which goes when it is told to."""

    def __init__(self) -> None:
        self.gone = asyncio.Event()

    async def receive(self) -> Message:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    @property
    def request(self) -> Request:
        scope: Scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
        return Request(scope, self.receive)


def test_what_waits_for_a_model_is_dropped_when_its_client_goes() -> None:
    entered, opened, ran = Event(), Event(), list[int]()

    def model(_: Any, items: list[int]) -> list[int]:
        entered.set()
        assert opened.wait(20)
        ran.extend(items)
        return items

    queue = BatchQueue("model", model, max_batch=lambda _: 1, max_waiting=9)

    async def main() -> None:
        work = Work(waiting=4, seconds=60)
        stays, goes = Client(), Client()
        first = asyncio.create_task(work.run(stays.request, lambda: queue.ask("a", [1])))
        await asyncio.to_thread(entered.wait, 20)
        second = asyncio.create_task(work.run(goes.request, lambda: queue.ask("a", [2])))
        while not queue.waiting():
            await asyncio.sleep(0)
        goes.gone.set()
        with pytest.raises(ClientGone):
            await second
        while queue.waiting():
            await asyncio.sleep(0)
        opened.set()
        assert await first == [1]
        assert (work.dropped, work.refused) == (1, 0)
        work.close()

    asyncio.run(main())
    queue.close()
    assert ran == [1]
    assert queue.figures().dropped == 1


def test_what_takes_too_long_is_given_up() -> None:
    stopped = Event()

    def endless() -> None:
        try:
            while True:
                check_cancelled()
        except Cancelled:
            stopped.set()
            raise

    async def main() -> None:
        work = Work(waiting=1, seconds=0.05)
        with pytest.raises(TookTooLong, match="MRAG_REQUEST_SECONDS"):
            await work.run(Client().request, endless)
        assert await asyncio.to_thread(stopped.wait, 20)
        work.close()

    asyncio.run(main())


def test_beyond_the_bound_requests_are_refused_and_later_taken() -> None:
    opened = Event()

    async def main() -> None:
        work = Work(waiting=1, seconds=60, threads=1)
        held = [
            asyncio.create_task(work.run(Client().request, lambda: opened.wait(20)))
            for _ in range(2)
        ]
        while work.running < 2:
            await asyncio.sleep(0)
        with pytest.raises(Busy, match="MRAG_MAX_WAITING"):
            await work.run(Client().request, lambda: None)
        opened.set()
        assert await asyncio.gather(*held) == [True, True]
        assert await work.run(Client().request, lambda: 5) == 5
        assert (work.refused, work.running) == (1, 0)
        work.close()

    asyncio.run(main())


def test_a_request_whose_client_goes_ends(
    sample_api: Asked, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    began, stopped = Event(), Event()

    def endless(*_: object, **__: object) -> None:
        began.set()
        try:
            while True:
                check_cancelled()
        except Cancelled:
            stopped.set()
            raise

    monkeypatch.setattr(LocalAnswers, "search", endless)
    scope: Scope = {
        "type": "http", "method": "GET", "path": f"{V1}/search", "raw_path": b"", "headers": [],
        "query_string": b"text=a", "root_path": "", "scheme": "http", "server": ("test", 80),
    }  # fmt: skip
    sent: list[Message] = []

    async def receive() -> Message:
        await asyncio.to_thread(began.wait, 20)
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    with caplog.at_level(logging.INFO, "mrag.access"):
        asyncio.run(mounted(sample_api.api, READER)(scope, receive, send))
    assert stopped.wait(20)
    assert sent[0]["status"] == 499
    assert f"GET {V1}/search 499 " in caplog.text


def test_a_busy_model_is_a_503_with_a_time_to_come_back(
    sample_api: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(*_: object) -> None:
        raise Busy("64 calls wait already; try again in a moment")

    monkeypatch.setattr(Engine, "open", busy)
    response = sample_api.by(READER).get(f"{V1}/search", params={"text": "a"})
    assert "try again" in problem(response, 503, "Busy")
    assert response.headers["retry-after"] == "1"


def test_a_bug_is_told_without_a_trace_and_found_by_its_id(
    sample_api: Asked, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a secret of the house")

    monkeypatch.setattr(Engine, "open", broken)
    headers = {"x-request-id": "find-me.1"}
    with caplog.at_level(logging.INFO):
        response = sample_api.by(READER).get(
            f"{V1}/search", params={"text": "hush"}, headers=headers
        )
    assert "secret" not in problem(response, 500)
    assert response.headers["x-request-id"] == "find-me.1"
    assert "a secret of the house" in caplog.text
    (line,) = [one.getMessage() for one in caplog.records if one.name == "mrag.access"]
    assert line.startswith(f"GET {V1}/search 500 ")
    assert line.endswith("visitor=ann id=find-me.1")
    ours = [one for one in caplog.records if one.name.startswith(("mrag", "api"))]
    assert not any("hush" in one.getMessage() for one in ours)


@pytest.mark.parametrize("given", ["", "a b", "x" * 65, "evil\x7f"])
def test_an_id_that_is_not_sane_is_replaced(reader: TestClient, given: str) -> None:
    told = reader.get(f"{V1}/health", headers={"x-request-id": given}).headers["x-request-id"]
    assert told != given
    assert len(told) == 16


def test_refusals_have_an_id_and_a_line_too(
    sample_api: Asked, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "mrag.access"):
        response = sample_api.by(None).get(f"{V1}/collections")
    (line,) = [one.getMessage() for one in caplog.records]
    assert line.endswith(f"visitor=- id={response.headers['x-request-id']}")


def test_the_metrics_tell_routes_stages_and_queues(
    sample_api: Asked, unknown_pictures: list[Path]
) -> None:
    admin = sample_api.by(ADMIN)
    files = [("image", ("a.webp", unknown_pictures[0].read_bytes(), "image/webp")),
             ("image", ("b.webp", b"no picture", "image/webp"))]  # fmt: skip
    assert admin.post(f"{V1}/caption", files=files, data={"candidates": "1"}).status_code == 200
    admin.get("/api/v1/made-up-by-anybody")
    told = admin.get("/metrics")
    assert told.headers["content-type"].startswith("text/plain")
    figures = dict(line.rsplit(" ", 1) for line in told.text.splitlines() if line[0] != "#")
    route = 'route="/v1/caption"'
    assert float(figures[f'mrag_stage_seconds_count{{{route},stage="generate"}}']) >= 1
    assert float(figures[f"mrag_failed_pictures_total{{{route}}}"]) >= 1
    assert float(figures[f'mrag_request_seconds_count{{method="POST",{route},status="200"}}']) >= 1
    assert float(figures['mrag_request_seconds_count{method="GET",route="none",status="404"}']) >= 1
    for model in ("encoder", "generator"):
        assert figures[f'mrag_queue_waiting{{model="{model}"}}'] == "0.0"
        assert float(figures[f'mrag_batch_items_count{{model="{model}"}}']) >= 1
        assert figures[f'mrag_queue_refused_total{{model="{model}"}}'] == "0.0"
    assert figures["mrag_requests_busy_total"] == "0.0"
    assert "made-up" not in told.text


def test_a_stream_comes_piece_by_piece_and_tells_of_silence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("api.work._SILENT_S", 0.001)
    on = Event()

    def pieces() -> Iterator[str]:
        yield "first"
        assert on.wait(20)
        yield "last"

    async def main() -> list[str | None]:
        work, told = Work(waiting=1, seconds=60), list[str | None]()
        async for one in work.stream(Client().request, pieces):
            told.append(one)
            if one is None:
                on.set()
        assert work.running == 0
        work.close()
        return told

    told = asyncio.run(main())
    assert [one for one in told if one] == ["first", "last"]
    assert None in told


@pytest.mark.parametrize("why", ["gone", "late", "unread"])
def test_a_stream_that_nobody_waits_for_stops_its_work(why: str) -> None:
    stopped = Event()

    def endless() -> Iterator[int]:
        try:
            yield 1
            while True:
                check_cancelled()
        except Cancelled:
            stopped.set()
            raise

    async def main() -> None:
        work = Work(waiting=1, seconds=0.2 if why == "late" else 60)
        client = Client()
        coming = work.stream(client.request, endless)
        assert await anext(coming) == 1
        if why == "gone":
            client.gone.set()
        if why == "unread":
            await coming.aclose()
        else:
            with pytest.raises(ClientGone if why == "gone" else TookTooLong):
                await anext(coming)
        assert await asyncio.to_thread(stopped.wait, 20)
        work.close()

    asyncio.run(main())


def test_what_goes_wrong_in_a_stream_is_raised_and_too_many_are_refused() -> None:
    def broken() -> Iterator[int]:
        yield 1
        raise InvalidInput("no more")

    async def main() -> None:
        work = Work(waiting=0, seconds=60, threads=1)
        coming = work.stream(Client().request, broken)
        assert await anext(coming) == 1
        with pytest.raises(InvalidInput, match="no more"):
            await anext(coming)
        held = work.stream(Client().request, lambda: iter([1, 2]))
        work.running = 1
        with pytest.raises(Busy):
            await anext(held)
        work.close()

    asyncio.run(main())
