"""A search field takes words, words to add and words to move away from."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as some

from engine.errors import InvalidInput
from engine.search.terms import MAX_TERMS, Terms, read_terms


@pytest.mark.parametrize(
    ("typed", "terms"),
    [
        ("", Terms()),
        ("a dog", Terms("a dog")),
        ("a dog +snow -cat", Terms("a dog", ("snow",), ("cat",))),
        ("+snow a dog -cat", Terms("a dog", ("snow",), ("cat",))),
        ("horse + stripes", Terms("horse", ("stripes",))),
        ("apple - fruit", Terms("apple", (), ("fruit",))),
        ("−cat", Terms("", (), ("cat",))),
        ('dog -"red  car" +"deep snow"', Terms("dog", ("deep snow",), ("red car",))),
        ("a well-known dog", Terms("a well-known dog")),
        ("dog --cat", Terms("dog", (), ("cat",))),
        ('"a red car"', Terms("a red car")),
        ('dog -"" + -', Terms("dog")),
        ("  dog \n cat ", Terms("dog cat")),
        ('say "hello', Terms("say hello")),
    ],
)
def test_terms_are_read_as_they_are_typed(typed: str, terms: Terms) -> None:
    assert read_terms(typed) == terms


def test_too_many_terms_are_refused() -> None:
    assert len(read_terms("+a " * MAX_TERMS).plus) == MAX_TERMS
    with pytest.raises(InvalidInput, match=f"limit is {MAX_TERMS}"):
        read_terms("+a " * (MAX_TERMS + 1))


@pytest.mark.parametrize(
    ("typed", "place"),
    [
        ('-"red car', """'-"red car', from character 1 """),
        ('dog +"deep snow" - "red car', """'- "red car', from character 18 """),
        ('dog −"', """'−"', from character 5 """),
    ],
)
def test_words_in_quotes_that_do_not_end_are_named(typed: str, place: str) -> None:
    with pytest.raises(InvalidInput, match=re.escape(place)):
        read_terms(typed)


@given(some.text('ab +-−"\n', max_size=40))
@example('-"-"')
def test_whatever_is_typed_no_term_is_blank_or_a_sign(typed: str) -> None:
    try:
        terms = read_terms(typed)
    except InvalidInput:
        terms = read_terms(typed + '"')  # nothing else is wrong with it
    for term in (*terms.plus, *terms.minus):
        assert term.strip("+-− ")
        assert term == " ".join(term.split())
    assert '"' not in terms.text


_words = some.text("abcé本1'<*", min_size=1, max_size=5)
_phrases = some.lists(_words, min_size=1, max_size=3).map(" ".join)
_signed = some.lists(_phrases, max_size=MAX_TERMS // 2)


@given(text=_phrases, plus=_signed, minus=_signed)
def test_phrases_in_quotes_stay_together(text: str, plus: list[str], minus: list[str]) -> None:
    typed = [text, *(f'+"{term}"' for term in plus), *(f'-"{term}"' for term in minus)]
    assert read_terms(" ".join(typed)) == Terms(text, tuple(plus), tuple(minus))


@given(before=_phrases, plus=_signed, sign=some.sampled_from("+-−"), phrase=_phrases)
def test_the_quotes_that_do_not_end_are_found_after_any_that_do(
    before: str, plus: list[str], sign: str, phrase: str
) -> None:
    typed = " ".join([before, *(f'+"{term}"' for term in plus), f'{sign}"{phrase}'])
    with pytest.raises(InvalidInput, match=re.escape(repr(f'{sign}"{phrase}'))):
        read_terms(typed)
    terms = read_terms(f'{typed}"')
    assert (terms.plus if sign == "+" else terms.minus)[-1] == phrase
