"""What the doors are told of pictures."""

from __future__ import annotations

from engine.types import ImageHit
from service.conversion import image_hit, picture_answer

HIT = ImageHit(
    "id",
    "one",
    "/home/eve/one.jpg",
    0.5,
    ("a tram",),
    payload={
        "sha256": "ab",
        "names": ["one"],
        "width": 4,
        "height": 3,
        "taken_at": None,
        "tags": ["sea"],
        "split": "",
        "source": "human",
        "camera": "Canon EOS R6",
        "lens": "",
        "places": ["Lisbon", "Portugal"],
        "title": "Trams",
        "rating": 4,
        "labels": ["tram"],
        "location": {"lat": 38.7112, "lon": -9.1277},
    },
)


def test_coordinates_are_told_to_those_alone_who_may_know_where_files_lie() -> None:
    known, unknown = picture_answer(HIT), picture_answer(HIT, paths=False)
    assert (known.latitude, known.longitude) == (38.7112, -9.1277)
    assert (unknown.latitude, unknown.longitude, unknown.uri) == (None, None, "one.jpg")
    assert unknown.places == ("Lisbon", "Portugal")


def test_a_hit_says_what_its_file_says() -> None:
    told = image_hit(HIT, paths=False).model_dump()
    assert (told["camera"], told["title"], told["rating"]) == ("Canon EOS R6", "Trams", 4)
    assert told["labels"] == ("tram",)
    assert "38.7" not in str(told)
