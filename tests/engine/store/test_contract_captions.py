"""What every caption store does, embedded or on a server."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from engine.errors import InvalidInput
from engine.identity import name_key
from engine.store import CaptionStore, caption_id
from engine.types import CaptionPoint, CaptionSource, Filters, Space, Vector, Vectors

pytestmark = pytest.mark.filterwarnings(
    "ignore:Payload indexes have no effect in the local Qdrant:UserWarning"
)
DIM = 16


def unit_rows(n: int, seed: int = 0) -> Vectors:
    rows = np.random.default_rng(seed).standard_normal((n, DIM)).astype(np.float32)
    unit: Vectors = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit


def caption(
    text: str,
    raw: Vector,
    mapped: Vector | None = None,
    *,
    image_id: str = "",
    split: str = "",
    source: CaptionSource = "human",
) -> CaptionPoint:
    return CaptionPoint(
        id=caption_id(name_key(image_id), text, source),
        text=text,
        raw=raw,
        mapped=raw if mapped is None else mapped,
        picture=name_key(image_id),
        image_id=image_id,
        uri=f"{image_id}.jpg",
        split=split,
        source=source,
    )


def numbered(n: int) -> list[CaptionPoint]:
    raw, mapped = unit_rows(n, 1), unit_rows(n, 2)
    return [caption(f"caption {i}", raw[i], mapped[i], image_id=str(i // 5)) for i in range(n)]


def test_nearest_are_those_of_a_full_scan_in_each_space(captions: CaptionStore) -> None:
    points = numbered(60)
    captions.upsert(points)
    queries = unit_rows(3, 9)
    vectors: dict[Space, Vectors] = {
        "raw": np.stack([point.raw for point in points]),
        "mapped": np.stack([point.mapped for point in points]),
    }
    for space, rows in vectors.items():
        scores = queries @ rows.T
        expected = np.argsort(-scores, axis=1)[:, :5]
        for query, hits in enumerate(captions.search(queries, space, 5)):
            assert [hit.text for hit in hits] == [points[i].text for i in expected[query]]
            assert [hit.score for hit in hits] == pytest.approx(
                scores[query, expected[query]].tolist(), abs=2e-3
            )


def test_a_hit_carries_what_was_stored(captions: CaptionStore) -> None:
    point = caption("a dog", unit_rows(1)[0], image_id="7", split="train", source="generated")
    captions.upsert([point])
    [[hit]] = captions.search(point.raw[None], "raw", 1)
    assert (hit.id, hit.text, hit.image_id, hit.uri, hit.source) == (
        point.id,
        "a dog",
        "7",
        "7.jpg",
        "generated",
    )
    assert hit.vector is None


def test_with_vectors_returns_the_raw_vector_of_a_mapped_search(captions: CaptionStore) -> None:
    points = numbered(4)
    captions.upsert(points)
    [[hit]] = captions.search(points[2].mapped[None], "mapped", 1, with_vectors=True)
    assert hit.vector is not None
    assert hit.vector.dtype == np.float32
    np.testing.assert_allclose(hit.vector, points[2].raw, atol=1e-3)


def test_get_returns_captions_and_where_asked_for_their_raw_vectors(
    captions: CaptionStore,
) -> None:
    points = numbered(4)
    captions.upsert(points)
    wanted = [points[3].id, caption_id("", "nobody wrote this", "human"), points[1].id]
    with_vectors = captions.get(wanted, with_vectors=True)
    assert [hit.text for hit in with_vectors] == [points[3].text, points[1].text]
    for hit, point in zip(with_vectors, (points[3], points[1]), strict=True):
        assert hit.vector is not None
        np.testing.assert_allclose(hit.vector, point.raw, atol=1e-3)
    assert [hit.vector for hit in captions.get(wanted)] == [None, None]


def test_writing_twice_is_writing_once(captions: CaptionStore) -> None:
    points = numbered(10)
    captions.upsert(points)
    captions.upsert(points)
    assert captions.count() == 10
    assert sorted(captions.ids()) == sorted(point.id for point in points)


def test_a_point_of_the_same_id_is_replaced_whole(captions: CaptionStore) -> None:
    old, new = unit_rows(2)
    first = caption("a dog", old, split="train")
    captions.upsert([first])
    captions.upsert([replace(first, raw=new, mapped=new, split="val", text="a cat")])
    [[hit]] = captions.search(new[None], "raw", 5)
    assert hit.text == "a cat"
    assert hit.score == pytest.approx(1.0, abs=1e-3)
    assert captions.count(Filters(splits=frozenset({"train"}))) == 0


def test_of_equal_ids_in_one_call_the_last_is_kept(captions: CaptionStore) -> None:
    first = caption("a dog", unit_rows(1)[0], split="train")
    captions.upsert([first, replace(first, split="val")])
    assert captions.count() == 1
    assert captions.count(Filters(splits=frozenset({"val"}))) == 1


def test_deleted_captions_are_not_found(captions: CaptionStore) -> None:
    points = numbered(10)
    captions.upsert(points)
    captions.delete([points[0].id, points[1].id, caption_id("", "never stored", "human")])
    assert captions.count() == 8
    [hits] = captions.search(points[0].raw[None], "raw", 10)
    assert points[0].id not in {hit.id for hit in hits}
    captions.delete([])
    assert captions.count() == 8


def test_an_empty_store_answers(captions: CaptionStore) -> None:
    captions.upsert([])
    assert captions.count() == 0
    assert list(captions.ids()) == []
    assert captions.search(unit_rows(2), "raw", 3) == [[], []]
    assert captions.search(np.zeros((0, DIM), np.float32), "raw", 3) == []


def test_k_above_the_count_returns_all(captions: CaptionStore) -> None:
    captions.upsert(numbered(7))
    [hits] = captions.search(unit_rows(1), "raw", 1000)
    assert len(hits) == 7


@pytest.mark.parametrize("k", [0, -1])
def test_k_below_one_is_refused(captions: CaptionStore, k: int) -> None:
    with pytest.raises(InvalidInput, match=f"k is {k}"):
        captions.search(unit_rows(1), "raw", k)


def test_many_queries_are_answered_in_their_order(captions: CaptionStore) -> None:
    points = numbered(50)
    captions.upsert(points)
    queries = np.tile(np.stack([p.raw for p in points]), (6, 1))
    found = captions.search(queries, "raw", 1)
    assert [hits[0].text for hits in found] == [p.text for p in points] * 6


def test_zero_vectors_break_nothing(captions: CaptionStore) -> None:
    zero = np.zeros(DIM, np.float32)
    one = unit_rows(1)[0]
    captions.upsert([caption("nothing", zero), caption("something", one)])
    [hits] = captions.search(one[None], "raw", 5)
    assert [hit.text for hit in hits] == ["something", "nothing"]
    assert hits[1].score == 0.0
    [hits] = captions.search(zero[None], "raw", 5)
    assert {hit.text for hit in hits} == {"something", "nothing"}
    assert all(hit.score == 0.0 for hit in hits)


def test_queries_of_another_dimension_are_refused(captions: CaptionStore) -> None:
    for queries in (np.ones((1, DIM + 1), np.float32), np.ones(DIM, np.float32)):
        with pytest.raises(InvalidInput, match=f"{DIM}"):
            captions.search(queries, "raw", 1)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_queries_that_are_not_finite_are_refused(captions: CaptionStore, bad: float) -> None:
    queries = unit_rows(3)
    queries[1, 4] = bad
    with pytest.raises(InvalidInput, match="query 1"):
        captions.search(queries, "raw", 1)


def test_bad_points_are_named_and_nothing_is_written(captions: CaptionStore) -> None:
    good = numbered(3)
    bad_values = good[1].mapped.copy()
    bad_values[0] = np.nan
    bad: list[tuple[Callable[[CaptionPoint], CaptionPoint], str]] = [
        (lambda p: replace(p, mapped=bad_values), "not finite"),
        (lambda p: replace(p, raw=np.ones(DIM - 1, np.float32)), f"shape \\({DIM - 1},\\)"),
        (lambda p: replace(p, id="caption-1"), "not a UUID"),
    ]
    for spoil, message in bad:
        with pytest.raises(InvalidInput, match=message):
            captions.upsert([good[0], spoil(good[1]), good[2]])
    assert captions.count() == 0


def test_proven_are_those_of_people_and_of_refinement_rounds(captions: CaptionStore) -> None:
    rows = unit_rows(4)
    described = caption("described", rows[0], image_id="1", split="train", source="generated")
    refined = caption("refined", rows[1], image_id="2", split="train", source="generated")
    captions.upsert(
        [
            described,
            replace(refined, round=1),
            caption("written", rows[2], image_id="2", split="train"),
            caption("held out", rows[3], image_id="3", split="test"),
        ]
    )
    (hits,) = captions.search(rows[:1], "mapped", 9, Filters(proven=True))
    assert {hit.text for hit in hits} == {"refined", "written", "held out"}
    of_training = Filters(proven=True, splits=frozenset({"train"}))
    assert captions.count(of_training) == 2
    assert captions.count() == 4


def test_filters_by_split_source_and_image(captions: CaptionStore) -> None:
    rows = unit_rows(4)
    captions.upsert(
        [
            caption("a", rows[0], image_id="1", split="train"),
            caption("b", rows[1], image_id="2", split="val"),
            caption("c", rows[2], image_id="3", split="test", source="generated"),
            caption("d", rows[3], split="train"),
        ]
    )

    def kept(filters: Filters) -> set[str]:
        [hits] = captions.search(rows[:1], "raw", 10, filters)
        assert captions.count(filters) == len(hits)
        return {hit.text for hit in hits}

    assert kept(Filters()) == {"a", "b", "c", "d"}
    assert kept(Filters(splits=frozenset({"train", "val"}))) == {"a", "b", "d"}
    assert kept(Filters(sources=frozenset({"generated"}))) == {"c"}
    assert kept(Filters(not_pictures=frozenset({"name:1", "name:3", "name:9"}))) == {"b", "d"}
    assert kept(Filters(splits=frozenset({"train"}), not_pictures=frozenset({"name:1"}))) == {"d"}
    assert kept(Filters(splits=frozenset({"nowhere"}))) == set()


def test_filters_that_captions_cannot_satisfy_are_refused(captions: CaptionStore) -> None:
    for filters in (
        Filters(tags=frozenset({"x"})),
        Filters(taken_from=datetime(2020, 1, 1, tzinfo=UTC)),
    ):
        with pytest.raises(InvalidInput, match="captions cannot be filtered"):
            captions.count(filters)


def test_equal_scores_come_in_one_order(captions: CaptionStore) -> None:
    row = unit_rows(1)[0]
    captions.upsert([caption("same words", row, image_id=str(i)) for i in range(20)])
    [hits] = captions.search(row[None], "raw", 20)
    assert [hit.id for hit in hits] == sorted(hit.id for hit in hits)


def test_optimize_changes_no_answer(captions: CaptionStore) -> None:
    points = numbered(40)
    captions.upsert(points)
    query = unit_rows(1, 5)
    [before] = captions.search(query, "mapped", 10)
    captions.optimize()
    captions.flush()
    [after] = captions.search(query, "mapped", 10)
    assert [hit.id for hit in after] == [hit.id for hit in before]
    assert [hit.score for hit in after] == pytest.approx([hit.score for hit in before])
    assert captions.count() == 40


def test_hubs_are_taken_off_in_the_mapped_space_alone(captions: CaptionStore) -> None:
    hubs = np.random.default_rng(5).uniform(0, 0.8, 40)
    points = [replace(one, hub=float(hub)) for one, hub in zip(numbered(40), hubs, strict=True)]
    captions.upsert(points)
    queries = unit_rows(3, 9)
    raw, mapped = (np.stack([getattr(p, name) for p in points]) for name in ("raw", "mapped"))
    expected: dict[Space, Vectors] = {
        "raw": queries @ raw.T,
        "mapped": np.asarray(queries @ mapped.T - 0.5 * hubs, np.float32),
    }
    for space, scores in expected.items():
        for query, hits in enumerate(captions.search(queries, space, 5, hub_strength=0.5)):
            order = np.argsort(-scores[query])[:5]
            assert [hit.text for hit in hits] == [points[i].text for i in order]
            assert [hit.score for hit in hits] == pytest.approx(
                scores[query, order].tolist(), abs=2e-3
            )
