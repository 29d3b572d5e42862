"""The client's own manners: what it sends, how it reads, and what it does when all is not well."""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import pytest

from mrag_client.answers import GivenPicture, NamedPicture, StoredPicture
from mrag_client.client import ATTEMPTS, AsyncClient, Client
from mrag_client.errors import ClientError, PictureUnreadable, ServerGone, ServerRefused
from mrag_client.models import (
    AskEvent,
    AskOptions,
    CaptionOptions,
    Failure,
    IngestOptions,
    SearchOptions,
)
from mrag_client.presence import Presence, running_server, server_file

ADDRESS = "http://127.0.0.1:9"
DESCRIBED = {"candidates": [], "retrieved": [], "space": "mapped", "timings_ms": {}}
COLLECTION = {
    "collection": "album", "images": 1, "captions": 2, "method": "raw", "encoder": "fake",
    "dim": 4, "generator": "consensus", "memory": "", "path": "",
}  # fmt: skip
JOB = {
    "id": "job-1", "collection": "album", "source": "folder", "state": "running",
    "started": "2026-01-01T00:00:00Z",
}  # fmt: skip


def problem(status: int, kind: str, detail: str, **headers: str) -> httpx.Response:
    told = {"type": f"urn:mrag:{kind}", "title": kind, "status": status, "detail": detail}
    kinds = {"content-type": "application/problem+json"}
    return httpx.Response(status, content=json.dumps(told), headers=kinds | headers)


@dataclass
class Server:
    """Answers as it is told to, in turn, and remembers what was asked."""

    answers: list[Any]
    asked: list[httpx.Request] = field(default_factory=list)
    slept: list[float] = field(default_factory=list)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        request.read()
        self.asked.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, httpx.Response) else httpx.Response(200, json=answer)

    @property
    def client(self) -> Client:
        transport = httpx.MockTransport(self)
        return Client(ADDRESS, "secret", transport=transport, sleep=self.slept.append)


def results(*rows: dict[str, Any]) -> dict[str, Any]:
    return {"results": list(rows)}


def captions(*texts: str) -> dict[str, Any]:
    return results(*({"image": f"x{text}", "caption": text} | DESCRIBED for text in texts))


def test_what_is_looked_for_goes_into_the_address() -> None:
    server = Server([results()])
    options = SearchOptions(
        text="a dog & a cat", plus=("red", "big"), spaces=("raw", "mapped"), splits=("val",), k=3
    )
    assert server.client.search(options, collection="album") == []
    (request,) = server.asked
    assert (request.method, request.url.path) == ("GET", "/api/v1/search")
    asked = request.url.params.multi_items()
    assert ("text", "a dog & a cat") in asked
    assert [value for name, value in asked if name == "plus"] == ["red", "big"]
    assert [value for name, value in asked if name == "space"] == ["raw", "mapped"]
    assert ("split", "val") in asked
    assert ("collection", "album") in asked
    assert "min_score" not in dict(asked)
    assert request.headers["authorization"] == "Bearer secret"


def test_pictures_are_sent_without_the_paths_that_they_have_here(tmp_path: Path) -> None:
    picture = tmp_path / "my secret folder.jpg"
    picture.write_bytes(b"pixels")
    server = Server([captions("a dog")])
    (answer,) = server.client.caption([NamedPicture(str(picture), picture)], CaptionOptions())
    assert answer.image == str(picture)
    body = server.asked[0].content
    assert b"pixels" in body
    assert b"secret folder" not in body


def test_many_pictures_are_sent_in_batches_and_answered_in_their_order(tmp_path: Path) -> None:
    """Those of the collection apart, and one that cannot be read is named and left out."""
    pictures = [NamedPicture(f"{number}", f"{number}".encode()) for number in range(18)]
    gone = NamedPicture("gone.jpg", tmp_path / "gone.jpg")
    folder = NamedPicture("folder", tmp_path)
    server = Server(
        [
            captions(*map(str, range(7))),
            captions(*map(str, range(7, 14))),
            captions(*map(str, range(14, 18))),
            captions("stored"),
        ]
    )
    given: list[GivenPicture] = [
        gone,
        *pictures[:14],
        folder,
        *pictures[14:],
        StoredPicture("id-1"),
    ]
    answers = list(server.client.caption(given, CaptionOptions()))
    assert [one.image for one in answers] == [one.name for one in given]
    failed = [one for one in answers if isinstance(one, Failure)]
    assert [(one.image, one.unreadable) for one in failed] == [("gone.jpg", True), ("folder", True)]
    assert "no such file" in failed[0].error
    assert "is a folder" in failed[1].error
    assert len(server.asked) == 4
    assert b"id-1" in server.asked[3].content


def test_once_some_are_described_the_others_spoil_nothing() -> None:
    """A batch of which none can be described is an error only where it is the first."""
    pictures = [NamedPicture(f"{number}", b"x") for number in range(9)]
    trouble = problem(404, "CollectionMissing", "no captions of other pictures")
    server = Server([captions(*"abcdefgh"), trouble])
    answers = list(server.client.caption(pictures, CaptionOptions()))
    assert answers[8] == Failure(image="8", error="no captions of other pictures")
    with pytest.raises(ServerRefused, match="no captions of other"):
        list(Server([trouble]).client.caption(pictures[:1], CaptionOptions()))


def test_a_picture_that_is_looked_for_is_told_by_its_own_name(tmp_path: Path) -> None:
    picture = tmp_path / "text.jpg"
    picture.write_text("no picture")

    def refuse(request: httpx.Request) -> httpx.Response:
        (sent,) = re.findall(rb'filename="([^"]*)"', request.read())
        return problem(422, "UnreadableImage", f"{sent.decode()}: is not a picture")

    client = Client(ADDRESS, transport=httpx.MockTransport(refuse))
    with pytest.raises(ServerRefused, match=r"^text\.jpg: is not a picture$") as refused:
        client.search(SearchOptions(), image=NamedPicture("text.jpg", picture))
    assert refused.value.kind == "UnreadableImage"
    with pytest.raises(PictureUnreadable, match=r"^gone\.jpg: there is no such file"):
        client.search(SearchOptions(), image=NamedPicture("gone.jpg", tmp_path / "gone.jpg"))


def test_a_busy_server_is_asked_again_as_often_as_is_good() -> None:
    busy = {"Retry-After": "2"}
    server = Server([problem(503, "Busy", "too many", **busy), {"collections": []}])
    assert server.client.collections() == []
    assert server.slept == [2]
    always = Server([problem(503, "Busy", "too many", **busy)] * ATTEMPTS)
    with pytest.raises(ServerRefused, match="too many"):
        always.client.collections()
    assert len(always.slept) == ATTEMPTS - 1


@pytest.mark.parametrize("headers", [{}, {"Retry-After": "3600"}, {"Retry-After": "soon"}])
def test_what_does_not_pass_is_not_waited_for(headers: dict[str, str]) -> None:
    server = Server([problem(503, "StoreLocked", "another process has it", **headers)])
    with pytest.raises(ServerRefused) as refused:
        server.client.collections()
    assert (refused.value.kind, refused.value.status, server.slept) == ("StoreLocked", 503, [])


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (httpx.Response(502, text="<html>bad gateway</html>"), "502"),
        (httpx.Response(200, text="<html>hello</html>"), "not understood"),
        (httpx.Response(200, json=["something"]), "not understood"),
        (httpx.Response(200, json={"collections": [{"odd": 1}]}), "not understood"),
    ],
)
def test_what_is_no_answer_of_mrag_is_told_so(answer: httpx.Response, words: str) -> None:
    with pytest.raises(ServerRefused, match=words) as refused:
        Server([answer]).client.collections()
    assert refused.value.kind == ""


def test_a_server_that_does_not_answer_is_gone() -> None:
    for error in (httpx.ConnectError("refused"), httpx.ReadError(""), httpx.ReadTimeout("")):
        with pytest.raises(ServerGone, match=re.escape(ADDRESS)):
            Server([error]).client.collections()


@pytest.mark.parametrize("address", ["", "localhost:8501", "ftp://here", "http://", "http://[::1"])
def test_what_is_no_address_is_told_so_at_once(address: str) -> None:
    with pytest.raises(ClientError, match="like http://localhost:8501"):
        Client(address)


def test_a_key_is_taken_as_a_file_holds_it_and_never_told() -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json={"collections": []})

    with Client("http://server", "mrag_secret\n", transport=httpx.MockTransport(answer)) as client:
        client.collections()
    assert seen[0].headers["authorization"] == "Bearer mrag_secret"
    with pytest.raises(ClientError) as told:
        Client("http://server", "mrag_secret\nmrag_other")
    assert "secret" not in str(told.value)


def test_no_name_leads_elsewhere() -> None:
    """Not even dots, which libraries on the way resolve."""
    server = Server([COLLECTION, COLLECTION])
    server.client.collection("../health")
    server.client.collection("..")
    assert [one.url.raw_path for one in server.asked] == [
        b"/api/v1/collections/%2E%2E%2Fhealth",
        b"/api/v1/collections/%2E%2E",
    ]


@pytest.mark.parametrize("there", [True, False])
def test_an_ingest_makes_the_collection_or_adds_to_it(there: bool) -> None:
    look = COLLECTION if there else problem(404, "CollectionMissing", "none")
    server = Server([look, httpx.Response(202, json=JOB)])
    job = server.client.ingest("album", "/pictures", IngestOptions(splits=("val",)))
    assert job.id == "job-1"
    sent = server.asked[1]
    assert sent.url.path == "/api/v1/collections" + ("/album/ingests" if there else "")
    fields = httpx.QueryParams(sent.content.decode())
    assert fields["source"] == "/pictures"
    assert fields.get("name") == (None if there else "album")


def test_a_zip_is_uploaded(tmp_path: Path) -> None:
    archive = tmp_path / "mine.zip"
    archive.write_bytes(b"zipped")
    server = Server([COLLECTION, httpx.Response(202, json=JOB)])
    server.client.ingest("album", archive, upload=True)
    assert b'filename="mine.zip"' in server.asked[1].content
    assert b"zipped" in server.asked[1].content


def stream(*events: tuple[str, dict[str, Any]], cut: bool = False) -> httpx.Response:
    text = "".join(f"event: {name}\ndata: {json.dumps(job)}\n\n" for name, job in events)

    def pieces() -> Iterator[bytes]:
        yield f": a comment\n\n{text}".encode()
        if cut:
            raise httpx.ReadError("cut")

    return httpx.Response(200, content=pieces(), headers={"content-type": "text/event-stream"})


def test_events_go_on_after_the_line_has_broken() -> None:
    half = JOB | {"progress": {"stage": "embed", "done": 1, "total": 2}}
    done = JOB | {"state": "done", "message": "did it"}
    server = Server(
        [
            stream(("progress", half), cut=True),
            httpx.ConnectError("restarting"),
            stream(("progress", half), ("ended", done)),
        ]
    )
    seen = list(server.client.events("job-1"))
    assert [job.state for job in seen] == ["running", "running", "done"]
    assert seen[0].progress is not None
    assert seen[0].progress.done == 1
    with pytest.raises(ServerGone):
        list(Server([httpx.ConnectError("gone")] * ATTEMPTS).client.events("job-1"))


def test_events_of_a_job_that_nobody_knows_are_refused() -> None:
    with pytest.raises(ServerRefused, match="no job"):
        list(Server([problem(404, "InvalidInput", "there is no job")]).client.events("x"))


ANSWER = {
    "question": "how many?", "kind": "pictures", "answer": "2.", "said": True, "by": "index",
    "searches": ["dogs"], "rules": [], "pictures": [], "counts": [], "timings_ms": {},
}  # fmt: skip


def asking(server: Server) -> Iterator[AskEvent]:
    return server.client.ask_events(AskOptions(question="how many?"))


def test_a_question_is_answered_while_one_reads() -> None:
    text = {"event": "text", "text": "two "}
    server = Server(
        [
            problem(503, "Busy", "too many", **{"Retry-After": "1"}),
            stream(
                ("text", text), ("text", text), ("answer", {"event": "answer", "answer": ANSWER})
            ),
        ]
    )
    *pieces, last = asking(server)
    assert [one.text for one in pieces] == ["two ", "two "]
    assert last.answer is not None
    assert last.answer.answer == "2."
    assert server.slept == [1]


def test_a_question_whose_answer_breaks_off_or_is_refused_late_raises() -> None:
    text = {"event": "text", "text": "two "}
    late = {"type": "urn:mrag:Busy", "title": "Busy", "status": 503, "detail": "too many"}
    with pytest.raises(ServerGone, match="broke off"):
        list(asking(Server([stream(("text", text), cut=True)])))
    with pytest.raises(ServerGone, match="broke off its answer"):
        list(asking(Server([stream(("text", text))])))
    with pytest.raises(ServerRefused, match="too many"):
        list(asking(Server([stream(("text", text), ("problem", late))])))


def test_readiness_is_an_answer_though_it_is_no() -> None:
    waits = {"ready": False, "waiting_for": ["encoder"]}
    assert not Server([httpx.Response(503, json=waits)]).client.ready().ready


def test_the_client_of_asyncio_answers_alike(tmp_path: Path) -> None:
    picture = tmp_path / "a.jpg"
    picture.write_bytes(b"pixels")
    done = JOB | {"state": "done"}
    answered = ("answer", {"event": "answer", "answer": ANSWER})
    server = Server(
        [
            problem(503, "Busy", "too many", **{"Retry-After": "1"}),
            captions("a dog"),
            COLLECTION,
            httpx.Response(200, stream=Pieces(stream(("ended", done)).read())),
            httpx.Response(200, stream=Pieces(stream(answered).read())),
        ]
    )

    async def ask() -> None:
        async def sleep(seconds: float) -> None:
            server.slept.append(seconds)

        transport = httpx.MockTransport(server)
        async with AsyncClient(ADDRESS, transport=transport, sleep=sleep) as client:
            given = [NamedPicture("a.jpg", picture)]
            answers = [one async for one in client.caption(given, CaptionOptions())]
            assert [one.image for one in answers] == ["a.jpg"]
            assert (await client.collection("album")).collection == "album"
            assert [job.state async for job in client.events("job-1")] == ["done"]
            told = client.ask_events(AskOptions(question="how many?"))
            assert [one.event async for one in told] == ["answer"]

    asyncio.run(ask())
    assert server.slept == [1]


class Pieces(httpx.AsyncByteStream):
    """A body that comes by and by."""

    def __init__(self, *pieces: bytes) -> None:
        self._pieces = pieces

    async def __aiter__(self) -> Any:
        for piece in self._pieces:
            yield piece


def found(**changes: Any) -> Presence:
    fields = {"address": ADDRESS, "token": "t", "pid": os.getpid(), "version": "1"}
    return Presence(**fields | changes)


@pytest.mark.parametrize(
    "write",
    [
        lambda place: place.write_text("{"),
        lambda place: place.write_text("[]"),
        lambda place: place.write_text(found(pid=2**22 + 1).model_dump_json()),
        lambda place: place.write_text(found(pid=0).model_dump_json()),
        lambda place: place.mkdir(),
    ],
)
def test_a_stale_or_broken_server_file_is_passed_over(
    tmp_path: Path, write: Callable[[Path], object]
) -> None:
    assert running_server(tmp_path) is None  # nothing is there
    write(server_file(tmp_path))
    assert running_server(tmp_path) is None
    with pytest.raises(ServerGone, match="mrag serve"):
        Client.of_home(tmp_path)


def test_the_server_of_a_home_is_found(tmp_path: Path) -> None:
    server_file(tmp_path).write_text(found().model_dump_json())
    assert running_server(tmp_path) == found()
    Client.of_home(tmp_path).close()


class Empty(BaseHTTPRequestHandler):
    """A server without collections, which says nothing of who asked."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"collections": []}')

    def log_message(self, *_: object) -> None:
        pass


def test_no_proxy_is_asked_for_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with HTTPServer(("127.0.0.1", 0), Empty) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        with Client(f"http://127.0.0.1:{server.server_port}") as client:
            assert client.collections() == []
        server.shutdown()
        thread.join()
