"""Two rankings side by side: agreement, changes of rank, and which side is right."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from engine.alignment.alignment import Alignment
from engine.collection import CollectionCard, CollectionFolder
from engine.compare.comparison import (
    Change,
    Comparison,
    Truth,
    compare_captions,
    compare_pictures,
    overlap_at_k,
    rank_biased_overlap,
    rank_changes,
)
from engine.describe.retriever import Retriever
from engine.errors import InvalidInput
from engine.identity import name_key
from engine.images import Picture
from engine.settings import Settings
from engine.store import (
    CaptionStore,
    ImageStore,
    caption_id,
    open_caption_store,
    open_image_store,
    picture_id,
)
from engine.types import CaptionHit, CaptionPoint, ImageHit, ImagePoint, Vector

RANKINGS = st.lists(st.integers(0, 12), unique=True, max_size=10)
PERSISTENCES = st.floats(0.05, 0.95)


def by_definition(first: Sequence[Hashable], second: Sequence[Hashable], p: float) -> float:
    """RBO as the infinite sum of agreements, each taken to go on as it was (Webber et al. 2010)."""
    short, long = sorted((first, second), key=len)
    s, n = len(short), len(long)
    shared = {d: len(set(short[:d]) & set(long[:d])) for d in range(1, n + 1)}

    def agreement(depth: int) -> float:
        if depth <= s:
            return shared[depth] / depth
        seen = min(depth, n)
        return (shared[seen] + shared[s] * (seen - s) / s) / seen

    return (1 - p) * sum(p ** (d - 1) * agreement(d) for d in range(1, 2000))


@given(RANKINGS, RANKINGS, PERSISTENCES)
def test_rank_biased_overlap_is_the_sum_that_defines_it(
    first: list[int], second: list[int], p: float
) -> None:
    if first and second:
        expected = by_definition(first, second, p)
        assert rank_biased_overlap(first, second, p) == pytest.approx(expected, abs=1e-9)


@given(RANKINGS, RANKINGS, PERSISTENCES)
def test_rank_biased_overlap_takes_no_side_and_stays_in_its_range(
    first: list[int], second: list[int], p: float
) -> None:
    found = rank_biased_overlap(first, second, p)
    assert found == pytest.approx(rank_biased_overlap(second, first, p))
    assert 0 <= found <= 1
    assert rank_biased_overlap(first, first, p) == pytest.approx(1)
    assert rank_biased_overlap(first, [-1 - item for item in first], p) == (not first)


def test_rank_biased_overlap_weighs_the_top_most() -> None:
    changed_on_top = rank_biased_overlap("abcde", "bacde")
    changed_below = rank_biased_overlap("abcde", "abced")
    assert changed_on_top < changed_below < 1


@pytest.mark.parametrize("p", [0.0, 1.0, -0.5, 2.0])
def test_a_persistence_outside_its_range_is_refused(p: float) -> None:
    with pytest.raises(InvalidInput, match="between 0 and 1"):
        rank_biased_overlap("ab", "ab", p)


@pytest.mark.parametrize(
    ("first", "second", "k", "expected"),
    [
        ("abcd", "abxy", 4, 0.5),
        ("abcd", "abxy", 2, 1.0),
        ("abcd", "dcba", 2, 0.0),
        ("ab", "abcd", 4, 0.5),
        ("", "", 3, 0.0),
    ],
)
def test_overlap_is_the_share_in_common(first: str, second: str, k: int, expected: float) -> None:
    assert overlap_at_k(first, second, k) == expected


def test_changes_name_both_ranks_of_all_that_is_shown() -> None:
    assert rank_changes("abcde", "acxfb", 3) == (
        Change(1, 1, "same"),
        Change(3, 2, "up"),
        Change(None, 3, "new"),
        Change(2, 5, "gone"),
    )
    assert rank_changes("ab", "ba", 2) == (Change(2, 1, "up"), Change(1, 2, "down"))
    assert rank_changes("abc", "bca", 1) == (Change(2, 1, "new"), Change(1, 3, "gone"))


@pytest.mark.parametrize(
    ("raw", "mapped", "winner"),
    [
        ((4,), (1, 7), "mapped"),
        ((1, 3), (2,), "raw"),
        ((2,), (2,), None),
        ((), (50,), "mapped"),
        ((), (), None),
    ],
)
def test_the_side_where_the_truth_stands_higher_wins(
    raw: tuple[int, ...], mapped: tuple[int, ...], winner: str | None
) -> None:
    assert Truth("caption", ("a dog",), raw, mapped, 50, fitted=False).winner == winner


# A small world in which raw and mapped disagree: the map swaps the first two axes of pictures.

RED, BLUE = (255, 0, 0), (0, 0, 255)
X: Vector = np.array([1, 0, 0, 0], np.float32)
Y: Vector = np.array([0, 1, 0, 0], np.float32)
Z: Vector = np.array([0, 0, 1, 0], np.float32)
NEAR_Y: Vector = np.array([0, 0.8, 0.6, 0], np.float32)


def picture(colour: tuple[int, int, int], name: str) -> Picture:
    return Picture(Image.new("RGB", (2, 2), colour), name.encode().hex().ljust(64, "0"), 2, 2)


def stored(name: str, raw: Vector, mapped: Vector, *captions: str, **other: Any) -> ImagePoint:
    sha256 = name.encode().hex().ljust(64, "0")
    return ImagePoint(
        picture_id(sha256), name, name, sha256, 2, 2, raw, mapped, captions=captions, **other
    )


def said(text: str, vector: Vector, image_id: str = "") -> CaptionPoint:
    key = name_key(image_id)
    return CaptionPoint(caption_id(key, text, "human"), text, vector, vector, key, image_id)


class World:
    """Two stores, and comparisons over them."""

    def __init__(self, home: Path, encoder: Any) -> None:
        card = CollectionCard("shop", "fake", "fake", 4, "consensus")
        folder, settings = CollectionFolder(home, "shop"), Settings(home=home)
        self.images: ImageStore = open_image_store(folder, card, settings, create=True)
        self.captions: CaptionStore = open_caption_store(folder, card, settings, create=True)
        self.encoder = encoder
        unmoved = Alignment.from_means(np.zeros(4), np.zeros(4), n_images=2, n_captions=2)
        swap = np.eye(4)[[1, 0, 2, 3]]
        self.alignment = replace(unmoved, method="ols", matrix=swap)

    def of_picture(self, sought: Picture | ImageHit, k: int = 2) -> Comparison[CaptionHit]:
        return compare_captions(
            sought,
            k,
            encoder=self.encoder,
            retriever=Retriever([self.captions], self.alignment),
            images=self.images,
        )

    def over_pictures(self, sought: str | Picture | ImageHit, k: int = 2) -> Comparison[ImageHit]:
        return compare_pictures(
            sought,
            k,
            encoder=self.encoder,
            alignment=self.alignment,
            images=self.images,
            captions=self.captions,
        )


@pytest.fixture
def world(tmp_path: Path, fake_encoder: Callable[..., Any]) -> Iterator[World]:
    encoder = fake_encoder({"a cat": Y, "A cat!": Y, "fog": Z}, {RED: X, BLUE: Y})
    made = World(tmp_path, encoder)
    made.images.upsert(
        [
            stored("cat.jpg", X, Y, "a cat", "one cat", split="val"),
            stored("dog.jpg", Y, X, "a dog", split="train"),
            stored("bird.jpg", Z, Z, "some bird", split="train", source="generated"),
        ]
    )
    made.captions.upsert(
        [
            said("a cat", Y, "cat.jpg"),
            said("one cat", NEAR_Y, "cat.jpg"),
            said("a dog", X, "dog.jpg"),
            said("THE DOG.", X),
            said("fog", Z),
        ]
    )
    yield made
    made.images.close()
    made.captions.close()


def test_captions_of_the_picture_itself_are_the_truth(world: World) -> None:
    compared = world.of_picture(picture(RED, "cat.jpg"))
    assert [hit.text for hit in compared.mapped] == ["a cat", "one cat"]
    assert compared.truth is not None
    assert compared.truth.captions == ("a cat", "one cat")
    assert compared.truth.mapped_ranks == (1, 2)
    assert compared.truth.raw == 2  # after the dog, which is said only once
    assert compared.truth.winner == "mapped"
    assert not compared.truth.fitted
    np.testing.assert_allclose(compared.query["raw"], X, atol=1e-6)
    np.testing.assert_allclose(compared.query["mapped"], Y, atol=1e-6)


def test_a_picture_of_the_index_is_compared_without_a_model(world: World) -> None:
    (cat,) = world.images.get([stored("cat.jpg", X, Y).id], with_vectors=True)
    given = world.of_picture(picture(RED, "cat.jpg"))
    like = world.over_pictures(picture(RED, "cat.jpg"))
    world.encoder = None
    again, liked = world.of_picture(cat), world.over_pictures(cat)
    assert [hit.id for hit in again.mapped] == [hit.id for hit in given.mapped]
    assert [hit.id for hit in liked.raw] == [hit.id for hit in like.raw]
    assert again.truth == given.truth
    with pytest.raises(InvalidInput, match="encoder"):
        world.over_pictures("a cat")


def test_captions_that_say_the_same_are_one_find(world: World) -> None:
    compared = world.of_picture(picture(BLUE, "new.jpg"), 4)
    assert compared.overlap == 1.0
    dogs = [hit.text for hit in compared.mapped if "dog" in hit.text.casefold()]
    assert len(dogs) == 1
    assert compared.truth is None


def test_a_map_that_was_fitted_on_the_picture_is_noted(world: World) -> None:
    truth = world.of_picture(picture(BLUE, "dog.jpg")).truth
    assert truth is not None
    assert truth.fitted


def test_generated_captions_are_no_truth(world: World) -> None:
    assert world.of_picture(picture(RED, "bird.jpg")).truth is None


def test_words_find_the_pictures_that_are_so_described(world: World) -> None:
    compared = world.over_pictures("A cat!")
    assert [hit.uri for hit in compared.mapped][:1] == ["cat.jpg"]
    assert [hit.uri for hit in compared.raw][:1] == ["dog.jpg"]
    assert compared.truth is not None
    assert (compared.truth.what, compared.truth.mapped_ranks) == ("picture", (1,))
    assert compared.truth.winner == "mapped"
    assert {change.kind for change in compared.changes} & {"up", "new"}


def test_words_that_no_picture_is_described_with_have_no_truth(world: World) -> None:
    assert world.over_pictures("fog").truth is None


def test_a_picture_is_not_compared_with_itself(world: World) -> None:
    compared = world.over_pictures(picture(RED, "cat.jpg"), 3)
    uris = {hit.uri for hit in (*compared.raw, *compared.mapped)}
    assert uris == {"dog.jpg", "bird.jpg"}
    assert compared.truth is None


def test_a_query_without_words_is_refused(world: World) -> None:
    with pytest.raises(InvalidInput, match="empty"):
        world.over_pictures("  ")
