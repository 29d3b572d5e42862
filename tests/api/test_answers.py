"""What the API answers: pictures described, found and compared, and its errors."""

from __future__ import annotations

import html
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from engine.app import Engine
from tests.api.conftest import ADMIN, HOME, READER, WRITER, Asked, problem
from tests.films import film

V1 = "/api/v1"


def image(path: Path, name: str = "") -> tuple[str, tuple[str, bytes, str]]:
    return "image", (name or path.name, path.read_bytes(), "application/octet-stream")


def first_id(client: TestClient) -> str:
    found = client.get(f"{V1}/search", params={"text": "a cat", "k": 1}).json()
    return str(found["results"][0]["hits"][0]["id"])


def test_files_and_stored_pictures_are_described(
    reader: TestClient, unknown_pictures: list[Path]
) -> None:
    key = first_id(reader)
    files = [image(unknown_pictures[0]), ("image", ("bad.jpg", b"no picture", "image/jpeg"))]
    fields = {"id": [key, "nothing"], "k": "3", "candidates": "2", "collection": "plain"}
    response = reader.post(f"{V1}/caption", files=files, data=fields)
    assert response.status_code == 200, response.text
    good, bad, stored, unknown = response.json()["results"]
    keys = {
        "image",
        "caption",
        "candidates",
        "retrieved",
        "space",
        "timings_ms",
        "made_with",
        "trace",
        "reranked",
    }
    assert set(good) == keys
    assert (good["image"], len(good["retrieved"]), good["space"]) == (
        unknown_pictures[0].name, 3, "mapped",
    )  # fmt: skip
    assert (bad["image"], bad["unreadable"]) == ("bad.jpg", True)
    assert (stored["image"], bool(stored["caption"])) == (key, True)
    assert "no picture with the id" in unknown["error"]


def test_the_answers_are_those_of_the_service(
    reader: TestClient, sample_api: Asked, unknown_pictures: list[Path]
) -> None:
    from mrag_client.answers import NamedPicture
    from mrag_client.models import CaptionOptions
    from service.answering import LocalAnswers

    given = [NamedPicture("a.webp", unknown_pictures[1])]
    (local,) = LocalAnswers(sample_api.engine).caption(given, CaptionOptions(candidates=2))
    files = [image(unknown_pictures[1], "a.webp")]
    (far,) = reader.post(f"{V1}/caption", files=files, data={"candidates": "2"}).json()["results"]
    told = local.model_dump(mode="json")
    assert far.pop("timings_ms").keys() == told.pop("timings_ms").keys()
    assert far == told


def test_words_find_pictures_in_each_space(reader: TestClient) -> None:
    params = {"text": "a cat", "plus": ["night", "snow"], "minus": "day",
              "space": ["raw", "words"], "split": "train", "k": "3"}  # fmt: skip
    response = reader.get(f"{V1}/search", params=params)
    assert response.status_code == 200, response.text
    raw, words = response.json()["results"]
    assert (raw["space"], words["space"]) == ("raw", "words")
    assert raw["query"] == "a cat +night +snow -day split:train"
    assert len(raw["hits"]) == 3
    told = {"id", "uri", "score", "caption", "taken_at", "camera", "places", "chance"}
    assert told <= set(raw["hits"][0])
    assert raw["likely"] is None
    assert words["likely"] is not None
    assert "/" not in raw["hits"][0]["uri"]


def test_what_is_likely_can_be_asked_for_alone(reader: TestClient) -> None:
    def asked(**more: str) -> Any:
        params = {"text": "snow", "space": "fused", "k": "24", **more}
        return reader.get(f"{V1}/search", params=params).json()["results"][0]

    whole, alone = asked(), asked(likely="true")
    assert 0 < whole["likely"] < 24
    assert alone["hits"] == whole["hits"][: whole["likely"]]
    assert all(hit["chance"] >= 0.5 for hit in alone["hits"])
    assert asked(text="a spaceship")["likely"] == 0


def test_a_search_is_read_in_its_language_and_what_is_wrong_is_placed(reader: TestClient) -> None:
    def asked(text: str) -> Any:
        return reader.get(f"{V1}/search", params={"text": text, "space": "raw"})

    (found,) = asked('a cat -day "cat" keyword:x').json()["results"]
    assert found["query"] == 'a cat -day "cat" keyword:x'
    assert "tag: is a filter" in found["hints"][0]
    wrong = asked("a cat after:May")
    assert "2024-05" in problem(wrong, 422, "InvalidSearch")
    assert wrong.json()["place"] == {"text": "a cat after:May", "start": 6, "end": 15}
    assert "place" not in asked("a cat like:00000000-0000-0000-0000-000000000000").json()


def test_filters_alone_find_pictures_by_date_and_are_counted(reader: TestClient) -> None:
    params = {"text": "split:train", "k": "3"}
    (found,) = reader.get(f"{V1}/search", params=params).json()["results"]
    assert (found["space"], len(found["hits"])) == ("date", 3)
    counted = reader.get(f"{V1}/facets", params=params).json()
    assert counted["pictures"] == 24
    assert counted["values"]["split"] == {"train": 24}
    assert reader.get(f"{V1}/facets", params={"split": "none"}).json()["pictures"] == 0
    problem(reader.get(f"{V1}/facets", params={"text": "near:0"}), 422, "InvalidSearch")


def test_only_an_administrator_sees_where_files_lie(
    reader: TestClient, admin: TestClient, sample_home: Path
) -> None:
    params = {"text": "a cat", "k": "1"}
    far = admin.get(f"{V1}/search", params=params).json()["results"][0]["hits"][0]
    assert Path(far["uri"]).is_file()
    near = reader.get(f"{V1}/search", params=params).json()["results"][0]["hits"][0]
    assert near["uri"] == Path(far["uri"]).name
    for place in ("collections", "collections/plain"):
        assert str(sample_home) in admin.get(f"{V1}/{place}").text
        assert str(sample_home) not in reader.get(f"{V1}/{place}").text
    gone = reader.get(f"{V1}/search", params={"text": "a", "collection": "gone"})
    assert str(sample_home) not in problem(gone, 404, "CollectionMissing")


def test_a_picture_finds_those_like_it(reader: TestClient, unknown_pictures: list[Path]) -> None:
    sent = reader.post(
        f"{V1}/search", files=[image(unknown_pictures[0])], data={"k": "2", "space": "raw"}
    )
    assert len(sent.json()["results"][0]["hits"]) == 2
    key = first_id(reader)
    found = [hit["id"] for hit in sent.json()["results"][0]["hits"]]
    several = {"like": [key], "unlike": [one for one in found if one != key][-1:]}
    apart = reader.get(f"{V1}/search", params=several).json()["results"][0]["hits"]
    assert not {key, *several["unlike"]} & {hit["id"] for hit in apart}
    like = reader.get(f"{V1}/similar", params={"id": key, "k": "5", "space": ["raw", "mapped"]})
    assert [one["space"] for one in like.json()["results"]] == ["raw", "mapped"]
    assert key not in [hit["id"] for hit in like.json()["results"][0]["hits"]]
    assert "no picture" in problem(reader.get(f"{V1}/similar", params={"id": "x"}), 404, "NotFound")
    assert problem(reader.get(f"{V1}/similar"), 422)


def test_pictures_are_compared(reader: TestClient, unknown_pictures: list[Path]) -> None:
    key = first_id(reader)
    response = reader.post(
        f"{V1}/compare", files=[image(unknown_pictures[0])], data={"id": key, "k": "2"}
    )
    new, known = response.json()["results"]
    assert set(new) == {"image", "raw", "mapped", "overlap", "rbo", "truth", "timings_ms"}
    assert (len(new["raw"]), new["truth"]) == (2, None)
    assert known["truth"]["fitted"] is True


def test_collections_and_their_pictures_are_told(reader: TestClient) -> None:
    (told,) = reader.get(f"{V1}/collections").json()["collections"]
    assert (told["collection"], told["images"], told["captions"]) == ("plain", 24, 120)
    assert reader.get(f"{V1}/collections/plain").json() == told
    key = first_id(reader)
    facts = reader.get(f"{V1}/collections/plain/pictures/{key}").json()
    assert (facts["id"], len(facts["captions"]), facts["split"]) == (key, 5, "train")
    small = reader.get(f"{V1}/collections/plain/pictures/{key}/thumbnail", params={"side": 32})
    assert (small.headers["content-type"], small.content[8:12]) == ("image/webp", b"WEBP")
    for path in ("nothing", "UPPER", "plain/pictures/x", "plain/pictures/x/thumbnail"):
        problem(reader.get(f"{V1}/collections/{path}"), 404, "NotFound")


def test_the_server_says_how_it_is(sample_api: Asked, reader: TestClient) -> None:
    nobody = sample_api.by(None)
    assert nobody.get(f"{V1}/health").json() == {"status": "ok"}
    described = reader.post(f"{V1}/caption", data={"candidates": "1", "id": first_id(reader)})
    assert described.status_code == 200, described.text
    assert reader.get(f"{V1}/ready").json() == {"ready": True, "waiting_for": []}
    told = reader.get(f"{V1}/version").json()
    assert told["api"] == 1
    assert told["version"]


def test_nothing_is_ready_before_its_models_are(tmp_path: Path, sample_home: Path) -> None:
    from engine.app import build_engine
    from engine.settings import Settings
    from tests.api.conftest import asked_of

    fresh: Engine = build_engine(Settings(home=sample_home, profile="sample", device="cpu"))
    for asked in asked_of(fresh, tmp_path):
        response = asked.by(READER).get(f"{V1}/ready")
        assert response.status_code == 503
        assert response.json() == {"ready": False, "waiting_for": ["plain"]}
        assert asked.by(None).get(f"{V1}/ready").json()["waiting_for"] == []
    fresh.close()


def test_nobody_is_let_in_who_is_not_known(sample_api: Asked) -> None:
    nobody = sample_api.by(None)
    for path in ("search?text=a", "collections", "version", "ingests", "collections/plain"):
        response = nobody.get(f"{V1}/{path}")
        problem(response, 401, "Unknown")
        assert response.headers["www-authenticate"] == "Bearer"
    problem(nobody.post(f"{V1}/caption"), 401, "Unknown")
    problem(nobody.get("/metrics"), 401, "Unknown")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "collections"), ("POST", "collections/plain/ingests"),
        ("POST", "ingests/x/cancel"), ("POST", "ingests/x/resume"),
        ("DELETE", "collections/plain"),
    ],
)  # fmt: skip
def test_a_role_that_is_too_low_is_refused(sample_api: Asked, method: str, path: str) -> None:
    said = problem(sample_api.by(READER).request(method, f"{V1}/{path}"), 403, "Forbidden")
    assert "role read" in said


def test_only_administrators_delete_and_read_the_metrics(sample_api: Asked) -> None:
    writer = sample_api.by(WRITER)
    problem(writer.delete(f"{V1}/collections/plain"), 403, "Forbidden")
    problem(writer.get("/metrics"), 403, "Forbidden")
    assert sample_api.by(ADMIN).get("/metrics").status_code == 200


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({}, "the query is empty"),
        ({"text": "a" * 501}, "text: String should have at most 500"),
        ({"text": "a", "k": "0"}, "k: Input should be greater than or equal to 1 ('0' is given)"),
        ({"text": "a", "k": ["1", "2"]}, "k is given 2 times"),
        ({"text": "a", "space": "nowhere"}, "'words' or 'fused' ('nowhere' is given)"),
        ({"text": "a", "colour": "red"}, "colour: Extra inputs"),
        ({"text": "a", "plus": ["b"] * 17}, "plus: Tuple should have at most 16 items"),
        ({"text": "a", "min_score": ".5", "space": "words"}, "cannot be held against"),
        ({"like": "nothing"}, "no picture with the id"),
    ],
)
def test_a_bad_query_is_named(reader: TestClient, params: dict[str, Any], said: str) -> None:
    response = reader.get(f"{V1}/search", params=params)
    assert response.status_code == 422
    assert said in response.json()["detail"]


def test_bad_bodies_are_named(reader: TestClient, unknown_pictures: list[Path]) -> None:
    url = f"{V1}/caption"
    problem(reader.post(url, json={"k": 1}), 415, "WrongType")
    problem(reader.post(url, content=b"x"), 415, "WrongType")
    problem(reader.post(url, content=b"x", headers={"content-type": "multipart/form-data"}), 400,
            "BadRequest")  # fmt: skip
    torn = {"content-type": "multipart/form-data; boundary=b"}
    problem(reader.post(url, content=b"nothing of a form", headers=torn), 400, "BadRequest")
    picture = image(unknown_pictures[0])
    assert "no picture is given" in problem(
        reader.post(url, files={"k": (None, "4")}), 422, "InvalidFields"
    )
    problem(reader.post(url, files=[picture], data={"prompt": "no place"}), 422, "InvalidInput")
    problem(reader.post(url, files=[("picture", picture[1])]), 400, "BadRequest")
    problem(reader.post(f"{V1}/search", files=[picture, picture]), 422, "InvalidFields")
    bad = ("image", ("bad.jpg", b"no picture", "image/jpeg"))
    said = problem(reader.post(f"{V1}/search", files=[bad]), 422, "UnreadableImage")
    assert said.startswith("bad.jpg: ")


def test_addresses_that_are_not_there_are_problems(reader: TestClient) -> None:
    problem(reader.get("/api/v1/nothing"), 404)
    problem(reader.get("/api/nothing"), 404)
    problem(reader.get("/api/v1/collections/a%0Ab"), 404)
    response = reader.delete(f"{V1}/search")
    problem(response, 405)
    assert set(response.headers["allow"].split(", ")) <= {"GET", "POST"}


def test_the_document_and_its_page_need_no_network(reader: TestClient) -> None:
    told = reader.get("/api/openapi.json").json()
    assert told["servers"] == [{"url": "/api"}]
    assert "/v1/caption" in told["paths"]
    page = reader.get("/api/docs")
    told = html.unescape(page.text)
    assert "curl 'http://testserver/api/v1/search?text=two+dogs+on+a+beach&minus=night" in told
    assert "curl 'http://testserver/api/v1/similar?id={id}'" in told
    assert "-F image=@picture.jpg http://testserver/api/v1/caption" in told
    assert "curl -X DELETE 'http://testserver/api/v1/collections/{name}'" in told
    assert "/api/v1/search" in page.text
    assert not any(part in page.text for part in ("src=", "<link", "<script", "href=http"))


def test_duplicates_are_told_in_pages_to_those_who_read(reader: TestClient) -> None:
    told = reader.get(f"{V1}/duplicates", params={"kind": "near", "k": 5}).json()
    assert (told["waiting"], told["missing"]) == (0, 0)
    assert len(told["groups"]) == min(5, told["total"])
    assert "kind" in problem(reader.get(f"{V1}/duplicates", params={"kind": "odd"}), 422)
    assert "k: Input" in problem(reader.get(f"{V1}/duplicates", params={"k": "0"}), 422)
    gone = reader.get(f"{V1}/duplicates", params={"collection": "gone"})
    assert problem(gone, 404, "CollectionMissing")


@pytest.fixture
def trip(tmp_path: Path) -> Path:
    film(tmp_path / "trip.mp4", 0, 1, 2)
    return tmp_path / "trip.mp4"


def test_a_video_is_told_shot_by_shot(reader: TestClient, trip: Path) -> None:
    sent = {"video": ("my trip.mp4", trip.read_bytes(), "video/mp4")}
    first = reader.post(f"{V1}/outline", files=sent, data={"shots": "2"})
    assert first.status_code == 200, first.text
    told = first.json()
    assert (told["video"], told["seconds"], told["next"]) == ("my trip.mp4", 6.0, 4.0)
    assert [(one["start"], one["end"]) for one in told["shots"]] == [(0.0, 2.0), (2.0, 4.0)]
    assert all(one["caption"] for one in told["shots"])
    rest = reader.post(f"{V1}/outline", files=sent, data={"start": "4"}).json()
    assert ([one["start"] for one in rest["shots"]], rest["next"]) == ([4.0], None)
    written = reader.post(f"{V1}/outline?format=vtt", files=sent)
    assert written.headers["content-type"].startswith("text/vtt")
    assert written.text.startswith("WEBVTT\n\n00:00:00.000 --> 00:00:02.000\n")
    assert "x-next-start" not in written.headers
    part = reader.post(f"{V1}/outline?format=srt", files=sent, data={"shots": "1"})
    assert part.headers["x-next-start"] == "2.000"


def test_files_of_this_machine_are_read_for_its_owner_alone(sample_api: Asked, trip: Path) -> None:
    asked = {"source": str(trip), "shots": "1"}
    for visitor in (READER, ADMIN):
        problem(sample_api.by(visitor).post(f"{V1}/outline", data=asked), 422, "InvalidFields")
    assert sample_api.by(HOME).post(f"{V1}/outline", data=asked).json()["next"] == 2.0
    bad = {"video": ("text.mp4", b"a shopping list", "video/mp4")}
    told = problem(sample_api.by(READER).post(f"{V1}/outline", files=bad), 422, "UnreadableImage")
    assert told.startswith("text.mp4: is not a video")


def test_questions_are_answered_about_the_collection_and_about_pictures(
    reader: TestClient, unknown_pictures: list[Path]
) -> None:
    asked = {"question": "is there a castle?", "collection": "plain"}
    answer = reader.post(f"{V1}/ask", data=asked).json()
    assert answer["answer"].startswith("Yes: ")
    assert answer["searches"] == ["castle"]
    assert [one["rule"] for one in answer["rules"]] == ["exists"]
    assert all("/" not in one["uri"] for one in answer["pictures"])
    instead = reader.post(f"{V1}/ask", data={**asked, "search": "castle has:caption"}).json()
    assert instead["searches"] == ["castle has:caption"]
    key = answer["pictures"][0]["id"]
    fields = {"question": "how many castles are there?", "id": [key]}
    about = reader.post(f"{V1}/ask", data=fields, files=[image(unknown_pictures[0])]).json()
    assert {one["given"] for one in about["pictures"]} == {1, 2}
    for field, status, detail in (
        ({"question": "?"}, 422, "ask something"),
        ({"question": "x" * 501}, 422, "question"),
        ({"question": "dogs?", "search": "after:never"}, 422, "at character 1"),
        ({"question": "dogs?", "id": "nothing"}, 422, "no picture with the id"),
        ({"question": "dogs?", "collection": "none"}, 404, "none"),
    ):
        told = reader.post(f"{V1}/ask", data=field)
        assert told.status_code == status, told.text
        assert detail in told.json()["detail"]
    bad = [("image", ("bad.jpg", b"no picture", "image/jpeg"))]
    refused = reader.post(f"{V1}/ask", data={"question": "what is it?"}, files=bad)
    assert refused.status_code == 422
    assert refused.json()["detail"].startswith("bad.jpg: ")
