"""How much, and how slowly, may be sent: counted as it comes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse
from starlette.types import Message, Receive, Scope, Send

from engine.settings import read_settings
from server.bodies import BodyLimits, limits_of
from service.access.visitor import Visitor
from tests.server.conftest import AUTH, MakeGuarded

MOST = 1_000


def scope_of(path: str = "/", method: str = "POST", **headers: str) -> Scope:
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return {"type": "http", "method": method, "path": path, "headers": raw, "query_string": b""}


class Sender:
    """A client that sends parts of a body when it is asked for them, and may then stop."""

    def __init__(self, parts: Iterator[bytes], *, ends: bool = True) -> None:
        self.parts, self.ends = parts, ends
        self.sent = 0

    async def receive(self) -> Message:
        part = next(self.parts, None)
        if part is None and not self.ends:
            await asyncio.Event().wait()  # for ever
        self.sent += len(part or b"")
        return {"type": "http.request", "body": part or b"", "more_body": part is not None}


async def reader(scope: Scope, receive: Receive, send: Send) -> None:
    """Reads its body to the end and says how much that was."""
    body = await Request(scope, receive).body()
    await PlainTextResponse(f"read {len(body)}")(scope, receive, send)


async def hider(scope: Scope, receive: Receive, send: Send) -> None:
    """An app that answers with its own words whatever ends its reading."""
    try:
        await reader(scope, receive, send)
    except Exception:  # as frameworks do
        await PlainTextResponse("could not parse", 400)(scope, receive, send)


def answer(
    app: Any, sender: Sender, scope: Scope, *, seconds: float = 60, idle_s: float = 60
) -> tuple[int, bytes]:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    limited = BodyLimits(app, lambda _method, _path, _visitor: MOST, seconds=seconds, idle_s=idle_s)
    asyncio.run(limited(scope, sender.receive, send))
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    return sent[0]["status"], sent[1]["body"]


def endless() -> Iterator[bytes]:
    while True:
        yield b"x" * 100


def test_what_is_small_enough_comes_through_whole() -> None:
    sender = Sender(iter([b"x" * 500, b"y" * 500]))
    assert answer(reader, sender, scope_of()) == (200, b"read 1000")


@pytest.mark.parametrize("app", [reader, hider])
@pytest.mark.parametrize("length", [None, "5", "-1", "a lot", "٣", "9" * 30])
def test_what_is_too_large_is_counted_whatever_it_says(
    app: Callable[..., Any], length: str | None
) -> None:
    sender = Sender(endless())
    headers = {} if length is None else {"content_length": length}
    status, body = answer(app, sender, scope_of(**headers))
    assert status == 413
    assert b"1,000 bytes" in body
    assert sender.sent == 1_100  # and not read on


def test_what_says_that_it_is_too_large_is_not_read() -> None:
    sender = Sender(endless())
    status, _ = answer(reader, sender, scope_of(content_length="1001"))
    assert (status, sender.sent) == (413, 0)


@pytest.mark.parametrize("app", [reader, hider])
def test_what_never_ends_is_ended(app: Callable[..., Any]) -> None:
    sender = Sender(iter([b"x"]), ends=False)
    status, body = answer(app, sender, scope_of(), idle_s=0.01)
    assert status == 408
    assert b"did not come in time" in body


def test_what_drips_is_ended() -> None:
    """Never idle, and over its whole time all the same."""

    async def slow() -> None:
        clock = [0.0]
        asyncio.get_running_loop().time = lambda: clock[0]  # type: ignore[method-assign]
        sent: list[Message] = []

        async def receive() -> Message:
            clock[0] += 5
            await asyncio.sleep(0)
            return {"type": "http.request", "body": b"x", "more_body": True}

        async def send(message: Message) -> None:
            sent.append(message)

        limited = BodyLimits(reader, lambda _method, _path, _visitor: MOST, seconds=60, idle_s=10)
        await limited(scope_of(), receive, send)
        assert sent[0]["status"] == 408

    asyncio.run(slow())


def test_an_app_that_fails_by_itself_still_fails() -> None:
    async def broken(_scope: Scope, receive: Receive, _send: Send) -> None:
        await receive()
        raise ClientDisconnect

    with pytest.raises(ClientDisconnect):
        answer(broken, Sender(iter([b"x"])), scope_of())


def test_once_a_body_has_come_an_answer_may_take_its_time() -> None:
    """What is received then is that the client has gone, and nobody waits for that in vain."""

    async def waits(scope: Scope, receive: Receive, send: Send) -> None:
        await Request(scope, receive).body()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await receive()
        await PlainTextResponse("done")(scope, receive, send)

    class Stays(Sender):
        async def receive(self) -> Message:
            if self.sent:
                await asyncio.Event().wait()
            self.sent += 1
            return {"type": "http.request", "body": b"x", "more_body": False}

    assert answer(waits, Stays(iter([])), scope_of(), idle_s=0.01) == (200, b"done")


def test_limits_are_those_of_the_settings() -> None:
    limit = limits_of(read_settings({"max_upload_bytes": 500 * 2**20, "max_image_bytes": 2**25}))
    zip_of_201_mib = 201 * 2**20
    writer, reader = Visitor("w", "write", "key"), Visitor("r", "read", "key")
    for method, path in (
        ("PUT", "/_stcore/upload_file/a/b"),
        ("POST", "/api/v1/collections"),
        ("POST", "/api/v1/collections/x/ingests"),
        ("POST", "/api/v1/caption"),
        ("POST", "/api/v1/compare"),
    ):
        assert limit(method, path, writer) > 500 * 2**20 > zip_of_201_mib
    assert 2**25 < limit("POST", "/api/v1/search", reader) < 2**26
    assert limit("PUT", "/_stcore/upload_file/a/b", reader) < 2**26  # a picture, no archive
    for method, path in (("POST", "/"), ("POST", "/api/v1/ingests/x/cancel"), ("POST", "/metrics")):
        assert limit(method, path, writer) <= 2**20


def test_an_upload_before_signing_in_is_refused_unread(guarded: MakeGuarded) -> None:
    app = guarded(auth=AUTH)
    taken = 0

    def parts() -> Iterator[bytes]:
        nonlocal taken
        for part in endless():
            taken += len(part)
            if taken > 10_000:
                return
            yield part

    answer = app.client.put("/_stcore/upload_file/a/b", content=parts())
    assert answer.status_code == 401
    assert answer.headers["Connection"] == "close"
    assert app.seen.bytes_read == 0


def test_the_api_tells_programs_what_was_too_large(guarded: MakeGuarded) -> None:
    app = guarded(max_upload_bytes=2**20)
    answer = app.client.post("/api/v1/caption", content=b"x" * (2**21 + 1))
    assert answer.status_code == 413
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["status"] == 413
    plain = app.client.put("/_stcore/upload_file/a/b", content=b"x" * (2**21 + 1))
    assert plain.headers["Content-Type"].startswith("text/plain")


def test_a_body_as_large_as_is_offered_comes_through(guarded: MakeGuarded) -> None:
    app = guarded(max_upload_bytes=3 * 2**20)
    answer = app.client.post("/api/v1/collections", content=b"x" * (3 * 2**20))
    assert answer.json()["read"] == 3 * 2**20
