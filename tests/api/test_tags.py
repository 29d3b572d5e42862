"""Labels over the API: who may give them, what is refused, what stands."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.app import build_engine
from engine.settings import Settings
from tests.api.conftest import READER, WRITER, Asked, asked_of
from tests.worlds import copied_tree

PLACE = "/api/v1/tags?collection=plain"
EACH = "/api/v1/tags/pictures?collection=plain"


@pytest.fixture(scope="module")
def asked(sample_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asked]:
    """The API over a home that may be changed."""
    folder = tmp_path_factory.mktemp("tagged")
    home = copied_tree(sample_home, folder / "home")
    engine = build_engine(Settings(home=home, profile="sample", device="cpu"))
    yield from asked_of(engine, folder / "thumbnails")
    engine.close()


def test_who_may_write_gives_labels_and_everybody_reads_them(asked: Asked) -> None:
    labels = "snow = in the snow\nbeach = on the beach"
    fields = {"labels": labels, "single": "true", "name": "where"}
    assert asked.by(READER).post(PLACE, data=fields).status_code == 403
    tried = asked.by(WRITER).post(PLACE, data={**fields, "dry_run": "true"}).json()
    assert tried["dry_run"]
    assert asked.by(READER).get(PLACE).json()["taggings"] == []
    given = asked.by(WRITER).post(PLACE, data=fields).json()
    assert given["labels"] == tried["labels"]
    assert all("/" not in one["uri"] for one in given["shown"])  # places are the server's own
    assert asked.jobs.learner.labelled("plain", 120)
    (standing,) = asked.by(READER).get(PLACE).json()["taggings"]
    assert (standing["name"], standing["who"]) == ("where", "bob")
    assert standing["labels"].splitlines() == labels.splitlines()
    query = {"text": "label:snow", "collection": "plain", "k": "1"}
    (hit,) = asked.by(READER).get("/api/v1/search", params=query).json()["results"][0]["hits"]
    picture = asked.by(READER).get(f"/api/v1/collections/plain/pictures/{hit['id']}").json()
    assert hit["labels"] == picture["labels"] == ["snow"]
    pages, after = [], ""
    while True:
        fields = {"name": "where", "k": "20", "after": after}
        page = asked.by(READER).post(EACH, data=fields).json()
        pages.append(page["pictures"])
        if not (after := page["next"]):
            break
    assert len(pages) > 1
    every = [one for of in pages for one in of]
    assert len({one["id"] for one in every}) == len(every) == given["labelled"]
    assert all("/" not in one["uri"] for one in every)
    gone = "/api/v1/tags/where?collection=plain"
    assert asked.by(READER).delete(gone).status_code == 403
    assert asked.by(WRITER).delete(gone).json()["taggings"] == []
    assert asked.by(WRITER).delete(gone).status_code == 422


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"name": "nowhere"}, "no tagging 'nowhere'"),
        ({"labels": "dog", "after": "7"}, "is no place in a collection"),
        ({"labels": "dog", "k": "0"}, "k"),
        ({"name": "../x"}, "not allowed"),
    ],
)
def test_a_page_of_what_is_not_there_is_refused(
    asked: Asked, fields: dict[str, str], told: str
) -> None:
    answer = asked.by(READER).post(EACH, data=fields)
    assert answer.status_code == 422
    assert told in answer.json()["detail"]


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"labels": "# none"}, "no label"),
        ({"labels": "dog\ndog"}, "there already"),
        ({"labels": "dog", "least": "1"}, "least"),
        ({"labels": "dog", "name": "../../x"}, "not allowed"),
        ({"labels": "dog", "examples": "nobody\tcat"}, "not in the list"),
        ({"labels": "dog", "examples": "/etc/passwd\tdog"}, "none of the 1 examples"),
        ({"labels": "\n".join(f"l{at}" for at in range(10_000))}, "the limit is 2,000"),
    ],
)
def test_what_cannot_be_used_is_refused_with_a_reason(
    asked: Asked, fields: dict[str, str], told: str
) -> None:
    answer = asked.by(WRITER).post(PLACE, data=fields)
    assert answer.status_code == 422
    assert told in answer.json()["detail"]
    assert asked.by(WRITER).post("/api/v1/tags?collection=nowhere", data=fields).status_code in {
        404, 422,
    }  # fmt: skip
