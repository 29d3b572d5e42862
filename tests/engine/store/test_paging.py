"""One ranking for all pages, however an engine answers, and no more of it than is needed."""

from __future__ import annotations

from random import Random
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as some

from engine.collection import CollectionCard
from engine.store import ImageStore
from engine.store.image_store import image_spec
from engine.store.interface import Hit, Ranked, VectorIndex
from engine.store.paging import RANKED, best_first, fused, ranking, reciprocal_ranks

PAYLOAD = dict.fromkeys(
    (
        *("image_id", "uri", "sha256", "width", "height", "taken_at", "split", "source"),
        *("camera", "lens", "location", "title", "rating"),
    ),
    "",
) | {"captions": ["a dog"], "names": [], "tags": [], "places": [], "labels": []}


class EqualCaptions:
    """An index of pictures that all have the same caption; counts what it is asked for."""

    def __init__(self, count: int) -> None:
        self.spec = image_spec(CollectionCard("equal", "x/y", "encoder-a", 4, "consensus"))
        self.all: list[Ranked] = [(f"{i:032x}", 1.5) for i in range(count)]
        self.ranked_points = 0
        self.read_points = 0

    def ranked(
        self, _queries: Any, _text: str, depth: int, _conditions: Any, **_exact: bool
    ) -> list[list[Ranked]]:
        self.ranked_points += min(depth, len(self.all))
        return [self.all[:depth]]

    def get(self, ids: list[str]) -> list[Hit]:
        self.read_points += len(ids)
        return [Hit(key, 0.0, PAYLOAD) for key in ids]


def test_equal_captions_do_not_make_one_page_read_the_store() -> None:
    index = EqualCaptions(20_000)
    store = ImageStore(cast(VectorIndex, index))
    hits = store.search("words", 24, words="dog")
    assert len({hit.id for hit in hits}) == 24
    assert {hit.score for hit in hits} == {1.5}
    assert (index.ranked_points, index.read_points) == (RANKED, 24)


def test_equal_captions_are_on_one_page_each() -> None:
    store = ImageStore(cast(VectorIndex, EqualCaptions(3 * RANKED)))
    pages = [store.search("words", 96, words="dog", offset=at) for at in range(0, 4 * RANKED, 96)]
    found = [hit.id for page in pages for hit in page]
    assert len(found) == len(set(found)) == 3 * RANKED


@given(
    seed=some.integers(0, 100),
    count=some.integers(0, 6000),
    end=some.integers(1, 7000),
)
def test_a_longer_ranking_begins_with_a_shorter_one(seed: int, count: int, end: int) -> None:
    """However a graph's answer depends on the depth."""
    points = [(f"{i:05}", 1 - i / 10_000) for i in range(count)]

    def rank(depth: int, *, exact: bool) -> list[Ranked]:
        chance = Random(seed + depth)
        left = [one for one in points[:depth] if exact or chance.random() < 0.9]
        return best_first(left)

    whole = ranking(rank, 10**9)
    part = ranking(rank, end)
    assert sorted(whole) == points
    assert whole[: len(part)] == part
    assert len(part) >= min(end, count)


def test_reciprocal_ranks_count_from_one() -> None:
    sums = reciprocal_ranks([["a", "b"], ["b"]])
    assert sums == {"a": pytest.approx(1 / 61), "b": pytest.approx(1 / 62 + 1 / 61)}


def test_fusing_orders_equal_sums_by_id() -> None:
    assert [key for key, _ in fused([[("b", 0.9)], [("a", 7.0)]])] == ["a", "b"]
    assert fused([]) == []


@given(
    seed=some.integers(0, 100),
    count=some.integers(0, 3000),
    groups=some.integers(1, 400),
    size=some.integers(100, 500),
)
def test_pages_without_copies_neither_overlap_nor_leave_gaps(
    seed: int, count: int, groups: int, size: int
) -> None:
    """Of each group the best alone is there, on whichever page it lies."""
    draw = Random(seed)
    points = [(f"{i:05}", 1 - i / 10_000) for i in range(count)]
    same = {key: draw.randrange(groups) for key, _ in points if draw.random() < 0.5}

    def rank(depth: int, *, exact: bool) -> list[Ranked]:
        del exact
        return points[:depth]

    best = {same[key]: key for key, _ in reversed(points) if key in same}
    wanted = [one for one in points if one[0] not in same or best[same[one[0]]] == one[0]]
    pages = [ranking(rank, at + size, same)[at : at + size] for at in range(0, count, size)]
    assert [one for page in pages for one in page] == wanted
