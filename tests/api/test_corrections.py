"""Corrections over the API: kept, told with who, undone; and what follows in the background."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from corpus.corrections import waiting
from corpus.lock import writing
from engine.app import build_engine
from engine.settings import Settings
from tests.api.conftest import ADMIN, READER, WRITER, Asked, asked_of
from tests.worlds import copied_tree

SECONDS = 120


@pytest.fixture(scope="module")
def asked(sample_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asked]:
    """The API over a home that may be changed."""
    folder = tmp_path_factory.mktemp("corrected")
    home = copied_tree(sample_home, folder / "home")
    engine = build_engine(Settings(home=home, profile="sample", device="cpu"))
    yield from asked_of(engine, folder / "thumbnails")
    engine.close()


@pytest.fixture
def place(asked: Asked, request: pytest.FixtureRequest) -> str:
    """The corrections of a picture that no other test corrects."""
    ids = sorted(asked.engine.open("plain").images.ids())
    tests = [item.nodeid for item in request.session.items]
    return f"/api/v1/collections/plain/pictures/{ids[tests.index(request.node.nodeid) % len(ids)]}"


def told(asked: Asked, place: str, **fields: str) -> dict[str, Any]:
    answer = asked.by(WRITER).post(f"{place}/corrections", data=fields)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_a_correction_is_shown_first_found_and_undone(asked: Asked, place: str) -> None:
    before = asked.by(READER).get(place).json()["captions"]
    told(asked, place, text="A wombat counts lighthouses.")
    assert asked.jobs.learner.settled("plain", SECONDS)
    assert asked.by(READER).get(place).json()["captions"] == [
        "A wombat counts lighthouses.", *before
    ]  # fmt: skip
    query = {"text": "wombat lighthouses", "space": "words", "collection": "plain", "k": "1"}
    found = asked.by(READER).get("/api/v1/search", params=query).json()
    assert found["results"][0]["hits"][0]["id"] == place.rpartition("/")[2]
    history = asked.by(READER).get(f"{place}/corrections").json()["corrections"]
    assert [(one["who"], one["kind"], one["stands"]) for one in history] == [
        ("bob", "edited", True)
    ]
    undone = asked.by(ADMIN).delete(f"{place}/corrections").json()
    assert [(one["who"], one["kind"]) for one in undone["corrections"]] == [
        ("eve", "undone"), ("bob", "edited")
    ]  # fmt: skip
    assert asked.jobs.learner.settled("plain", SECONDS)
    assert asked.by(READER).get(place).json()["captions"] == before
    assert asked.jobs.learner.rested("plain", SECONDS)
    learned = asked.by(READER).get("/api/v1/learned", params={"collection": "plain"}).json()
    assert learned["trouble"] == ""
    assert learned["now"]["corrections"] == 0


def test_two_at_once_lose_nothing_and_the_last_is_shown(asked: Asked, place: str) -> None:
    with ThreadPoolExecutor(4) as pool:
        texts = [f"Said by {name}." for name in ("one", "two", "three", "four")]
        list(pool.map(lambda text: told(asked, place, text=text), texts))
    assert asked.jobs.learner.settled("plain", SECONDS)
    answer = asked.by(READER).get(f"{place}/corrections").json()
    assert sorted(one["text"] for one in answer["corrections"]) == sorted(texts)
    assert answer["caption"] == answer["corrections"][0]["text"]
    assert asked.by(READER).get(place).json()["captions"][0] == answer["caption"]


def test_a_correction_waits_for_who_writes_the_collection(asked: Asked, place: str) -> None:
    folder = asked.engine.folder("plain")
    assert asked.jobs.learner.rested("plain", SECONDS)
    with writing(folder):
        answer = told(asked, place, text="Said during an ingest.")
        assert answer["caption"] == "Said during an ingest."
        assert [one["waiting"] for one in answer["corrections"]] == [True]
        assert len(waiting(folder.corrections)) == 1  # safe on disk
    assert asked.jobs.learner.settled("plain", SECONDS)
    assert asked.by(READER).get(place).json()["captions"][0] == "Said during an ingest."
    assert not waiting(folder.corrections)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"text": "   "}, "no words"),
        ({"text": "a" * 1001}, "1,001 characters"),
        ({"accept": "true"}, "nothing to accept"),
        ({"text": "a", "size": "2"}, "size"),
    ],
)
def test_what_cannot_be_kept_is_refused_with_a_reason(
    asked: Asked, place: str, fields: dict[str, str], told: str
) -> None:
    answer = asked.by(WRITER).post(f"{place}/corrections", data=fields)
    assert answer.status_code == 422
    assert told in answer.json()["detail"]
    assert asked.by(READER).get(f"{place}/corrections").json()["corrections"] == []


def test_readers_do_not_correct_and_unknown_pictures_are_named(asked: Asked, place: str) -> None:
    assert asked.by(READER).post(f"{place}/corrections", data={"text": "a"}).status_code == 403
    assert asked.by(READER).delete(f"{place}/corrections").status_code == 403
    nowhere = place.rpartition("/")[0] + "/nobody/corrections"
    assert asked.by(WRITER).post(nowhere, data={"text": "a"}).status_code == 404
    assert asked.by(WRITER).delete(f"{place}/corrections").status_code == 422  # nothing to undo
