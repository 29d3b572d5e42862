"""Words of any script: what a caption says, and how it is split."""

from __future__ import annotations

from itertools import combinations
from unicodedata import normalize

import pytest
from hypothesis import given
from hypothesis import strategies as some

from engine.words import content_words, normal, spelled_words, units, words

DIFFERENT = [
    ("एक लड़का", "एक लड़की"),  # a boy, a girl: they differ in a mark
    ("நாய்", "நாயி"),
    ("மரம்", "மரமா"),
    ("ที่", "ที"),
    ("一只猫", "一只狗"),
    ("قطة", "قطط"),
    ("🐶", "🐱"),
    ("a dog 🐶", "a dog 🐱"),
    ("👨‍👩‍👧", "👨‍👩‍👦"),
    ("👋🏽", "👋🏿"),
    ("🇩🇪", "🇫🇷"),
    ("🏴󠁧󠁢󠁥󠁮󠁧󠁿", "🏴󠁧󠁢󠁳󠁣󠁴󠁿"),
    ("!!!", "???"),
    ("the", "a"),
]


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_captions_that_differ_are_told_apart_in_every_script(one: str, other: str) -> None:
    assert content_words(one) != content_words(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("A dog on the beach.", "There is a DOG, on a beach!"),
        ("un café", "un cafe\u0301"),
        ("लड़का", normalize("NFD", "लड़का")),
        ("می\u200cخواهم", "میخواهم"),
        ("一只猫。", "一只猫"),
        ("❤️", "❤"),
    ],
)
def test_what_differs_in_spelling_only_says_the_same(one: str, other: str) -> None:
    assert content_words(one) == content_words(other)


@pytest.mark.parametrize(
    ("text", "split"),
    [
        ("a dog's 3.5 x_y", ["a", "dog", "s", "3", "5", "x", "y"]),
        ("एक लड़का", ["एक", "लड़का"]),
        ("一只猫cat在沙发上。", ["一只猫", "cat", "在沙发上"]),
        ("👨‍👩‍👧 🇩🇪🇫🇷 1️⃣", ["👨‍👩‍👧", "🇩🇪", "🇫🇷", "1️⃣"]),
        ("a\u200bb", ["a", "b"]),
        (" .,\n+-", []),
    ],
)
def test_a_text_is_split_into_words_and_signs(text: str, split: list[str]) -> None:
    assert spelled_words(text) == split


def test_units_keep_their_marks_and_belong_to_scripts_without_spaces() -> None:
    assert units("ที่นั่น") == ["ที่", "นั่", "น"]
    assert units("カメラ") == ["カ", "メ", "ラ"]
    assert units("लड़का") == units("dog") == units("🐶") == []


@given(some.text(max_size=30))
def test_any_text_says_something_that_its_own_words_say_again(text: str) -> None:
    said = words(text)
    assert all(said)
    assert words(" ".join(spelled_words(text))) == said
    assert content_words(text) == content_words(normalize("NFC", text))
    assert len(content_words(text)) >= 1


@given(some.text(some.characters(codec="ascii"), max_size=60))
def test_the_short_way_for_ascii_gives_the_same_words(text: str) -> None:
    assert words(text) == tuple(normal(word) for word in spelled_words(text))


def test_thousands_of_emoji_are_all_told_apart() -> None:
    faces = [chr(code) for code in range(0x1F600, 0x1F640)]
    assert len({content_words("".join(pair)) for pair in combinations(faces, 2)}) == 64 * 63 // 2
