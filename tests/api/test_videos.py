"""Shots of videos by the API: found, seen, played, and only by those who may see them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image, ImageStat

from tests.api.conftest import ADMIN, READER, Asked, asked_of, problem
from tests.films import SMALL, film
from tests.ingest.syncing import Album

AT = "/api/v1/collections/album/pictures"


@pytest.fixture
def album(tmp_path: Path) -> Iterator[Album]:
    """Two videos that begin with the same scene."""
    made = Album(tmp_path, has_index=True)
    films = tmp_path / "films"
    films.mkdir()
    began = datetime(2024, 5, 1, 17, tzinfo=UTC)
    film(films / "a.mp4", 0, 1, how=replace(SMALL, created=began))
    film(films / "b.mkv", 0, 2)
    made.ingest(films)
    yield made
    made.engine.close()


@pytest.fixture
def asked(album: Album, tmp_path: Path) -> Iterator[Asked]:
    yield from asked_of(album.engine, tmp_path / "thumbnails")


def test_a_shot_is_found_seen_and_played(asked: Asked, album: Album) -> None:
    opened = album.engine.open("album")
    (group,) = opened.copies.groups
    assert len(group) == 2
    assert dict(opened.images.facets().extensions) == {"mkv": 2, "mp4": 2}
    reader, admin = asked.by(READER), asked.by(ADMIN)
    found = reader.get("/api/v1/search", params={"text": "ext:mp4", "sort": "oldest"}).json()
    first, second = found["results"][0]["hits"]
    assert (second["video"], second["start"], second["end"]) == ("a.mp4", 2.0, 4.0)
    known = admin.get(f"{AT}/{first['id']}").json()
    assert known["video"] == str(album.base / "films" / "a.mp4")
    small = reader.get(f"{AT}/{first['id']}/thumbnail?side=64")
    with Image.open(BytesIO(small.content)) as image:
        assert min(ImageStat.Stat(image).stddev) > 5  # and not grey, as of a file that has gone
    data = (album.base / "films" / "a.mp4").read_bytes()
    part = reader.get(f"{AT}/{second['id']}/video", headers={"Range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, data[10:20])
    assert part.headers["content-type"] == "video/mp4"
    assert asked.by(None).get(f"{AT}/{first['id']}/video").status_code == 401
    (album.base / "films" / "a.mp4").rename(album.base / "away.mp4")
    assert "not where it was" in problem(reader.get(f"{AT}/{first['id']}/video"), 404, "NotFound")
