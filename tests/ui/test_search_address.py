"""A search and its address stand for each other; what cannot be used is named, never an error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from urllib.parse import parse_qs, urlencode
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as some

from engine.search.language import MAX_TERMS, read_search
from engine.types import Filters
from ui.search.address import (
    MAX_PAGE,
    MAX_WORDS,
    PAGE_SIZES,
    RERANKERS,
    SORTS,
    SPACES,
    SearchAddress,
    read_address,
)


def read(parameters: Mapping[str, Sequence[str]]) -> tuple[SearchAddress, list[str]]:
    return read_address(lambda name: parameters.get(name, []))


_ids = some.uuids().map(str) | some.just("")
_several = some.lists(some.uuids().map(str), max_size=MAX_TERMS, unique=True).map(tuple)
_addresses = some.builds(
    SearchAddress,
    q=some.text(max_size=MAX_WORDS),
    like=_several,
    unlike=_several,
    space=some.sampled_from(SPACES),
    likely=some.booleans(),
    sort=some.sampled_from(SORTS),
    rerank=some.sampled_from(RERANKERS),
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


def test_an_address_of_an_earlier_version_still_opens() -> None:
    address, problems = read({"q": ["snow"], "strict": ["98"]})
    assert (address, problems) == (SearchAddress(q="snow"), [])
    assert address.parameters()["strict"] == []  # so that it is taken out


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
        ("likely", "nan", "write 1"),
        ("like", "not-a-uuid", "open a picture"),
        ("picture", "../../etc/passwd", "open a picture"),
        ("sort", "best", "choose one of relevance, newest, oldest"),
        ("q", "x" * (MAX_WORDS + 1), "use fewer words"),
    ],
)
def test_what_cannot_be_used_is_named_with_the_remedy(name: str, value: str, remedy: str) -> None:
    address, (problem,) = read({name: [value], "sort": ["oldest"]} | {name: [value]})
    assert address == (SearchAddress() if name == "sort" else SearchAddress(sort="oldest"))
    assert name in problem
    assert remedy in problem
    assert len(problem) < 200


def test_the_last_of_several_values_counts() -> None:
    assert read({"space": ["raw", "words"]})[0].space == "words"


def test_filters_of_earlier_addresses_are_typed() -> None:
    """Links that were shared go on to find what they found."""
    address, problems = read(
        {
            "q": ["snow"],
            "split": ["val", "train"],
            "source": ["human"],
            "tag": ["red car"],
            "taken_from": ["2020-01-02"],
            "taken_until": ["2020-03-04"],
        }
    )
    assert problems == []
    assert address.q == (
        'snow split:val split:train by:human tag:"red car" after:2020-01-02 before:2020-03-04'
    )
    assert set(address.parameters()) >= {"split", "tag"}  # they are taken out
    assert not address.parameters()["split"]
    assert read_search(address.q).filters == Filters(
        splits=frozenset({"val", "train"}),
        sources=frozenset({"human"}),
        tags=frozenset({"red car"}),
        taken_from=datetime(2020, 1, 2, tzinfo=UTC),
        taken_until=datetime(2020, 3, 4, 23, 59, 59, 999999, UTC),
    )
    address, (problem,) = read({"q": ["snow"], "tag": ["x" * MAX_WORDS]})
    assert address.q == "snow"
    assert "use fewer words" in problem


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
