"""What captions tell: how many, where, and whether they say it at all."""

from __future__ import annotations

import pytest

from engine.ask.counting import required
from engine.ask.inflection import forms
from engine.ask.quantities import (
    Thing,
    agreed,
    numbers_said,
    says_otherwise,
    thing_asked,
    things_in,
)
from engine.ask.told import place_of, places_in, says, spokesman, unlike


@pytest.mark.parametrize(
    ("asked", "caption", "is_said"),
    [
        ("two dogs", "A pair of dogs at night.", True),
        ("two dogs", "2 dogs and a cat", True),
        ("two dogs", "Two cats and a dog.", False),  # both words, and not of one another
        ("two dogs", "Three dogs.", False),
        ("dogs", "a DOG on a lawn", True),
        ("dog", "three dogs", True),
        ("one dog", "a dog", True),
        ("one dog", "two dogs", False),
        ("two big dogs", "two big dogs", True),
        ("two big dogs", "two dogs", False),
        ("children on a bus", "A child gets on buses.", True),
        ("the", "a dog", False),
        ("dogs or cats on a beach", "a cat on the beach", True),
        ("dogs or cats on a beach", "a cat in a room", False),
        ("dogs or cats on a beach", "a lion on the beach", False),
        ("fire trucks or palm trees on a beach", "a fire truck on the beach", True),
        ("fire trucks or palm trees on a beach", "a palm tree on the beach", True),
        ("fire trucks or palm trees on a beach", "a fire truck", False),
        ("a dog on the grass or a cat", "a cat", True),
        ("a dog on the grass or a cat", "a dog on the grass", True),
        ("a dog on the grass or a cat", "a dog", False),
        ("a dog in a room or a cat at night", "a dog at night", False),
        ("a castle with a dog or a cat", "a castle and a cat", True),
        ("a castle with a dog or a cat", "a cat", False),
        ("fire trucks or palm trees", "a truck and a palm", False),
        ("a dog or a cat or a bird", "a cat", True),
        ("two dogs or three cats", "three cats", True),
        ("two dogs or three cats", "three dogs and two cats", False),
        ("three or more dogs", "four dogs", True),
        ("three or more dogs", "two dogs", False),
        ("two or fewer dogs", "a dog", True),
        ("more than two dogs", "three dogs", True),
        ("more than two dogs", "two dogs", False),
        ("at least two dogs", "a pair of dogs", True),
        ("at least two dogs", "a dog", False),
        ("fewer than three dogs", "a dog", True),
        ("狗", "雪地里的狗", True),
        ("猫", "雪地里的狗", False),
        ("कुत्ते", "बर्फ में कुत्ते", True),
    ],
)
def test_a_caption_says_what_is_asked_for(asked: str, caption: str, is_said: bool) -> None:
    assert says(asked, caption) is is_said


def test_a_number_is_asked_for_right_before_what_it_counts() -> None:
    (dogs, beach) = required("two dogs on the beach")
    assert "a couple of dogs" in dogs
    assert "beach" in beach
    assert "beaches" in beach
    assert forms("strawberries")[-1] in {"strawberry", "strawberrie"}


def test_things_and_their_numbers_are_read() -> None:
    asked = "a pair of big red cats and 3 dogs in the snow"
    assert things_in(asked) == (Thing("cats", ("big", "red"), 2), Thing("dogs", (), 3))
    assert thing_asked("soccer balls on the beach") == Thing("balls", ("soccer",))
    assert thing_asked("in the") is None


def test_captions_are_counted_by_what_most_of_them_say() -> None:
    captions = ["A pair of soccer balls.", "two soccer balls near a dog", "three soccer balls",
                "soccer balls", "a dog", "a basketball"]  # fmt: skip
    counts = numbers_said(Thing("ball", ("soccer",)), captions)
    assert counts == {2: 2, 3: 1, None: 1}
    assert agreed(counts) == 2
    assert agreed(numbers_said(Thing("cat"), captions)) is None
    assert says_otherwise([Thing("dog", (), 2)], captions)
    assert not says_otherwise([Thing("cat", (), 2)], captions)


@pytest.mark.parametrize(
    ("caption", "places"),
    [
        ("A dog next to a soccer ball on the beach.", ["on the beach"]),
        ("A scene in the snow with a dog and two cats.", ["in the snow"]),
        ("A dog on top of a car.", []),
        ("A big truck beside a house under the night sky.",
         ["beside a house", "under the night sky"]),
        ("a cat under a chair indoors", ["under a chair", "indoors"]),
        ("a photo of a dog", []),
        ("", []),
    ],
)  # fmt: skip
def test_places_are_read_from_captions(caption: str, places: list[str]) -> None:
    assert places_in(caption) == places


def test_where_it_is_is_what_most_captions_say() -> None:
    captions = ["A dog in the snow.", "a dog on a beach", "a dog", "two dogs on the beach."]
    assert place_of(captions) == ("on a beach", [1, 3])
    assert place_of(["a dog"]) == ("", [])


def test_one_caption_speaks_for_all_and_examples_differ() -> None:
    captions = ["a dog", "a dog and a ball on the beach", "a ball and a dog", "a lion at night"]
    assert spokesman(captions, complete=True) == 1
    assert spokesman(captions, complete=False) == 2
    assert unlike(captions, 2) == [0, 3]
    assert unlike([], 2) == []
