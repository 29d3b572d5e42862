"""Counts over a store and a gallery that are told what they hold."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest

from engine.ask.counting import Count, PictureCounter
from engine.ask.indexed import told
from engine.search.gallery import Gallery
from engine.search.language import read_search
from engine.store.paging import RANKED
from engine.types import Filters, ImageHit

CAPTIONS = {"1": "a dog on the beach", "2": "a puppy in the snow", "3": "a cat", "4": ""}


class FakeStore:
    """Pictures by their captions; phrases are looked for as they stand."""

    def ids(self, filters: Filters | None = None) -> Iterator[str]:
        asked = filters or Filters()
        for key, text in CAPTIONS.items():
            words = f" {text} "
            if asked.has_caption is not None and bool(text) is not asked.has_caption:
                continue
            if all(f" {phrase} " in words for phrase in asked.phrases):
                yield key

    def count(self, filters: Filters | None = None) -> int:
        return len(list(self.ids(filters)))

    def get(self, ids: Sequence[str]) -> list[ImageHit]:
        return [hit(key) for key in ids]

    def browse(self, filters: Filters, k: int) -> list[ImageHit]:
        return self.get(list(self.ids(filters))[:k])


def hit(key: str) -> ImageHit:
    captions = tuple(filter(None, (CAPTIONS.get(key, ""),)))
    return ImageHit(key, key, key, 0.5, captions, {"source": "human"})


class FakeGallery:
    """Finds so many pictures likely, whatever is looked for."""

    def __init__(self, *likely: str) -> None:
        self.store = FakeStore()
        self._likely = likely

    def search(self, *asked: Any, **options: Any) -> Any:
        del asked, options
        return SimpleNamespace(hits=tuple(map(hit, self._likely)))


def counted(text: str, *likely: str, others: dict[str, tuple[str, ...]] | None = None) -> Count:
    counter = PictureCounter(cast(Gallery, FakeGallery(*likely)))
    return counter.count(read_search(text), Filters(), others=others or {})


def test_where_all_that_are_ranked_look_likely_there_may_be_more() -> None:
    many = counted("lion", *(f"x{at}" for at in range(RANKED)))
    assert (many.likely, many.at_least) == (RANKED, True)
    assert told(many).startswith(f"at least {RANKED} pictures look likely")
    assert not counted("lion", "x1").at_least


def test_other_words_are_found_where_they_are_used_alike() -> None:
    assert counted("dogs").said == 1
    assert counted("dogs", others={"dogs": ("puppy",)}).said == 2
    assert counted("dogs or cats", others={"dogs": ("puppy",)}).said == 3
    assert counted("-dogs", others={"dogs": ("puppy",)}).said == 2


@pytest.mark.parametrize(
    ("text", "unknown"),
    [("dgo", ("dgo",)), ("dog at sunset", ("sunset",)), ("cat in the snow", ()), ("two cats", ())],
)
def test_words_of_no_caption_are_named(text: str, unknown: tuple[str, ...]) -> None:
    assert counted(text).unknown == unknown


def test_pictures_without_a_caption_are_counted_apart() -> None:
    count = counted("dogs", "4")
    assert (count.said, count.likely, count.undescribed, count.doubted) == (1, 1, 1, 0)
    without = counted("-dogs")
    assert without.without == ("dogs",)
    assert told(without) == "3 pictures have no “dogs” in the captions"


def test_a_picture_whose_captions_only_say_that_it_is_not_there_is_not_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(CAPTIONS, "5", "no dogs here only a cat")
    monkeypatch.setitem(CAPTIONS, "6", "a man without a dog and a dog with no man")
    dogs = counted("dogs", "1", "5")
    assert (dogs.said, dogs.likely) == (2, 0)
    assert counted("cats").said == 2
    assert counted("-dogs").said == 4  # all but 1 and 6


def test_bounds_reach_beyond_a_dozen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CAPTIONS, "5", "25 sheep")
    monkeypatch.setitem(CAPTIONS, "6", "fifteen sheep")
    assert counted("at least 20 sheep").said == 1
    assert counted("more than 3 sheep").said == 2
    assert counted("at least 20 cows").unknown == ("cows",)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("dog on the beach or in the snow", 1),
        ("dogs or cats on the beach or in the snow", 1),
        ("cat in the snow or on the beach", 0),
        ("dog on the beach or a cat", 2),
        ("on the beach or in the snow", 2),
    ],
)
def test_either_of_two_places_is_one_for_the_same_thing(text: str, said: int) -> None:
    assert counted(text).said == said
