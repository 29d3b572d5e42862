"""The language of searches: what is typed is read, or one error points at the place."""

from __future__ import annotations

from datetime import UTC, datetime, time

import pytest
from hypothesis import example, given
from hypothesis import strategies as some

from engine.errors import InvalidSearch
from engine.search.filter_terms import FILTER_TERMS, nearly_named
from engine.search.language import (
    LEAST_WEIGHT,
    MAX_TERMS,
    MAX_WEIGHT,
    Filter,
    Item,
    Like,
    Phrase,
    Search,
    Term,
    Word,
    read_search,
    written,
)
from engine.types import Filters, Near
from engine.words import words

ID = "6fa459ea-ee8a-3ca4-894e-db77e160355e"


def wanted(text: str, weight: float) -> Term:
    return Term(text, weight=weight)


def unwanted(text: str, weight: float = 1.0) -> Term:
    return Term(text, unwanted=True, weight=weight)


@pytest.mark.parametrize(
    ("typed", "text", "terms"),
    [
        ("", "", ()),
        ("  dog \n cat ", "dog cat", ()),
        ("a well-known dog", "a well-known dog", ()),
        ("a dog +snow -cat", "a dog", (Term("snow"), unwanted("cat"))),
        ("+snow a dog -cat", "a dog", (Term("snow"), unwanted("cat"))),
        ("horse + stripes", "horse", (Term("stripes"),)),
        ("apple - fruit", "apple", (unwanted("fruit"),)),
        ("dog --cat −fox －hen ＋sea", "dog", (*map(unwanted, ("cat", "fox", "hen")), Term("sea"))),
        ('dog -"" + -', "dog", ()),
        ("2:dog 0.5:cat .25:fox", "", (wanted("dog", 2), wanted("cat", 0.5), wanted("fox", 0.25))),
        ("-2:dog − 3：cat", "", (unwanted("dog", 2), unwanted("cat", 3))),
        ('0.5:"red  car"', "", (wanted("red car", 0.5),)),
        ("2:雪 3:🐶", "", (wanted("雪", 2), wanted("🐶", 3))),
        ("-“red car” +„deep snow“", "", (unwanted("red car"), Term("deep snow"))),
        ("рыжий кот -собака", "рыжий кот", (unwanted("собака"),)),
        ("a 16:9 one at 12:30 https://a.b/c 2: :x", "a 16:9 one at 12:30 https://a.b/c 2: :x", ()),
        ("ratio:wide note:this", "ratio:wide note:this", ()),
        ('a 24" screen, rock"n"roll', 'a 24" screen, rock"n"roll', ()),
    ],
)  # fmt: skip
def test_words_and_terms_are_read_as_they_are_typed(
    typed: str, text: str, terms: tuple[Term, ...]
) -> None:
    search = read_search(typed)
    assert search.text == text
    assert (*search.plus, *search.minus) == tuple(sorted(terms, key=lambda one: one.unwanted))
    assert search.filters == Filters()
    assert search.hints == ()


def test_words_in_quotes_are_looked_for_and_must_occur() -> None:
    search = read_search('by the "red  car" at "night" at "night"')
    assert search.text == "by the red car at night at night"
    assert search.filters == Filters(phrases=("red car", "night"))


def test_pictures_are_named_by_their_ids() -> None:
    search = read_search(f"like:{ID.upper()} -Like:{ID}")
    assert (search.likes, search.unlikes) == ((ID,), (ID,))


def test_filters_are_read() -> None:
    search = read_search(
        'dog camera:"Canon EOS R6" camera:X100V lens:RF24-105mm place:Lisbon -place:Porto '
        "near:38.7,−9.1,20km tag:a -tag:b split:val -split:train by:Human -by:generated "
        "has:caption ext:.JPG -ext:gif rating:3 -camera:Nikon -lens:Old"
    )
    assert search.text == "dog"
    assert search.filters == Filters(
        cameras=frozenset({"Canon EOS R6", "X100V"}),
        not_cameras=frozenset({"Nikon"}),
        lenses=frozenset({"RF24-105mm"}),
        not_lenses=frozenset({"Old"}),
        places=frozenset({"Lisbon"}),
        not_places=frozenset({"Porto"}),
        near=Near(38.7, -9.1, 20),
        tags=frozenset({"a"}),
        not_tags=frozenset({"b"}),
        splits=frozenset({"val"}),
        not_splits=frozenset({"train"}),
        sources=frozenset({"human"}),
        not_sources=frozenset({"generated"}),
        has_caption=True,
        extensions=frozenset({"jpg"}),
        not_extensions=frozenset({"gif"}),
        least_rating=3,
    )
    assert read_search("-has:caption").filters == Filters(has_caption=False)
    assert read_search("near:1,2,500m").filters == Filters(near=Near(1, 2, 0.5))


@pytest.mark.parametrize(
    ("said", "first", "last"),
    [
        ("2024", (2024, 1, 1), (2024, 12, 31)),
        ("2024-02", (2024, 2, 1), (2024, 2, 29)),
        ("2024-2-3", (2024, 2, 3), (2024, 2, 3)),
        ("9999", (9999, 1, 1), (9999, 12, 31)),
    ],
)
def test_both_ends_of_a_time_belong_to_it(
    said: str, first: tuple[int, int, int], last: tuple[int, int, int]
) -> None:
    filters = read_search(f"after:{said} before:{said}").filters
    assert filters.taken_from == datetime(*first, tzinfo=UTC)
    assert filters.taken_until == datetime(*last, 23, 59, 59, 999999, UTC)


def test_times_of_any_day_stand_beside_days() -> None:
    search = read_search("van after:2024-05 after:8:00 before:17:00:30 before:2024")
    assert search.text == "van"
    assert (search.filters.clock_from, search.filters.clock_until) == (time(8), time(17, 0, 30))
    assert search.filters.taken_from == datetime(2024, 5, 1, tzinfo=UTC)
    assert read_search(str(search)).filters == search.filters
    night = read_search("after:22:00 before:06:00").filters
    assert (night.clock_from, night.clock_until) == (time(22), time(6))


@pytest.mark.parametrize(
    ("typed", "meant", "remedy"),
    [
        ('dog "red car', '"red car', "close them"),
        ('dog -"red car', '"red car', "close them"),
        ('dog "?!" cat', '"?!"', "put some there"),
        ('tag:"red car', '"red car', "close them"),
        ("dog camera: Canon", "camera:", 'camera:"Canon EOS R6"; to look for the word itself'),
        ('dog tag:"  "', 'tag:"  "', "as in tag:holiday"),
        ("after:2024-13", "after:2024-13", "2024-05-31, 2024-05 or 2024"),
        ("after:0000", "after:0000", "2024-05-31"),
        ("x before:31.01.2025", "before:31.01.2025", "2024-05-31"),
        ("after:2025 dog before:2024", "before:2024", "change one"),
        ("after:24:00", "after:24:00", "from 00:00 to 23:59"),
        ("after:17:00 after:18:00", "after:18:00", "given twice"),
        ("-before:17:00", "-before:17:00", "write after:"),
        ("after:2024 after:2025", "after:2025", "given twice; leave one out"),
        ("-after:2024", "-after:2024", "write before:"),
        ("-near:1,2,3km", "-near:1,2,3km", "-place:"),
        ("-rating:3", "-rating:3", "three stars or more"),
        ("has:caption -has:caption", "-has:caption", "leave one out"),
        ("near:38.7", "near:38.7", "38.7,-9.1,20km"),
        ("near:38.7, -9.1, 20km", "near:38.7,", "without spaces"),
        ("near:91,0,1km", "near:91,0,1km", "-90 to 90"),
        ("near:0,nan,1km", "near:0,nan,1km", "-180 to 180"),
        ("near:0,0,0km", "near:0,0,0km", "20km or 500m"),
        ("near:0,0,20039", "near:0,0,20039", "up to 20038km"),
        ("by:robots", "by:robots", "human or generated"),
        ("has:wings", "has:wings", "write caption"),
        ("ext:tar.gz", "ext:tar.gz", "like jpg"),
        ("rating:6", "rating:6", "from 0 to 5"),
        ("like:cats", "like:cats", "--json shows ids"),
        ("dog 2:tag:x", "2:", "leave 2: out"),
        ("dog 2:like:x", "2:", "leave 2: out"),
        ("0:dog", "0", "from 0.01 to 100"),
        ("x -101:dog", "101", "from 0.01 to 100"),
        ("9" * 400 + ":dog", "9" * 400, "from 0.01 to 100"),
        ("2:-cat", "2:-", "-2:cat"),
        ("+a " * MAX_TERMS + "+b", "+b", f"limit is {MAX_TERMS}"),
    ],
)
def test_an_error_points_at_the_place_and_names_the_remedy(
    typed: str, meant: str, remedy: str
) -> None:
    with pytest.raises(InvalidSearch) as raised:
        read_search(typed)
    error = raised.value
    assert error.typed == typed
    assert typed[error.start : error.end] == meant
    assert f"at character {error.start + 1} of the search" in str(error)
    assert remedy in str(error)


def test_as_many_terms_as_the_limit_are_read() -> None:
    assert len(read_search("+a " * MAX_TERMS).plus) == MAX_TERMS


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("camara:Canon", 'camera:"Canon EOS R6"'),
        ("dog keywords:holiday", "tag:holiday"),
        ("since:2024", "after:2024-05"),
        ("similar:abc", "like:ID"),
    ],
)
def test_what_is_nearly_a_filter_is_words_with_a_hint(typed: str, meant: str) -> None:
    search = read_search(typed)
    assert search.text == typed
    (hint,) = search.hints
    assert f'"{typed.rsplit(maxsplit=1)[-1]}" is looked for as words' in hint
    assert meant in hint


def test_no_filter_is_nearly_another() -> None:
    assert {name: nearly_named(name) for name in FILTER_TERMS} == {
        name: name for name in FILTER_TERMS
    }
    assert nearly_named("https") == nearly_named("note") == ""


def test_every_example_is_read_as_its_filter() -> None:
    for name, term in FILTER_TERMS.items():
        (item,) = read_search(term.example).items
        assert isinstance(item, Filter)
        assert item.name == name


_signs = "+-−＋－"
_pieces = [*'ab1 é本"“\\:：+-−.,\n\u200b', "tag:", "like:", "after:", "2:", ID, "2024-05"]
_awkward = some.lists(some.sampled_from(_pieces), max_size=16).map("".join)


def read_or_pointed(typed: str) -> Search | None:
    """The search; None where it cannot be read and the error points into it."""
    try:
        return read_search(typed)
    except InvalidSearch as error:
        if error.typed == typed and 0 <= error.start < error.end <= len(typed):
            return None
        raise


@given(some.text(max_size=40) | _awkward)
@example('-"-"')
@example("\\")
@example('"\\"')
@example('"a\\\\"')
@example("2:")
def test_whatever_is_typed_is_read_or_the_one_error_points_into_it(typed: str) -> None:
    search = read_or_pointed(typed)
    if search is None:
        return
    for item in search.items:
        start, end = item.place
        assert typed[start:end].strip() == typed[start:end] != ""
    for term in (*search.plus, *search.minus):
        assert term.text.strip(_signs + " ")
        assert LEAST_WEIGHT <= term.weight <= MAX_WEIGHT
    again = read_search(str(search))
    assert again == search
    assert str(again) == str(search)


_texts = (
    some.text(min_size=1, max_size=12)
    .map(lambda one: " ".join(one.split()))
    .filter(lambda one: bool(one.strip(_signs + " ")))
)
_weights = some.integers(100, 1_000_000).map(lambda one: one / 10_000)
_values = some.text(min_size=1, max_size=12).filter(lambda one: bool(one.strip()))
_items: some.SearchStrategy[Item] = some.one_of(
    some.from_regex(r"[a-z]{1,8}", fullmatch=True).map(Word),
    _texts.filter(words).map(Phrase),
    some.builds(Term, _texts, some.booleans(), _weights | some.just(1.0)),
    some.builds(Like, some.uuids().map(str), some.booleans()),
    some.builds(
        Filter,
        some.sampled_from(["tag", "camera", "place", "lens", "split"]),
        _values,
        some.booleans(),
    ),
)


@given(some.lists(_items, max_size=MAX_TERMS))
def test_what_is_written_is_read_as_it_was_meant(items: list[Item]) -> None:
    search = read_search(written(items))
    assert search.items == tuple(items)
    assert isinstance(search, Search)
