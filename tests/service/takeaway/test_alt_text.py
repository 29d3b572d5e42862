"""What a screen reader is given: short, whole sentences where there are any."""

from __future__ import annotations

import pytest
import regex
from hypothesis import example, given
from hypothesis import strategies as st

from service.takeaway.alt_text import AIM, MOST, alt_text

SENTENCE = "A cat lies on a red mat in front of the house."


@given(st.text(max_size=600))
@example("a" * 600)
@example("e\N{COMBINING ACUTE ACCENT}" * 300)
@example("\N{WOMAN}\N{ZERO WIDTH JOINER}\N{GIRL}" * 200)
def test_it_is_short_and_begins_as_the_description_does(text: str) -> None:
    whole = " ".join(text.split())
    cut = alt_text(text)
    assert len(cut) <= MOST
    if len(whole) <= AIM:
        assert cut == whole
    elif cut != whole:
        kept = cut.removesuffix("…")
        assert kept
        assert whole.startswith(kept)
    assert alt_text(cut) == cut


@given(st.lists(st.sampled_from(["A cat.", SENTENCE, "Two dogs run!", "Why?"]), max_size=12))
def test_sentences_stay_whole(sentences: list[str]) -> None:
    text = " ".join(sentences)
    cut = alt_text(text)
    assert cut == text or text[len(cut)] == " "
    assert not cut or cut[-1] in ".!?"


def test_one_long_sentence_within_the_limit_is_kept() -> None:
    text = "A cat " + "and another cat " * 11 + "sit there."
    assert AIM < len(text) <= MOST
    assert alt_text(text) == text


def test_beyond_the_limit_it_ends_with_a_word() -> None:
    text = "A cat, " + "and another cat, " * 30
    cut = alt_text(text)
    assert len(cut) <= AIM
    assert cut.endswith(("cat…", "another…", "and…"))


def test_an_abbreviation_is_no_sentence() -> None:
    assert not alt_text("Dr. " + "Smith and her two dogs walk on the beach " * 5).endswith("Dr.")


@pytest.mark.parametrize(
    "letter", ["字", "e\N{COMBINING ACUTE ACCENT}", "👩\N{ZERO WIDTH JOINER}👧"]
)
def test_no_character_is_cut_apart(letter: str) -> None:
    cut = alt_text(letter * 300)
    assert regex.sub(letter, "", cut) == "…"
