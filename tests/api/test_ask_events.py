"""A question that is answered while its client reads on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.testclient import TestClient

from mrag_client.answers import NamedPicture
from mrag_client.client import Client
from mrag_client.errors import ServerRefused
from mrag_client.models import AskOptions
from tests.api.conftest import ADMIN, Asked, problem

V1 = "/api/v1"
OPEN = "What is next to the circle?"


def events(client: TestClient, **fields: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """The events, by name."""
    files = fields.pop("files", None)
    with client.stream("POST", f"{V1}/ask/events", data=fields, files=files) as stream:
        assert stream.status_code == 200, stream.read()
        assert stream.headers["content-type"].startswith("text/event-stream")
        assert stream.headers["x-accel-buffering"] == "no"
        name = ""
        for line in stream.iter_lines():
            field, _, value = line.partition(": ")
            if field == "event":
                name = value
            elif field == "data":
                yield name, json.loads(value)


def test_events_come_and_end_with_the_answer(reader: TestClient) -> None:
    told = list(events(reader, question=OPEN))
    assert next(name for name, _ in told) == "searched"
    assert told[-1][0] == "answer"
    assert {name for name, _ in told[1:-1]} <= {"text", "found"}
    whole = reader.post(f"{V1}/ask", data={"question": OPEN}).json()
    answer = told[-1][1]["answer"]
    assert answer | {"timings_ms": {}} == whole | {"timings_ms": {}}
    assert "path" not in json.dumps(told[0])


def test_what_is_wrong_at_first_has_a_status_and_later_is_an_event(reader: TestClient) -> None:
    unknown = reader.post(f"{V1}/ask/events", data={"question": OPEN, "collection": "none"})
    problem(unknown, 404, "CollectionMissing")
    problem(reader.post(f"{V1}/ask/events", data={"question": "x" * 9999}), 422)
    problem(reader.post(f"{V1}/ask/events", content=b"?"), 415, "WrongType")
    broken = ("image", ("a.jpg", b"no picture", "image/jpeg"))
    *_, (name, told) = events(reader, question="What is it?", files=[broken])
    assert (name, told["status"]) == ("problem", 422)
    assert told["detail"].startswith("a.jpg")


def test_the_client_reads_them(sample_api: Asked, tmp_path: Path) -> None:
    served = sample_api.by(ADMIN)

    def asked(request: httpx.Request) -> httpx.Response:
        headers = {"content-type": request.headers["content-type"]}
        answer = served.post(str(request.url), content=request.read(), headers=headers)
        return httpx.Response(answer.status_code, content=answer.content, headers=answer.headers)

    client = Client("http://testserver", transport=httpx.MockTransport(asked))
    *_, last = client.ask_events(AskOptions(question=OPEN))
    assert last.answer is not None
    assert last.answer.question == OPEN
    picture = tmp_path / "mine.jpg"
    picture.write_bytes(b"no picture")
    with pytest.raises(ServerRefused, match=r"mine\.jpg"):
        list(
            client.ask_events(
                AskOptions(question="What is it?"), images=[NamedPicture("mine.jpg", picture)]
            )
        )
