"""Searches to try are made of what the collection says, and fit on a button."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as some

from engine.search.examples import example_searches

SAID = [
    ("A dog is on the beach.", "Some dog."),
    ("Two cats on the beach.",),
    ("A boat at night.",),
    ("Three lamps in a room at night.",),
    ("A drum in the snow.",),
    ("A tree in the snow.",),
    ("A house.",),
]


def test_a_word_two_captions_and_a_word_without_another_are_offered() -> None:
    assert example_searches(SAID) == (
        "beach",
        "A dog is on the beach",
        "A boat at night",
        "night -snow",
    )


def test_captions_that_say_too_little_or_too_much_are_not_offered() -> None:
    assert example_searches([]) == ()
    assert example_searches([(), ("x",), ("word " * 200,)]) == ()


@given(some.lists(some.lists(some.text(max_size=80), max_size=3), max_size=12))
def test_whatever_captions_say_examples_are_short_and_differ(captions: list[list[str]]) -> None:
    found = example_searches(captions)
    assert len(found) == len(set(found)) <= 4
    assert all(0 < len(one) <= 100 for one in found)
