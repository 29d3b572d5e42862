"""The captions that reach a prompt: nearest first, nothing said twice, nothing excluded."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from engine.alignment.alignment import Alignment
from engine.collection import CollectionCard, CollectionFolder
from engine.describe.retriever import CaptionSearch, Retriever
from engine.errors import InvalidInput
from engine.identity import UNKNOWN, PictureIdentity
from engine.settings import Settings
from engine.store import caption_id, open_caption_store
from engine.types import CaptionHit, CaptionPoint, CaptionSource, Vector, Vectors

DIM = 4
QUERY: Vectors = np.array([[1, 0, 0, 0]], np.float32)


def at_angle(degrees: float) -> Vector:
    """A unit vector this far from the query."""
    radians = np.deg2rad(degrees)
    return np.array([np.cos(radians), np.sin(radians), 0, 0], np.float32)


def point(
    text: str,
    degrees: float,
    picture: str = "",
    source: CaptionSource = "human",
    **other: Any,
) -> CaptionPoint:
    vector = at_angle(degrees)
    identity = caption_id(picture, text, source)
    return CaptionPoint(identity, text, vector, vector, picture, source=source, **other)


class EqualCaptions:
    """A store of captions that all say the same, of as many pictures; notes the limits."""

    def __init__(self, count: int) -> None:
        self.limits: list[int] = []
        self.all = [
            CaptionHit(id=str(i), text="a dog", score=0.5, picture=str(i), vector=QUERY[0])
            for i in range(count)
        ]

    def search(
        self, queries: Vectors, _space: Any, k: int, *_filters: Any, **_options: Any
    ) -> list[list[CaptionHit]]:
        self.limits.append(k)
        return [self.all[:k] for _ in queries]


Build = Callable[..., Retriever]


@pytest.fixture
def build(tmp_path: Path) -> Iterator[Build]:
    """Makes a retriever over one store for each list of points."""
    with ExitStack() as stack:

        def make(
            *of_stores: list[CaptionPoint],
            hub_strength: float = 0.0,
            splits: frozenset[str] = frozenset(),
        ) -> Retriever:
            stores = []
            for number, points in enumerate(of_stores):
                card = CollectionCard(f"shop{number}", "e", "e", DIM, "consensus")
                folder = CollectionFolder(tmp_path, card.name)
                store = open_caption_store(folder, card, Settings(home=tmp_path), create=True)
                stack.enter_context(store).upsert(points)
                stores.append(store)
            none = np.zeros(DIM)
            no_gap = Alignment.from_means(none, none, n_images=1, n_captions=1)
            return Retriever(stores, no_gap, hub_strength=hub_strength, splits=splits)

        yield make


def texts(found: Retriever, k: int = 3, per_image: int = 9) -> list[str]:
    (hits,) = found.nearest(QUERY, "raw", k, per_image=per_image)
    return [hit.text for hit in hits]


def test_the_nearest_come_first_with_their_cosines(build: Build) -> None:
    found = build([point("far", 60), point("near", 10), point("middle", 30)])
    (hits,) = found.nearest(QUERY, "raw", 3, per_image=1)
    assert [hit.text for hit in hits] == ["near", "middle", "far"]
    assert [hit.score for hit in hits] == pytest.approx(
        [np.cos(np.deg2rad(d)) for d in (10, 30, 60)], abs=2e-3
    )
    assert hits[0].vector is not None
    assert hits[0].vector == pytest.approx(at_angle(10), abs=2e-3)


def test_what_says_the_same_is_collapsed_into_the_nearest(build: Build) -> None:
    found = build(
        [
            point("A dog on the beach.", 1),
            point("a dog on a beach", 2),
            point("There is a DOG, on a beach!", 3),
            point("Two dogs on the beach.", 4),
            point("A beach on the dog.", 5),
        ],
    )
    assert texts(found) == [
        "A dog on the beach.",
        "Two dogs on the beach.",
        "A beach on the dog.",
    ]


def test_captions_that_differ_in_marks_or_signs_alone_are_all_told(build: Build) -> None:
    said = ["एक लड़का", "एक लड़की", "நாய்", "நாயி", "🐶", "🐱", "一只猫", "一只狗"]
    found = build([point(text, angle) for angle, text in enumerate(said)])
    assert texts(found, k=8) == said


def test_one_picture_gives_no_more_than_its_share(build: Build) -> None:
    points = [point(f"caption {i}", i, picture="name:7") for i in range(1, 6)]
    points += [point("of another", 20, picture="name:8"), point("of none", 30)]
    assert texts(build(points), k=4, per_image=2) == [
        "caption 1",
        "caption 2",
        "of another",
        "of none",
    ]


def test_captions_without_a_picture_do_not_share_a_limit(build: Build) -> None:
    points = [point(f"caption {i}", i) for i in range(1, 5)]
    assert len(texts(build(points), k=4, per_image=1)) == 4


def test_own_captions_are_excluded_for_their_query_only(build: Build) -> None:
    found = build([point("own", 1, picture="name:7"), point("other", 5, picture="name:8")])
    queries = np.vstack([QUERY, QUERY])
    first, second = found.nearest(
        queries, "raw", 2, per_image=1, exclude=[PictureIdentity(names=frozenset({"7"})), UNKNOWN]
    )
    assert [hit.text for hit in first] == ["other"]
    assert [hit.text for hit in second] == ["own", "other"]


def test_the_search_goes_deeper_until_k_are_found(build: Build) -> None:
    """More near copies than any first page holds do not hide the caption behind them."""
    copies = [point(f"{'the ' * i}dog", 1 + i / 100) for i in range(200)]
    found = texts(build([*copies, point("a cat", 50)]), k=2)
    assert [text.replace("the ", "") for text in found] == ["dog", "a cat"]


def test_several_stores_are_one_ranking(build: Build) -> None:
    """A collection's own captions and its memory's compete on equal terms."""
    found = build([point("own far", 40), point("own near", 5)], [point("borrowed", 20)])
    assert texts(found) == ["own near", "borrowed", "own far"]
    assert texts(found, k=1) == ["own near"]


def test_generated_captions_are_not_borrowed_from(build: Build) -> None:
    points = [point("made up", 1, source="generated"), point("seen", 5)]
    assert texts(build(points), k=2) == ["seen"]


def test_captions_of_refinement_rounds_are_borrowed_from(build: Build) -> None:
    points = [point("refined", 1, source="generated", round=2), point("seen", 5)]
    assert texts(build(points), k=2) == ["refined", "seen"]


def test_only_the_splits_asked_for_are_found(build: Build) -> None:
    points = [point("held out", 1, split="val"), point("seen", 5, split="train"), point("loose", 9)]
    assert texts(build(points, splits=frozenset({"train", ""}))) == ["seen", "loose"]


def test_fewer_than_k_is_no_error(build: Build) -> None:
    assert texts(build([point("only one", 1)]), k=5) == ["only one"]


@pytest.mark.parametrize(("k", "per_image"), [(0, 1), (1, 0)])
def test_limits_below_one_are_refused(build: Build, k: int, per_image: int) -> None:
    found = build([])
    with pytest.raises(InvalidInput, match="at least 1"):
        found.nearest(QUERY, "raw", k, per_image=per_image)


def test_fused_takes_what_both_spaces_agree_on(build: Build) -> None:
    """First in one space and fourth in the other loses to second in both."""

    def placed(text: str, raw: float, mapped: float) -> CaptionPoint:
        identity = caption_id("", text, "human")
        return CaptionPoint(identity, text, at_angle(raw), at_angle(mapped))

    found = build(
        [
            placed("raw first", 5, 50),
            placed("both", 10, 10),
            placed("neither", 40, 30),
            placed("mapped first", 60, 5),
        ]
    )
    (hits,) = found.nearest_fused(QUERY, 2, per_image=1)
    assert [hit.text for hit in hits] == ["both", "raw first"]
    # The cosines that are told are those of the map, which here moves nothing.
    assert hits[0].score == pytest.approx(np.cos(np.deg2rad(10)), abs=2e-3)


def test_corrected_for_hubs_the_nearest_is_another(build: Build) -> None:
    points = [point("near all", -5, hub=0.9), point("near this", 8, hub=0.7)]
    assert texts(build(points)) == ["near all", "near this"]
    corrected = build(points, hub_strength=0.5)
    (hits,) = corrected.nearest(QUERY, "mapped", 2, per_image=1)
    assert [hit.text for hit in hits] == ["near this", "near all"]
    (raw,) = corrected.nearest(QUERY, "raw", 2, per_image=1)
    assert [hit.text for hit in raw] == ["near all", "near this"]


def test_a_picture_is_excluded_by_content_and_names_alone_by_name(build: Build) -> None:
    found = build(
        [
            point("of this content", 1, picture="sha256:aa"),
            point("of this name", 2, picture="name:7"),
            point("of another content", 3, picture="sha256:bb"),
            point("of another name", 4, picture="name:8"),
        ]
    )
    query = PictureIdentity("aa", frozenset({"7"}))
    (hits,) = found.nearest(QUERY, "raw", 4, per_image=4, exclude=[query])
    assert [hit.text for hit in hits] == ["of another content", "of another name"]


def test_pictures_of_one_name_have_their_shares_each(build: Build) -> None:
    points = [
        point(f"{content} {i}", 1 + i, picture=f"sha256:{content}", image_id="same.jpg")
        for content in ("aa", "bb")
        for i in range(2)
    ]
    assert len(texts(build(points), k=4, per_image=1)) == 2


def test_equal_captions_do_not_make_one_query_read_the_store() -> None:
    store, none = EqualCaptions(20_000), np.zeros(DIM)
    alignment = Alignment.from_means(none, none, n_images=1, n_captions=1)
    found = Retriever([cast(CaptionSearch, store)], alignment)
    assert texts(found, k=5) == ["a dog"]
    assert sum(store.limits) < 10_000
