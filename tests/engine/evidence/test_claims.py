import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.evidence.claims import claims_of
from engine.evidence.numerals import count_of


@pytest.mark.parametrize(
    ("word", "count"),
    [
        ("three", 3), ("a", 1), ("pair", 2), ("12", 12), ("२", 2), ("௩", 3), ("๒", 2), ("三", 3),
        ("两", 2), ("दो", 2), ("٣", 3), ("dog", None), ("½", None), ("0", None), ("1987", None),
        ("9" * 5000, None), ("", None), ("m", None),
    ],
)  # fmt: skip
def test_a_word_says_how_many(word: str, count: int | None) -> None:
    assert count_of(word) == count


@pytest.mark.parametrize(
    ("caption", "claims"),
    [
        ("Two dogs run on a beach", {("count", "dog"): "2", ("count", "beach"): "1"}),
        ("Three big brown dogs", {("count", "dog"): "3", ("colour", "dog"): "brown"}),
        ("a pair of children", {("count", "child"): "2"}),
        ("2 men and 1 red car", {
            ("count", "man"): "2", ("count", "car"): "1", ("colour", "car"): "red",
        }),
        ("the car is blue", {("colour", "car"): "blue"}),
        ("a black dog running", {("count", "dog"): "1", ("colour", "dog"): "black"}),
        ("a cat on a chair, and another cat", {("count", "cat"): "2", ("count", "chair"): "1"}),
        ("dogs in the snow", {}),
        ("a group of people", {}),
        ("two", {}),
        ("red", {}),
        ("दो कुत्ते बर्फ में", {("count", "कुत्ते"): "2"}),
        ("௩ நாய்கள்", {("count", "நாய்கள்"): "3"}),
        ("三只小狗在雪地里", {("count", "狗"): "3"}),
        ("一辆红色的车", {("count", "车"): "1", ("colour", "车"): "red"}),
        ("🐶🐶🐶", {}),
    ],
)  # fmt: skip
def test_a_caption_claims_counts_and_colours(
    caption: str, claims: dict[tuple[str, str], str]
) -> None:
    assert claims_of(caption) == {subject: {value} for subject, value in claims.items()}


def test_a_thing_of_two_colours_has_both() -> None:
    assert claims_of("a red and white bus")["colour", "bus"] == {"red", "white"}


def test_what_is_counted_in_two_ways_is_not_counted() -> None:
    assert ("count", "dog") not in claims_of("two dogs beside three dogs")


@given(st.text())
def test_any_text_can_be_read(text: str) -> None:
    assert all(values for values in claims_of(text).values())
