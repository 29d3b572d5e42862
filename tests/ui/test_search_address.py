"""A search and its address stand for each other; what cannot be used is named, never an error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from urllib.parse import parse_qs, urlencode
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as some

from engine.search.language import MAX_TERMS
from engine.types import Facets, Filters
from ui.search.address import (
    MAX_PAGE,
    MAX_WORDS,
    PAGE_SIZES,
    SPACES,
    STRICTNESSES,
    SearchAddress,
    read_address,
    within,
)

NOTHING = Facets({}, {}, {})
SOME = Facets(
    {"train": 3, "val": 1},
    {"human": 4},
    {"sea": 2},
    datetime(2020, 1, 2, 3, tzinfo=UTC),
    datetime(2021, 4, 5, 6, tzinfo=UTC),
)


def read(parameters: Mapping[str, Sequence[str]]) -> tuple[SearchAddress, list[str]]:
    return read_address(lambda name: parameters.get(name, []))


_values = some.lists(some.text(min_size=1, max_size=8), max_size=3, unique=True).map(tuple)
_ids = some.uuids().map(str) | some.just("")
_several = some.lists(some.uuids().map(str), max_size=MAX_TERMS, unique=True).map(tuple)
_days = some.none() | some.dates()
_addresses = some.builds(
    SearchAddress,
    q=some.text(max_size=MAX_WORDS),
    like=_several,
    unlike=_several,
    space=some.sampled_from(SPACES),
    strict=some.sampled_from(STRICTNESSES),
    split=_values,
    source=_values,
    tag=_values,
    taken_from=_days,
    taken_until=_days,
    k=some.sampled_from(PAGE_SIZES),
    page=some.integers(1, MAX_PAGE),
    picture=_ids,
)


@given(_addresses)
def test_a_search_is_read_as_it_was_written(address: SearchAddress) -> None:
    written = parse_qs(urlencode(address.parameters(), doseq=True))
    assert read(written) == (address, [])


@given(
    some.dictionaries(
        some.sampled_from(list(SearchAddress().parameters())), some.lists(some.text())
    )
)
def test_whatever_the_address_says_is_read_or_named(parameters: dict[str, list[str]]) -> None:
    address, problems = read(parameters)
    assert read(address.parameters()) == (address, [])
    assert len(problems) <= len(parameters)


def test_what_is_as_by_default_is_not_in_the_address() -> None:
    assert not any(SearchAddress().parameters().values())
    assert read({}) == (SearchAddress(), [])


@pytest.mark.parametrize(
    ("name", "value", "remedy"),
    [
        ("k", "1e9", "12, 24, 48, 96"),
        ("k", "-1", "12, 24, 48, 96"),
        ("page", "-1", "from 1 to 100"),
        ("page", "0", "from 1 to 100"),
        ("page", "101", "from 1 to 100"),
        ("page", "9" * 5000, "from 1 to 100"),
        ("space", "<script>", "choose one of raw, mapped"),
        ("strict", "nan", "choose one of 0, 50"),
        ("like", "not-a-uuid", "open a picture"),
        ("picture", "../../etc/passwd", "open a picture"),
        ("taken_from", "2024-13-01", "like 2024-12-31"),
        ("q", "x" * (MAX_WORDS + 1), "use fewer words"),
    ],
)
def test_what_cannot_be_used_is_named_with_the_remedy(name: str, value: str, remedy: str) -> None:
    address, (problem,) = read({name: [value], "split": ["val"]})
    assert address == SearchAddress(split=("val",))
    assert name in problem
    assert remedy in problem
    assert len(problem) < 200


def test_the_last_of_several_values_counts() -> None:
    assert read({"space": ["raw", "words"]})[0].space == "words"


def test_too_many_filters_are_refused() -> None:
    _, (problem,) = read({"tag": [str(i) for i in range(51)]})
    assert "up to 50" in problem


def test_filters_that_the_collection_has_nothing_for_are_taken_out() -> None:
    asked = SearchAddress(split=("val", "nosuch"), source=("human",), tag=("sea",))
    kept, (problem,) = within(asked, SOME)
    assert kept == replace(asked, split=("val",))
    assert "train, val" in problem
    kept, problems = within(asked, NOTHING)
    assert kept == SearchAddress()
    assert len(problems) == 3


def test_days_must_be_among_those_of_the_pictures() -> None:
    first, last = date(2020, 1, 2), date(2021, 4, 5)
    inside = SearchAddress(taken_from=first, taken_until=last)
    assert within(inside, SOME) == (inside, [])
    outside = SearchAddress(taken_from=date(2020, 1, 1), taken_until=date(2021, 4, 6))
    kept, problems = within(outside, SOME)
    assert kept == SearchAddress()
    assert all("from 2020-01-02 to 2021-04-05" in problem for problem in problems)
    assert "unknown" in within(inside, NOTHING)[1][0]


def test_filters_take_whole_days() -> None:
    day = date(2020, 1, 2)
    filters = SearchAddress(split=("val",), taken_from=day, taken_until=day).filters
    assert filters == Filters(
        splits=frozenset({"val"}),
        taken_from=datetime(2020, 1, 2, tzinfo=UTC),
        taken_until=datetime(2020, 1, 2, 23, 59, 59, 999999, UTC),
    )


def test_a_page_begins_after_those_before_it() -> None:
    assert [SearchAddress(k=12, page=page).offset for page in (1, 2, 3)] == [0, 12, 24]


def test_ids_are_written_in_one_way() -> None:
    id_ = UUID(int=5)
    assert read({"like": [id_.hex.upper()]})[0].like == (str(id_),)


def test_pictures_to_look_like_are_each_named_once_and_not_too_many() -> None:
    ids = [str(UUID(int=number)) for number in range(MAX_TERMS + 1)]
    assert read({"unlike": [*ids[:2], ids[0]]})[0].unlike == (ids[0], ids[1])
    address, (problem,) = read({"like": ids})
    assert address.like == ()
    assert f"up to {MAX_TERMS} pictures" in problem
