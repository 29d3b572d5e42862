"""What every picture store can filter, count and sort by of what a picture's file says of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta, timezone
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.errors import InvalidInput
from engine.store import ImageStore
from engine.store.image_filters import image_conditions
from engine.store.phrases import phrase_terms, phrase_text
from engine.types import Filters, ImagePoint, Metadata, Near, Sort
from tests.engine.store.test_contract_images import axis, picture

pytestmark = [
    pytest.mark.filterwarnings(
        "ignore:Payload indexes have no effect in the local Qdrant:UserWarning"
    ),
    pytest.mark.filterwarnings("ignore:Local mode performs exact:UserWarning"),
]

LISBON = Metadata(
    camera="Canon EOS R6",
    lens="RF 24-105mm",
    latitude=38.7112,
    longitude=-9.1277,
    title="Trams",
    rating=4,
)
ZURICH = Metadata(camera="canon eos r6", latitude=47.3706, longitude=8.5418, rating=-1)


def album() -> list[ImagePoint]:
    return [
        replace(
            picture(1, axis(0)),
            uri="a/1.JPG",
            captions=("a dog runs", "the cat sleeps"),
            metadata=LISBON,
            places=("Alfama", "Lisbon", "Portugal"),
            tags=("Pets",),
        ),
        replace(
            picture(2, axis(1)),
            uri="a/2.heic",
            captions=("A cat runs. The dog",),
            metadata=ZURICH,
            places=("Zürich (Kreis 1)", "Zürich", "Switzerland"),
            tags=("pets",),
        ),
        replace(picture(3, axis(2)), uri="a/3.jpg", metadata=Metadata(rating=5, lens="RF 50mm")),
    ]


def kept(images: ImageStore, filters: Filters) -> str:
    found = {hit.image_id for hit in images.search("raw", 9, raw=axis(0), filters=filters)}
    assert images.count(filters) == len(found)
    assert {hit.image_id for hit in images.browse(filters, k=9)} == found
    return "".join(sorted(found))


def test_times_of_day_are_those_of_each_pictures_own_clock(images: ImageStore) -> None:
    zone = timezone(timedelta(hours=9))
    taken = [
        datetime(2024, 5, 1, 8, 30, tzinfo=UTC),
        datetime(2024, 5, 2, 17, 0, tzinfo=zone),  # 8:00 in UTC
        datetime(2024, 6, 1, 23, 15),
        None,
    ]
    images.upsert([replace(picture(at, axis(0)), taken_at=one) for at, one in enumerate(taken, 1)])

    def found(start: time | None = None, end: time | None = None, **others: Any) -> str:
        return kept(images, Filters(clock_from=start, clock_until=end, **others))

    assert found(time(8, 30)) == "123"
    assert found(time(8, 30, 1)) == "23"
    assert found(end=time(17)) == "12"
    assert found(end=time(16, 59, 59)) == "1"
    assert found(time(9), time(20)) == "2"
    assert found(time(22), time(9)) == "13"  # over midnight
    assert found(time(8), taken_from=datetime(2024, 5, 2, tzinfo=UTC)) == "23"
    assert found(time(22), time(9), taken_until=datetime(2024, 5, 31, tzinfo=UTC)) == "1"


def test_a_hit_carries_what_the_file_says(images: ImageStore) -> None:
    images.upsert(album())
    [hit] = images.search("raw", 1, raw=axis(0))
    expected = {
        "camera": "Canon EOS R6",
        "lens": "RF 24-105mm",
        "places": ["Alfama", "Lisbon", "Portugal"],
        "location": {"lat": 38.7112, "lon": -9.1277},
        "title": "Trams",
        "rating": 4,
    }
    assert {name: hit.payload[name] for name in expected} == expected


def test_names_are_compared_without_case_and_accents(images: ImageStore) -> None:
    images.upsert(album())
    assert kept(images, Filters(cameras=frozenset({"CANON eos  R6"}))) == "12"
    assert kept(images, Filters(cameras=frozenset({"canon"}))) == ""
    assert kept(images, Filters(lenses=frozenset({"rf 50MM", "none"}))) == "3"
    assert kept(images, Filters(places=frozenset({"lisbon"}))) == "1"
    assert kept(images, Filters(places=frozenset({"zurich", "PORTUGAL"}))) == "12"
    assert kept(images, Filters(tags=frozenset({"PETS"}))) == "12"
    assert kept(images, Filters(extensions=frozenset({".JPG"}))) == "13"
    assert kept(images, Filters(extensions=frozenset({"heic", "png"}))) == "2"


def test_what_is_named_can_be_left_out(images: ImageStore) -> None:
    images.upsert(album())
    assert kept(images, Filters(not_cameras=frozenset({"CANON eos R6"}))) == "3"
    assert kept(images, Filters(not_lenses=frozenset({"rf 50mm"}))) == "12"
    assert kept(images, Filters(not_places=frozenset({"zurich"}))) == "13"
    assert kept(images, Filters(not_tags=frozenset({"PETS", "none"}))) == "3"
    assert kept(images, Filters(not_extensions=frozenset({"heic"}))) == "13"
    assert kept(images, Filters(not_sources=frozenset({"human"}))) == ""
    both = Filters(tags=frozenset({"pets"}), not_places=frozenset({"Lisbon"}))
    assert kept(images, both) == "2"


def test_captions_are_by_nobody_where_there_are_none(images: ImageStore) -> None:
    images.upsert(album())
    assert kept(images, Filters(sources=frozenset({"human"}))) == "12"
    assert images.facets().sources == {"human": 2}
    none = Filters(sources=frozenset({"human"}), has_caption=False)
    assert kept(images, none) == ""


def test_ratings_captions_and_places_on_the_globe_are_conditions(images: ImageStore) -> None:
    images.upsert(album())
    assert kept(images, Filters(least_rating=0)) == "13"
    assert kept(images, Filters(least_rating=-1)) == "123"
    assert kept(images, Filters(least_rating=5)) == "3"
    assert kept(images, Filters(has_caption=True)) == "12"
    assert kept(images, Filters(has_caption=False)) == "3"
    assert kept(images, Filters(near=Near(38.7, -9.1, 5))) == "1"
    assert kept(images, Filters(near=Near(38.7, -9.1, 2))) == ""
    assert kept(images, Filters(near=Near(47, 8, 5000))) == "12"
    both = Filters(near=Near(47, 8, 5000), least_rating=0, has_caption=True)
    assert kept(images, both) == "1"


@pytest.mark.parametrize(
    "near",
    [Near(91, 0, 1), Near(0, 181, 1), Near(float("nan"), 0, 1), Near(0, 0, 0), Near(0, 0, np.inf)],
)
def test_a_circle_that_is_none_is_refused(near: Near) -> None:
    with pytest.raises(InvalidInput, match="no circle"):
        image_conditions(Filters(near=near))


def test_a_phrase_occurs_word_by_word_in_one_caption(images: ImageStore) -> None:
    images.upsert(album())

    def found(*phrases: str) -> str:
        return kept(images, Filters(phrases=phrases))

    assert found("dog runs") == "1"
    assert found("DOG, runs!") == "1"
    assert found("cat") == "12"
    assert found("cat", "a dog") == "1"
    assert found("runs the") == "2"  # not from one caption of picture 1 into the next
    assert found("og run") == ""
    assert found("runs dog") == ""


def test_phrases_are_found_in_any_script_and_so_are_signs(images: ImageStore) -> None:
    told_by = {
        "लड़का दौड़ता": "एक लड़का दौड़ता है",
        "नாய் ஓடுகிறது".replace("न", "ந"): "ஒரு நாய் ஓடுகிறது",
        "ดำนั่ง": "แมวสีดำนั่งบนโซฟา",
        "黑猫坐": "一只黑猫坐在沙发上",
        "قطة تجلس": "قطة تجلس على الأريكة",
        "🐶🌲": "🐶🌲",
        "cafe\u0301 BLEU": "un café bleu",
        "Straße": "an der STRASSE",
    }
    captions = list(told_by.values())
    images.upsert(
        [replace(picture(i, axis(i)), captions=(text,)) for i, text in enumerate(captions)]
    )
    for at, phrase in enumerate(told_by):
        assert kept(images, Filters(phrases=(phrase,))) == str(at), phrase
    for other in ("लड़क", "猫黑", "🌲🐶", "cafe bleu", "एक दौड़ता"):
        assert kept(images, Filters(phrases=(other,))) == "", other


@pytest.mark.parametrize("phrase", ["", "  ", "!?", "—"])
def test_a_phrase_without_words_is_refused(phrase: str) -> None:
    with pytest.raises(InvalidInput, match="has no word"):
        image_conditions(Filters(phrases=(phrase,)))


@settings(max_examples=50)
@given(st.lists(st.text(max_size=20), max_size=3), st.text(max_size=20))
def test_a_phrase_is_terms_that_every_engine_splits_alike(said: list[str], more: str) -> None:
    text = phrase_text(said)
    assert all(term.isalnum() and term == term.lower() for term in text.split())
    whole = " ".join(said[:1])
    if phrase_text([whole]):
        assert f" {phrase_terms(whole)} " in f" {phrase_text([whole, more])} "


def test_facets_count_names_by_their_commonest_spelling(images: ImageStore) -> None:
    images.upsert([*album(), replace(picture(4, axis(3)), metadata=LISBON, tags=("pets",))])
    facets = images.facets()
    assert facets.cameras == {"Canon EOS R6": 3}
    assert facets.lenses == {"RF 24-105mm": 2, "RF 50mm": 1}
    assert facets.tags == {"pets": 3}
    assert facets.places["Lisbon"] == 1
    assert facets.places["Zürich"] == 1
    assert facets.extensions == {"jpg": 3, "heic": 1}
    assert list(facets.extensions) == ["jpg", "heic"]


def test_facets_of_filtered_pictures_count_these_alone(images: ImageStore) -> None:
    points = [
        replace(one, taken_at=datetime(2020 + at, 1, 1, tzinfo=UTC))
        for at, one in enumerate(album())
    ]
    images.upsert(points)
    facets = images.facets(Filters(least_rating=0))
    assert facets.cameras == {"Canon EOS R6": 1}
    assert facets.places == {"Alfama": 1, "Lisbon": 1, "Portugal": 1}
    assert (facets.taken_from, facets.taken_until) == (
        datetime(2020, 1, 1, tzinfo=UTC),
        datetime(2022, 1, 1, tzinfo=UTC),
    )
    assert images.facets(Filters(least_rating=5, has_caption=True)).extensions == {}


def test_facets_follow_what_is_changed_and_deleted(images: ImageStore) -> None:
    images.upsert(album())
    images.upsert([replace(album()[1], metadata=Metadata(camera="Phone"), tags=())])
    images.delete([album()[0].id])
    facets = images.facets()
    assert (facets.cameras, facets.tags, facets.sources) == ({"Phone": 1}, {}, {"human": 1})
    assert "Lisbon" not in facets.places


DAYS = st.lists(st.none() | st.integers(1, 4), max_size=14)


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(days=DAYS, k=st.integers(1, 6))
def test_pages_by_date_neither_overlap_nor_leave_gaps(
    images: ImageStore, days: list[int | None], k: int
) -> None:
    images.delete(list(images.ids()))
    moments = [None if day is None else datetime(2021, 5, day) for day in days]
    points = [
        replace(picture(at, axis(at)), taken_at=when, split="val" if at % 3 else "")
        for at, when in enumerate(moments)
    ]
    images.upsert(points)
    for filters in (Filters(), Filters(splits=frozenset({"val"}))):
        wanted = [one for one in points if one.split or filters == Filters()]
        dated = sorted((one for one in wanted if one.taken_at), key=lambda one: one.id)
        rest = sorted(one.id for one in wanted if not one.taken_at)
        for newest in (True, False):
            dated.sort(key=lambda one: one.taken_at or datetime.min, reverse=newest)
            pages = [
                images.browse(filters, order="newest" if newest else "oldest", k=k, offset=at)
                for at in range(0, len(wanted) + k, k)
            ]
            expected = [one.id for one in dated] + rest
            assert [hit.id for page in pages for hit in page] == expected
            assert pages[-1] == []


def test_browsing_tells_zones_apart_and_obeys_a_period(images: ImageStore) -> None:
    zone = timezone(timedelta(hours=2))
    images.upsert(
        [
            replace(picture(1, axis(0)), taken_at=datetime(2021, 5, 2, 1, tzinfo=zone)),
            replace(picture(2, axis(1)), taken_at=datetime(2021, 5, 1, 23, 30)),
            replace(picture(3, axis(2)), taken_at=datetime(2021, 5, 3)),
            picture(4, axis(3)),
        ]
    )
    assert [hit.image_id for hit in images.browse(k=9)] == ["3", "2", "1", "4"]
    assert [hit.image_id for hit in images.browse(order="oldest", k=9)] == ["1", "2", "3", "4"]
    until = Filters(taken_until=datetime(2021, 5, 2))
    assert [hit.image_id for hit in images.browse(until, k=9)] == ["2", "1"]
    with pytest.raises(InvalidInput, match="k is 0"):
        images.browse(k=0)


def test_a_search_can_come_by_date(images: ImageStore) -> None:
    images.upsert(
        [
            replace(
                picture(at, axis(at)),
                captions=("a dog",) if at < 4 else ("a tree",),
                taken_at=datetime(2021, 5, 1 + at % 3) if at % 5 else None,
            )
            for at in range(12)
        ]
    )

    def found(k: int, offset: int = 0, sort: Sort = "newest") -> list[str]:
        hits = images.search("words", k, words="dog", offset=offset, sort=sort)
        return [hit.image_id for hit in hits]

    assert found(9) == ["2", "1", "3", "0"]
    assert found(2) + found(2, 2) + found(2, 4) == found(9)
    assert found(9, sort="oldest") == ["3", "1", "2", "0"]


def test_what_scores_too_little_is_left_out_of_any_order(images: ImageStore) -> None:
    near = np.asarray((axis(0) + axis(1)) / np.sqrt(2), dtype=np.float32)
    images.upsert(
        [
            replace(picture(1, axis(0)), taken_at=datetime(2021, 5, 1)),
            replace(picture(2, near), taken_at=datetime(2021, 5, 2)),
            replace(picture(3, axis(5)), taken_at=datetime(2021, 5, 3)),
        ]
    )

    def found(sort: Sort, offset: int = 0) -> list[str]:
        hits = images.search("raw", 9, raw=axis(0), min_score=0.5, sort=sort, offset=offset)
        return [hit.image_id for hit in hits]

    assert found("relevance") == ["1", "2"]
    assert found("newest") == ["2", "1"]
    assert found("newest", 1) == ["1"]


def test_labels_are_set_found_counted_and_leave_all_else_as_it_is(images: ImageStore) -> None:
    images.upsert(album())
    ids = {hit.image_id: hit.id for hit in images.get(list(images.ids()))}
    given = {"1": ("Dog", "Tram"), "2": ("dog",), "3": ()}
    before = images.vectors(list(ids.values()), "raw")
    images.set_labels({ids[name]: labels for name, labels in given.items()})
    assert kept(images, Filters(labels=frozenset({"DOG"}))) == "12"
    assert kept(images, Filters(labels=frozenset({"tram", "cat"}))) == "1"
    assert kept(images, Filters(not_labels=frozenset({"tram"}))) == "23"
    assert kept(images, Filters(labels=frozenset({"dog"}), tags=frozenset({"pets"}))) == "12"
    assert kept(images, Filters(labels=frozenset({"dog"}), phrases=("a dog",))) == "1"
    facets = images.facets()
    assert facets.labels == {"Dog": 2, "Tram": 1}
    assert facets.tags == {"Pets": 2}
    after = images.vectors(list(ids.values()), "raw")
    assert all(np.array_equal(before[key], after[key]) for key in before)
    images.set_labels({ids["1"]: ("tram",), ids["2"]: ()})
    assert images.facets().labels == {"tram": 1}
    assert images.count() == 3
