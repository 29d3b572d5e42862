"""What every picture store does, embedded or on a server."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.errors import InvalidInput
from engine.identity import content_key
from engine.store import ImageStore, picture_id
from engine.types import Facets, Filters, ImagePoint, SearchSpace, Vector, Vectors

pytestmark = [
    pytest.mark.filterwarnings(
        "ignore:Payload indexes have no effect in the local Qdrant:UserWarning"
    ),
    pytest.mark.filterwarnings("ignore:Local mode performs exact:UserWarning"),
]
DIM = 16


def unit_rows(n: int, seed: int = 0) -> Vectors:
    rows = np.random.default_rng(seed).standard_normal((n, DIM)).astype(np.float32)
    unit: Vectors = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit


def axis(i: int) -> Vector:
    row = np.zeros(DIM, dtype=np.float32)
    row[i] = 1.0
    return row


def picture(number: int, raw: Vector, mapped: Vector | None = None) -> ImagePoint:
    sha = f"{number:064x}"
    return ImagePoint(
        id=picture_id(sha),
        image_id=str(number),
        uri=f"pictures/{number}.jpg",
        sha256=sha,
        width=640,
        height=480,
        raw=raw,
        mapped=raw if mapped is None else mapped,
    )


def generated(number: int, raw: Vector) -> ImagePoint:
    return replace(picture(number, raw), source="generated", captions=("b",))


def keys(*numbers: int) -> frozenset[str]:
    return frozenset(content_key(f"{number:064x}") for number in numbers)


def album(n: int) -> list[ImagePoint]:
    rows = unit_rows(n, 3)
    return [picture(i, rows[i]) for i in range(n)]


def test_a_hit_carries_what_was_stored(images: ImageStore) -> None:
    point = replace(
        picture(1, axis(0)),
        captions=("a dog", "a brown dog"),
        source="generated",
        split="train",
        taken_at=datetime(2021, 5, 1, 12, 30),  # cameras write no zone
        tags=("pets", "home"),
        names=("1", "one"),
    )
    images.upsert([point])
    [hit] = images.search("raw", 1, raw=axis(0))
    assert (hit.id, hit.image_id, hit.uri, hit.captions) == (
        point.id,
        "1",
        "pictures/1.jpg",
        ("a dog", "a brown dog"),
    )
    assert hit.score == pytest.approx(1.0, abs=1e-3)
    assert hit.payload == {
        "sha256": point.sha256,
        "names": ["1", "one"],
        "width": 640,
        "height": 480,
        "taken_at": "2021-05-01T12:30:00",
        "tags": ["pets", "home"],
        "split": "train",
        "source": "generated",
        "camera": "",
        "lens": "",
        "places": [],
        "location": None,
        "title": "",
        "rating": None,
        "labels": [],
    }


def test_each_space_searches_its_own_vector_with_its_own_query(images: ImageStore) -> None:
    images.upsert(
        [
            replace(picture(1, axis(0), axis(1)), caption=axis(2)),
            replace(picture(2, axis(1), axis(2)), caption=axis(0)),
            replace(picture(3, axis(2), axis(0)), caption=axis(1)),
        ]
    )
    best: dict[SearchSpace, str] = {"raw": "1", "mapped": "2", "caption": "1"}
    for space, image_id in best.items():
        hits = images.search(space, 3, raw=axis(0), mapped=axis(2))
        assert hits[0].image_id == image_id
        assert hits[0].score == pytest.approx(1.0, abs=1e-3)
        assert len(hits) == 3


def test_the_caption_vector_comes_and_goes_with_the_point(images: ImageStore) -> None:
    point = picture(1, axis(0))
    images.upsert([point])
    assert images.search("caption", 5, mapped=axis(3)) == []
    images.upsert([replace(point, caption=axis(3), captions=("a dog",))])
    [hit] = images.search("caption", 5, mapped=axis(3))
    assert hit.score == pytest.approx(1.0, abs=1e-3)
    images.upsert([point])
    assert images.search("caption", 5, mapped=axis(3)) == []
    assert images.search("words", 5, words="dog") == []
    assert images.count() == 1


def test_pictures_with_and_without_a_caption_go_in_one_batch(images: ImageStore) -> None:
    points = album(6)
    mixed = [replace(p, caption=p.mapped) if i % 2 else p for i, p in enumerate(points)]
    images.upsert(mixed)
    hits = images.search("caption", 10, mapped=points[3].mapped)
    assert hits[0].image_id == "3"
    assert {hit.image_id for hit in hits} == {"1", "3", "5"}


def told(texts: list[str]) -> list[ImagePoint]:
    rows = unit_rows(len(texts), 4)
    pictures = [picture(i, row) for i, row in enumerate(rows)]
    return [replace(one, captions=(text,)) for one, text in zip(pictures, texts, strict=True)]


def found_by_words(images: ImageStore, words: str, k: int = 10) -> list[str]:
    return [hit.captions[0] for hit in images.search("words", k, words=words)]


def test_words_rank_rare_words_above_common_ones(images: ImageStore) -> None:
    common = {"a dog runs", "a dog sleeps", "a dog barks"}
    images.upsert(told([*sorted(common), "dog and zebra", "a zebra stands", "trees"]))
    hits = images.search("words", 10, words="dog zebra")
    assert [hit.captions[0] for hit in hits[:2]] == ["dog and zebra", "a zebra stands"]
    assert {hit.captions[0] for hit in hits[2:]} == common
    assert hits[0].score > hits[1].score > hits[2].score > 0


def test_words_match_stems_cases_accents_and_numbers(images: ImageStore) -> None:
    texts = ["Two dogs RUNNING", "a café", "bus number 42"]
    images.upsert(told(texts))
    for query, text in (
        ("dog", texts[0]),
        ("runs", texts[0]),
        ("CAFE", texts[1]),
        ("42", texts[2]),
    ):
        assert found_by_words(images, query) == [text]


def test_words_are_found_in_any_script_and_so_are_signs(images: ImageStore) -> None:
    told_by = {
        "लड़का": "एक लड़का दौड़ता है",
        "लड़की": "एक लड़की दौड़ती है",
        "நாய்": "ஒரு நாய் ஓடுகிறது",
        "แมว": "แมวสีดำนั่งบนโซฟา",
        "หมา": "หมาสีขาววิ่งบนหาด",
        "猫": "一只黑猫坐在沙发上",
        "黑猫": "一只黑猫坐在沙发上",
        "ネコ": "ネコがソファにいる",
        "قطة": "قطة تجلس على الأريكة",
        "🐶": "🐶🌲",
        "👨‍👩‍👧": "at the beach 👨‍👩‍👧",
        "cafe\u0301": "un café bleu",
    }
    images.upsert(told([*dict.fromkeys(told_by.values()), "a dog", "🌲🌲 🐱", "女孩在海滩"]))
    for query, text in told_by.items():
        assert found_by_words(images, query)[0] == text, query
        assert len(found_by_words(images, query)) == 1, query
    assert found_by_words(images, "ल") == []


def test_words_obey_filters_and_k(images: ImageStore) -> None:
    images.upsert(told([f"caption {i}" for i in range(30)]))
    assert len(found_by_words(images, "caption", 4)) == 4
    others = Filters(not_pictures=keys(0, 1))
    assert len(images.search("words", 30, words="caption", filters=others)) == 28


def test_a_query_of_stop_words_alone_finds_nothing(images: ImageStore) -> None:
    images.upsert(told(["a dog", "the cat"]))
    assert found_by_words(images, "the of a") == []


@pytest.mark.parametrize("text", ["", "  \n"])
def test_a_query_without_words_is_refused(images: ImageStore, text: str) -> None:
    with pytest.raises(InvalidInput, match="word"):
        images.search("words", 5, words=text)


def test_words_search_all_captions_of_a_picture(images: ImageStore) -> None:
    images.upsert(
        [
            replace(picture(1, axis(0)), captions=("a red bus", "a street with a tree")),
            replace(picture(2, axis(1)), captions=("a tree",)),
            picture(3, axis(2)),
        ]
    )
    assert [hit.image_id for hit in images.search("words", 5, words="streets")] == ["1"]
    assert {hit.image_id for hit in images.search("words", 5, words="trees")} == {"1", "2"}


def test_fused_prefers_what_several_lists_agree_on(images: ImageStore) -> None:
    near = np.asarray((axis(0) + 0.5 * axis(1)) / np.sqrt(1.25), dtype=np.float32)
    images.upsert(
        [
            replace(picture(1, axis(5), near), caption=near, captions=("a dog",)),
            replace(picture(2, axis(5), axis(0)), caption=axis(7), captions=("a house",)),
            replace(picture(3, axis(5), axis(8)), caption=axis(0), captions=("a tree",)),
            replace(picture(4, axis(5), axis(9)), captions=("a boat",)),
        ]
    )
    hits = images.search("fused", 4, mapped=axis(0), words="dog")
    assert hits[0].image_id == "1"
    # Second in the lists of mapped and caption, first in the list of words.
    assert hits[0].score == pytest.approx(1 / 61 + 1 / 62 + 1 / 62)
    assert hits[-1].image_id == "4"


def test_fused_takes_what_is_given(images: ImageStore) -> None:
    images.upsert(
        [
            replace(picture(1, axis(0)), captions=("a dog",)),
            replace(picture(2, axis(1)), captions=("a cat",)),
        ]
    )
    assert [hit.image_id for hit in images.search("fused", 5, words="cat")] == ["2"]
    assert [hit.image_id for hit in images.search("fused", 5, mapped=axis(0))] == ["1", "2"]
    assert images.search("fused", 5, words="the") == []


def test_fused_obeys_filters_in_every_list(images: ImageStore) -> None:
    points = [
        replace(p, caption=p.mapped, captions=("a dog",), split="val" if i % 2 else "train")
        for i, p in enumerate(album(10))
    ]
    images.upsert(points)
    only = Filters(splits=frozenset({"val"}))
    hits = images.search("fused", 10, mapped=points[0].mapped, words="dog", filters=only)
    assert {hit.image_id for hit in hits} == {"1", "3", "5", "7", "9"}


def test_diversity_moves_from_relevance_to_difference(images: ImageStore) -> None:
    def near(i: int, tilt: float) -> Vector:
        row = axis(0) + tilt * axis(i)
        return np.asarray(row / np.linalg.norm(row), dtype=np.float32)

    twins = [picture(i, near(1, 0.3 + 0.02 * i)) for i in range(3)]
    images.upsert([*twins, picture(7, near(2, 0.5)), picture(8, near(3, 0.9))])

    def order(diversity: float) -> list[str]:
        return [h.image_id for h in images.search("raw", 3, raw=axis(0), diversity=diversity)]

    assert order(0.0) == ["0", "1", "2"]
    assert order(0.01) == ["0", "1", "2"]
    assert order(0.45) == ["0", "7", "8"]
    assert order(1.0)[:2] == ["0", "8"]


def test_diversity_obeys_filters_and_pages(images: ImageStore) -> None:
    points = [replace(p, split="val" if i % 2 else "train") for i, p in enumerate(album(40))]
    images.upsert(points)
    only = Filters(splits=frozenset({"val"}))

    def page(k: int, offset: int) -> list[str]:
        hits = images.search(
            "mapped", k, mapped=points[0].mapped, filters=only, offset=offset, diversity=0.5
        )
        return [hit.id for hit in hits]

    whole = page(20, 0)
    assert len(set(whole)) == 20
    assert page(7, 0) + page(7, 7) + page(7, 14) == whole


@pytest.mark.parametrize("diversity", [-0.1, 1.1, float("nan")])
def test_diversity_outside_its_range_is_refused(images: ImageStore, diversity: float) -> None:
    with pytest.raises(InvalidInput, match="from 0 to 1"):
        images.search("raw", 1, raw=axis(0), diversity=diversity)


def test_diversity_of_words_is_refused(images: ImageStore) -> None:
    for space in ("words", "fused"):
        with pytest.raises(InvalidInput, match="raw, mapped and caption"):
            images.search(space, 1, mapped=axis(0), words="dog", diversity=0.5)


def test_filters_on_every_field(images: ImageStore) -> None:
    zone = timezone(timedelta(hours=2))
    images.upsert(
        [
            replace(picture(1, axis(0)), split="train", tags=("sea", "sun"), captions=("a",)),
            replace(generated(2, axis(1)), split="val", tags=("sun",)),
            replace(picture(3, axis(2)), taken_at=datetime(2021, 5, 1, tzinfo=UTC)),
            replace(picture(4, axis(3)), taken_at=datetime(2021, 5, 2, 1, tzinfo=zone)),
            replace(picture(5, axis(4)), taken_at=datetime(2021, 5, 3)),  # no zone
        ]
    )

    def kept(filters: Filters) -> str:
        found = {hit.image_id for hit in images.search("raw", 9, raw=axis(0), filters=filters)}
        assert images.count(filters) == len(found)
        return "".join(sorted(found))

    def day(number: int, hour: int = 0) -> datetime:
        return datetime(2021, 5, number, hour, tzinfo=UTC)

    assert kept(Filters()) == "12345"
    assert kept(Filters(splits=frozenset({"train"}))) == "1"
    assert kept(Filters(splits=frozenset({"train", "val"}))) == "12"
    assert kept(Filters(sources=frozenset({"generated"}))) == "2"
    assert kept(Filters(tags=frozenset({"sea"}))) == "1"
    assert kept(Filters(tags=frozenset({"sun", "moon"}))) == "12"
    assert kept(Filters(not_pictures=keys(1, 3))) == "245"
    assert kept(Filters(taken_from=day(1, 23))) == "45"
    assert kept(Filters(taken_until=day(1, 23))) == "34"
    assert kept(Filters(taken_from=day(1), taken_until=day(1))) == "3"
    no_zone = datetime(2021, 5, 1, 23)
    assert kept(Filters(taken_until=no_zone)) == "34"
    assert kept(Filters(taken_from=no_zone + timedelta(seconds=1))) == "5"
    assert kept(Filters(taken_from=day(4))) == ""
    both = Filters(tags=frozenset({"sun"}), not_pictures=keys(1))
    assert kept(both) == "2"


def test_pages_neither_repeat_nor_miss_pictures_of_equal_score(images: ImageStore) -> None:
    images.upsert(
        [replace(picture(i, axis(i % 2)), caption=axis(0), captions=("a dog",)) for i in range(30)]
    )
    for space in ("raw", "mapped", "caption", "words", "fused"):
        pages = [
            images.search(space, 7, raw=axis(0), mapped=axis(0), words="dog", offset=offset)
            for offset in range(0, 35, 7)
        ]
        found = [hit.id for page in pages for hit in page]
        assert len(found) == len(set(found)) == 30, space
        scores = [hit.score for page in pages for hit in page]
        assert scores == sorted(scores, reverse=True)


def test_an_offset_beyond_the_end_finds_nothing(images: ImageStore) -> None:
    images.upsert(album(5))
    assert images.search("raw", 5, raw=axis(0), offset=5) == []
    assert images.search("raw", 5, raw=axis(0), offset=500) == []


def test_get_keeps_the_order_and_leaves_out_unknown_ids(images: ImageStore) -> None:
    points = album(5)
    images.upsert(points)
    wanted = [points[3].id, picture_id("0" * 63 + "x"), points[0].id]
    assert [hit.image_id for hit in images.get(wanted)] == ["3", "0"]
    assert images.get([]) == []


def test_get_returns_the_raw_vector_only_where_asked_for(images: ImageStore) -> None:
    rows = unit_rows(2, 5)
    images.upsert([picture(1, rows[0], rows[1])])
    key = picture(1, rows[0]).id
    [hit] = images.get([key], with_vectors=True)
    assert hit.vector is not None
    assert hit.vector.dtype == np.float32
    np.testing.assert_allclose(hit.vector, rows[0], atol=1e-3)
    assert images.get([key])[0].vector is None


def test_ids_are_listed_in_order_and_by_split(images: ImageStore) -> None:
    splits = ["train", "val", "", "test", "val"]
    points = [replace(point, split=split) for point, split in zip(album(5), splits, strict=True)]
    images.upsert(points)
    assert list(images.ids()) == sorted(point.id for point in points)
    held_out = list(images.ids(Filters(not_splits=frozenset(("train", "")))))
    assert held_out == sorted(points[i].id for i in (1, 3, 4))


def test_vectors_are_given_back_by_name(images: ImageStore) -> None:
    with_caption = replace(picture(1, axis(0), axis(1)), caption=axis(2))
    without = picture(2, axis(3), axis(4))
    images.upsert([with_caption, without])
    ids = [with_caption.id, without.id, picture_id("0" * 63 + "x")]
    for name, expected in (("raw", [0, 3]), ("mapped", [1, 4]), ("caption", [2])):
        found = images.vectors(ids, name)
        assert list(found) == ids[: len(expected)]
        for vector, i in zip(found.values(), expected, strict=True):
            np.testing.assert_array_equal(vector, axis(i))
            assert vector.dtype == np.float32


def test_facets_offer_what_the_pictures_have(images: ImageStore) -> None:
    zone = timezone(timedelta(hours=2))
    images.upsert(
        [
            replace(picture(1, axis(0)), split="train", tags=("sea", "sun"), captions=("a",)),
            replace(generated(2, axis(1)), tags=("sun",)),
            replace(picture(3, axis(2)), taken_at=datetime(2021, 5, 2, 1, tzinfo=zone)),
            replace(picture(4, axis(3)), taken_at=datetime(1960, 5, 1)),  # no zone
        ]
    )
    facets = images.facets()
    assert facets.splits == {"train": 1}
    assert facets.sources == {"human": 1, "generated": 1}
    assert facets.tags == {"sun": 2, "sea": 1}
    assert next(iter(facets.tags)) == "sun"
    assert facets.taken_from == datetime(1960, 5, 1, tzinfo=UTC)
    assert facets.taken_until == datetime(2021, 5, 1, 23, tzinfo=UTC)


def test_an_empty_store_has_no_facets(images: ImageStore) -> None:
    assert images.facets() == Facets({}, {}, {})


def test_writing_twice_is_writing_once_and_deleting_removes(images: ImageStore) -> None:
    points = album(6)
    images.upsert(points)
    images.upsert(points)
    assert images.count() == 6
    images.delete([points[0].id])
    assert sorted(images.ids()) == sorted(point.id for point in points[1:])
    assert images.get([points[0].id]) == []


def test_an_empty_store_answers_in_every_space(images: ImageStore) -> None:
    for space in ("raw", "mapped", "caption", "words", "fused"):
        assert images.search(space, 3, raw=axis(0), mapped=axis(0), words="dog") == []
    assert images.search("raw", 3, raw=axis(0), diversity=0.5) == []


def test_queries_that_cannot_be_are_refused(images: ImageStore) -> None:
    with pytest.raises(InvalidInput, match="needs a raw query"):
        images.search("raw", 1, mapped=axis(0))
    with pytest.raises(InvalidInput, match="needs a mapped query"):
        images.search("caption", 1, raw=axis(0))
    with pytest.raises(InvalidInput, match="at least one word"):
        images.search("words", 1)
    with pytest.raises(InvalidInput, match="at least one word"):
        images.search("fused", 1)
    with pytest.raises(InvalidInput, match="k is 0"):
        images.search("raw", 0, raw=axis(0))
    with pytest.raises(InvalidInput, match="offset is -1"):
        images.search("raw", 1, raw=axis(0), offset=-1)
    with pytest.raises(InvalidInput, match=f"{DIM}"):
        images.search("raw", 1, raw=np.ones(DIM + 1, np.float32))
    with pytest.raises(InvalidInput, match="not finite"):
        images.search("fused", 1, mapped=np.full(DIM, np.nan, np.float32))


def test_a_caption_vector_that_is_not_finite_is_refused(images: ImageStore) -> None:
    points = album(2)
    bad = replace(points[1], caption=np.full(DIM, np.inf, np.float32))
    with pytest.raises(InvalidInput, match=f"'caption' of point {bad.id}"):
        images.upsert([points[0], bad])
    assert images.count() == 0


def with_hubs(n: int) -> tuple[list[ImagePoint], NDArray[np.float64]]:
    """Pictures, and what is to be taken off the cosines of each; one lacks it."""
    hubs = np.random.default_rng(5).uniform(0, 0.8, n)
    hubs[7] = 0.0
    points = [
        replace(
            one, hub=None if i == 7 else float(hubs[i]), caption=one.mapped, captions=("a dog",)
        )
        for i, one in enumerate(album(n))
    ]
    return points, hubs


def test_hubs_are_taken_off_in_the_mapped_space_alone(images: ImageStore) -> None:
    points, hubs = with_hubs(40)
    images.upsert(points)
    query = unit_rows(1, 9)[0]
    cosines = np.stack([one.mapped for one in points]) @ query
    expected: dict[SearchSpace, NDArray[np.float64]] = {
        "mapped": cosines - 0.5 * hubs,
        "raw": cosines,
        "caption": cosines,
    }
    for space, scores in expected.items():
        hits = images.search(space, 40, raw=query, mapped=query, hub_strength=0.5)
        order = np.argsort(-scores)
        assert [hit.image_id for hit in hits] == [str(i) for i in order]
        assert [hit.score for hit in hits] == pytest.approx(scores[order].tolist(), abs=2e-3)
    plain = images.search("mapped", 40, mapped=query)
    assert [hit.image_id for hit in plain] == [str(i) for i in np.argsort(-cosines)]


def test_corrected_pages_obey_filters_and_neither_repeat_nor_miss(images: ImageStore) -> None:
    points, hubs = with_hubs(60)
    images.upsert([replace(p, split="test" if i % 3 else "train") for i, p in enumerate(points)])
    query = unit_rows(1, 9)[0]
    scores = np.stack([one.mapped for one in points]) @ query - 0.5 * hubs
    wanted = [str(i) for i in np.argsort(-scores) if i % 3]
    filters = Filters(splits=frozenset({"test"}))
    pages = [
        images.search("mapped", 7, mapped=query, filters=filters, offset=at, hub_strength=0.5)
        for at in range(0, 49, 7)
    ]
    assert [hit.image_id for page in pages for hit in page] == wanted


def test_fused_goes_by_the_corrected_ranking(images: ImageStore) -> None:
    points, hubs = with_hubs(30)
    images.upsert([replace(one, caption=None, captions=()) for one in points])
    query = unit_rows(1, 9)[0]
    scores = np.stack([one.mapped for one in points]) @ query - 0.7 * hubs
    hits = images.search("fused", 30, mapped=query, words="dog", hub_strength=0.7)
    assert [hit.image_id for hit in hits] == [str(i) for i in np.argsort(-scores)]
