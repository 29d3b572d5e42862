"""Collections made, filled and deleted over the API, and what is told of it meanwhile."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from engine.app import Engine
from engine.settings import Settings
from tests.api.conftest import ADMIN, HOME, READER, WRITER, Asked, asked_of, problem
from tests.worlds import Gate, OneEncoder

V1 = "/api/v1"


@pytest.fixture
def asked(tmp_path: Path, gate: Gate) -> Iterator[Asked]:
    """The API over an empty home, with small limits."""
    (tmp_path / "allowed").mkdir()
    settings = Settings(
        home=tmp_path / "home",
        source_root=tmp_path / "allowed",
        generator="consensus",
        batch_size=4,
        workers=1,
        qdrant_url="",
        max_upload_files=3,
        max_upload_bytes=200_000,
        max_image_bytes=20_000,
    )
    engine = Engine(settings)
    engine.models = OneEncoder(settings, gate)
    yield from asked_of(engine, tmp_path / "thumbnails")
    gate.open.set()
    engine.close()


@pytest.fixture
def writer(asked: Asked) -> TestClient:
    return asked.by(WRITER)


@pytest.fixture
def album(asked: Asked, painted: Callable[[Path, int], None]) -> Path:
    """Six pictures with captions, inside the folder allowed."""
    root = asked.engine.settings.source_root
    assert root is not None
    fill_folder(root / "album", painted)
    return root / "album"


def fill_folder(folder: Path, painted: Callable[[Path, int], None]) -> None:
    for seed in range(6):
        painted(folder / f"{seed}.png", seed)
        (folder / f"{seed}.txt").write_text(f"picture {seed}", encoding="utf-8")


def packed(folder: Path) -> bytes:
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path in sorted(folder.iterdir()):
            archive.write(path, path.name)
    return buffer.getvalue()


def archive(data: bytes, name: str = "My summer.zip") -> Any:
    return {"archive": (name, data, "application/zip")}


def events(client: TestClient, key: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """What is told of an ingest until it has ended."""
    with client.stream("GET", f"{V1}/ingests/{key}/events") as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        event = ""
        for line in stream.iter_lines():
            if line.startswith("event: "):
                event = line.removeprefix("event: ")
            elif line.startswith("data: "):
                yield event, json.loads(line.removeprefix("data: "))


def ended(client: TestClient, response: Any) -> dict[str, Any]:
    """The ingest that was begun, when it has ended."""
    assert response.status_code == 202, response.text
    (*_, last) = events(client, response.json()["id"])
    assert last[0] == "ended"
    return last[1]


def test_a_zip_makes_a_collection_that_can_be_searched(
    asked: Asked, writer: TestClient, album: Path
) -> None:
    begun = writer.post(f"{V1}/collections", data={"name": "summer"}, files=archive(packed(album)))
    told = begun.json()
    assert begun.headers["location"] == f"{V1}/ingests/{told['id']}"
    done = ended(writer, begun)
    assert (done["state"], done["source"], done["skipped"]) == ("done", "My summer.zip", 0)
    assert (done["result"]["images"], done["result"]["embedded"]) == (6, 6)
    assert writer.get(begun.headers["location"]).json() == done
    assert writer.get(f"{V1}/ingests").json() == {"jobs": [done]}
    found = writer.get(f"{V1}/search", params={"text": "picture 3", "space": "words"}).json()
    assert found["results"][0]["hits"][0]["caption"] == "picture 3"
    assert str(asked.engine.settings.home) not in found["results"][0]["hits"][0]["uri"]


def test_a_name_that_is_taken_is_a_conflict_and_more_can_be_added(
    writer: TestClient, gate: Gate, album: Path, painted: Callable[[Path, int], None]
) -> None:
    gate.open.clear()
    first = writer.post(f"{V1}/collections", data={"name": "one", "source": "album"})
    assert gate.entered.wait(20)
    again = writer.post(f"{V1}/collections", data={"name": "one", "source": "album"})
    assert f"{V1}/collections/one/ingests" in problem(again, 409, "Conflict")
    gate.open.set()
    ended(writer, first)
    painted(album / "7.png", 7)
    added = ended(writer, writer.post(f"{V1}/collections/one/ingests", data={"source": "album"}))
    assert (added["result"]["images"], added["result"]["embedded"]) == (7, 1)
    problem(writer.post(f"{V1}/collections/two/ingests", data={"source": "album"}), 404, "NotFound")


def test_the_options_of_an_ingest_are_heeded(writer: TestClient, album: Path) -> None:
    rows = "\n".join(
        f"{seed}.png,said {seed},{'val' if seed % 2 else 'train'}" for seed in range(6)
    )
    (album / "t.csv").write_text(f"file,says,split\n{rows}\n", encoding="utf-8")
    fields = {
        "name": "one", "source": "album/t.csv", "split": ["val", "test"], "limit": "2",
        "method": "raw", "image_column": "file", "caption_column": "says",
    }  # fmt: skip
    done = ended(writer, writer.post(f"{V1}/collections", data=fields))
    assert (done["state"], done["result"]["images"]) == ("done", 2)
    bad = writer.post(f"{V1}/collections", data={**fields, "name": "two", "limit": "0"})
    assert "limit" in problem(bad, 422)
    memory = {"name": "two", "source": "album", "memory": "nothing"}
    problem(writer.post(f"{V1}/collections", data=memory), 404, "CollectionMissing")


@pytest.mark.usefixtures("album")
def test_progress_is_told_as_it_happens_and_a_cancelled_one_is_taken_up(
    writer: TestClient, gate: Gate
) -> None:
    gate.open.clear()
    begun = writer.post(f"{V1}/collections", data={"name": "one", "source": "album"}).json()
    key = begun["id"]
    assert gate.entered.wait(20)
    problem(writer.post(f"{V1}/ingests/{key}/resume"), 409, "Conflict")
    told = events(writer, key)
    stopping = writer.post(f"{V1}/ingests/{key}/cancel").json()
    assert (stopping["state"], stopping["stopping"]) == ("running", True)
    gate.open.set()
    seen = list(told)
    assert [event for event, _ in seen[-1:]] == ["ended"]
    assert seen[-1][1]["state"] == "cancelled"
    resumed = writer.post(f"{V1}/ingests/{key}/resume")
    assert resumed.status_code == 200
    (*_, (_, last)) = events(writer, key)
    assert (last["state"], last["result"]["images"]) == ("done", 6)
    assert writer.post(f"{V1}/ingests/{key}/cancel").json() == last


def test_only_the_owner_of_the_machine_names_any_folder(
    asked: Asked, writer: TestClient, tmp_path: Path, painted: Callable[[Path, int], None]
) -> None:
    fill_folder(tmp_path / "elsewhere", painted)
    fields = {"name": "one", "source": str(tmp_path / "elsewhere")}
    for visitor in (WRITER, ADMIN):
        refused = asked.by(visitor).post(f"{V1}/collections", data=fields)
        assert "MRAG_SOURCE_ROOT" in problem(refused, 422, "InvalidInput")
    done = ended(asked.by(HOME), asked.by(HOME).post(f"{V1}/collections", data=fields))
    assert (done["state"], done["source"]) == ("done", str(tmp_path / "elsewhere"))
    told = writer.get(f"{V1}/ingests")
    assert told.json()["jobs"][0]["source"] == "elsewhere"
    assert str(tmp_path) not in told.text


def test_a_collection_is_deleted_by_an_administrator(asked: Asked, album: Path) -> None:
    admin = asked.by(ADMIN)
    ended(admin, admin.post(f"{V1}/collections", data={"name": "one", "source": "album"}))
    fields = {"name": "two", "source": "album", "memory": "one"}
    ended(admin, admin.post(f"{V1}/collections", data=fields))
    assert "memory of two" in problem(admin.delete(f"{V1}/collections/one"), 409, "Conflict")
    for name in ("two", "one"):
        gone = admin.delete(f"{V1}/collections/{name}")
        assert (gone.status_code, gone.content) == (204, b"")
    assert admin.get(f"{V1}/collections").json() == {"collections": []}
    problem(admin.delete(f"{V1}/collections/one"), 404, "NotFound")
    assert len(list(album.glob("*.png"))) == 6


def test_bad_sources_are_refused(writer: TestClient, album: Path) -> None:
    url, name = f"{V1}/collections", {"name": "one"}
    good = packed(album)
    problem(writer.post(url, data=name), 422, "InvalidFields")
    both = writer.post(url, data={**name, "source": "album"}, files=archive(good))
    problem(both, 422, "InvalidFields")
    problem(writer.post(url, files=archive(good)), 422, "InvalidFields")
    unnamed = writer.post(url, data={"name": "Not Allowed"}, files=archive(good))
    problem(unnamed, 422, "InvalidInput")
    problem(writer.post(url, data=name, files=archive(b"no zip", "a.zip")), 415, "WrongType")
    problem(writer.post(url, data=name, files=archive(good[:-30])), 415, "WrongType")
    big = writer.post(url, data=name, files=archive(good + bytes(200_001)))
    assert "MRAG_MAX_UPLOAD_BYTES" in problem(big, 413, "TooLarge")
    problem(writer.post(url, data={**name, "source": "a\0b"}), 422, "InvalidFields")
    problem(writer.post(url, data={**name, "source": "nowhere"}), 422, "SourceError")
    problem(writer.get(f"{V1}/ingests/x"), 404, "NotFound")
    problem(writer.get(f"{V1}/ingests/x/events"), 404, "NotFound")
    problem(writer.post(f"{V1}/ingests/x/cancel"), 404, "NotFound")
    assert writer.get(f"{V1}/ingests").json() == {"jobs": []}


def test_more_than_the_settings_allow_is_not_taken(
    asked: Asked, writer: TestClient, album: Path
) -> None:
    ended(writer, writer.post(f"{V1}/collections", data={"name": "one", "source": "album"}))
    url = f"{V1}/caption"
    small = (album / "0.png").read_bytes()

    def sent(*pictures: bytes) -> Any:
        return writer.post(
            url, files=[("image", ("a.png", data, "image/png")) for data in pictures]
        )

    assert sent(small, small, small).status_code == 200
    assert "MRAG_MAX_UPLOAD_FILES" in problem(sent(*[small] * 4), 413, "TooLarge")
    assert "MRAG_MAX_IMAGE_BYTES" in problem(sent(bytes(20_001)), 413, "TooLarge")
    described, failed = sent(small, bytes(20_001)).json()["results"]
    assert described["caption"]
    assert "MRAG_MAX_IMAGE_BYTES" in failed["error"]
    much = bytes(2**20 + 200_001)
    assert "MRAG_MAX_UPLOAD_BYTES" in problem(sent(much), 413, "TooLarge")

    def unannounced() -> Iterator[bytes]:
        yield b'--b\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n'
        yield from [bytes(2**16)] * 40

    headers = {"content-type": "multipart/form-data; boundary=b"}
    streamed = asked.by(READER).post(url, content=unannounced(), headers=headers)
    assert "MRAG_MAX_UPLOAD_BYTES" in problem(streamed, 413, "TooLarge")


def test_a_sync_is_looked_at_then_done_and_tells_places_to_those_alone_who_may_know(
    asked: Asked, writer: TestClient, album: Path, painted: Callable[[Path, int], None]
) -> None:
    url = f"{V1}/collections/one/syncs"
    ended(writer, writer.post(f"{V1}/collections", data={"name": "one", "source": "album"}))
    (source,) = writer.get(f"{V1}/collections/one").json()["sources"]
    assert (source["name"], source["path"], source["can_sync"]) == ("album", "", True)
    admin = asked.by(ADMIN)
    (source,) = admin.get(f"{V1}/collections/one").json()["sources"]
    assert source["path"] == str(album)
    painted(album / "7.png", 7)
    (album / "0.png").rename(album / "8.png")
    for seed in range(1, 5):
        (album / f"{seed}.png").unlink()
    looked = ended(writer, writer.post(url, params={"dry_run": True}))
    counts = [looked["result"][kind] for kind in ("new", "moved", "gone", "unchanged")]
    assert (looked["kind"], looked["state"], counts) == ("sync", "done", [1, 1, 4, 1])
    assert "examples" not in looked["result"]
    assert str(album) not in json.dumps(looked)
    seen = admin.get(f"{V1}/ingests/{looked['id']}").json()
    assert str(album / "7.png") in seen["message"]
    refused = ended(writer, writer.post(url))
    assert (refused["state"], refused["error"]) == ("failed", "TooMuchLeaves")
    assert "4 of 6 pictures would leave" in refused["message"]
    rest = ended(writer, writer.post(url, params={"allowed": "rest"}))
    assert (rest["result"]["kept"], rest["result"]["ingest"]["images"]) == (True, 7)
    done = ended(writer, writer.post(url, params={"allowed": "all"}))
    assert (done["state"], done["result"]["ingest"]["images"]) == ("done", 3)
    assert writer.post(f"{V1}/ingests/{done['id']}/resume").status_code == 200


def test_a_sync_needs_a_source_and_a_writer(asked: Asked, writer: TestClient, album: Path) -> None:
    ended(
        writer, writer.post(f"{V1}/collections", data={"name": "one"}, files=archive(packed(album)))
    )
    told = problem(writer.post(f"{V1}/collections/one/syncs"), 409, "NothingToSync")
    assert "My summer.zip" in told
    problem(writer.post(f"{V1}/collections/two/syncs"), 404, "NotFound")
    problem(asked.by(READER).post(f"{V1}/collections/one/syncs"), 403, "Forbidden")
    form = writer.post(f"{V1}/collections/one/syncs", data={"dry_run": "true"})
    assert "?dry_run=true" in problem(form, 422, "InvalidInput")
    assert "allowed" in problem(
        writer.post(f"{V1}/collections/one/syncs", params={"allowed": "x"}), 422
    )


def test_a_sync_reads_nothing_outside_the_folder_that_was_allowed(
    writer: TestClient, album: Path, tmp_path: Path, painted: Callable[[Path, int], None]
) -> None:
    ended(writer, writer.post(f"{V1}/collections", data={"name": "one", "source": "album"}))
    fill_folder(tmp_path / "secret", painted)
    (album / "out").symlink_to(tmp_path / "secret")
    done = ended(writer, writer.post(f"{V1}/collections/one/syncs"))
    assert done["result"]["new"] == 0
    assert done["result"]["failed"]
