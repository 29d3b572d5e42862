"""The address of a search: what the page Search shows is what its address says."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import date
from typing import Any, Literal, get_args
from uuid import UUID

from engine.search.language import MAX_TERMS, Filter, Item, Like, read_search
from engine.types import Facets, Filters, SearchSpace

SPACES: tuple[SearchSpace, ...] = get_args(SearchSpace)
PAGE_SIZES = (12, 24, 48, 96)
MAX_PAGE = 100
MAX_WORDS = 500
"""Characters of what is looked for."""

CHOICES: Mapping[str, str] = {"split": "splits", "source": "sources", "tag": "tags"}
"""Filters by any of several values: the field of an address -> that of Filters and Facets."""

_MAX_VALUES = 50
_SHOWN = 40


@dataclass(frozen=True)
class SearchAddress:
    """A search as its address says it; fields that have their default are left out of it.

    `like` are ids of pictures whose like is looked for, `unlike` of those to move away from,
    `picture` is that of the one that is open.
    `space` is empty where none is named: then it is the one that answers best, see `space_of`.
    `likely`: only what is likely meant is shown.
    """

    q: str = ""
    like: tuple[str, ...] = ()
    space: SearchSpace | Literal[""] = ""
    likely: bool = False
    split: tuple[str, ...] = ()
    source: tuple[str, ...] = ()
    tag: tuple[str, ...] = ()
    taken_from: date | None = None
    taken_until: date | None = None
    k: int = 24
    page: int = 1
    picture: str = ""
    unlike: tuple[str, ...] = ()

    @property
    def items(self) -> tuple[Item, ...]:
        """What is asked for beside the words, in the language of searches."""
        chosen: list[Item] = [*map(Like, self.like), *(Like(one, True) for one in self.unlike)]
        for name in CHOICES:
            kind = "by" if name == "source" else name
            chosen += [Filter(kind, value) for value in getattr(self, name)]
        for kind, day in (("after", self.taken_from), ("before", self.taken_until)):
            chosen += [Filter(kind, day.isoformat())] if day else []
        return tuple(chosen)

    @property
    def filters(self) -> Filters:
        """The filters; days are those of UTC."""
        return read_search("", self.items).filters

    @property
    def offset(self) -> int:
        """How many pictures come before this page."""
        return (self.page - 1) * self.k

    def parameters(self) -> dict[str, list[str]]:
        """All parameters of the address; those without values are to be taken out of it."""
        default = SearchAddress()
        found: dict[str, list[str]] = {}
        for name in _NAMES:
            value = getattr(self, name)
            values = value if isinstance(value, tuple) else (value,)
            same = value == getattr(default, name)
            found[name] = [] if same else [_written(one) for one in values]
        return found | {name: [] for name in _RETIRED}


_NAMES = tuple(field.name for field in fields(SearchAddress))
_RETIRED = ("strict",)
"""What addresses of earlier versions may have beside: it is passed over."""


def read_address(values: Callable[[str], Sequence[str]]) -> tuple[SearchAddress, list[str]]:
    """The search that parameters stand for, and for each that cannot be used why and what then.

    `values` gives all values of a parameter.
    """
    read: dict[str, Any] = {}
    problems = []
    for name, reader in _READERS.items():
        given = [value for value in values(name) if value]
        if not given:
            continue
        try:
            read[name] = reader(given)
        except ValueError as error:
            shown = given[-1] if len(given[-1]) <= _SHOWN else given[-1][:_SHOWN] + "…"
            problems.append(f"“{name}={shown}” in the address is not used: {error}.")
    return SearchAddress(**read), problems


def within(address: SearchAddress, facets: Facets) -> tuple[SearchAddress, list[str]]:
    """The address without filters that the collection has nothing for, and what was taken out."""
    kept: dict[str, Any] = {}
    problems = []
    for name, field in CHOICES.items():
        counts: Mapping[str, int] = getattr(facets, field)
        chosen = getattr(address, name)
        kept[name] = tuple(value for value in chosen if value in counts)
        if kept[name] != chosen:
            has = ", ".join(list(counts)[:10]) or "none"
            problems.append(f"A {name} in the address is not used: this collection has {has}.")
    first, last = facets.taken_from, facets.taken_until
    for name in ("taken_from", "taken_until"):
        day = getattr(address, name)
        if day is None or (first and last and first.date() <= day <= last.date()):
            continue
        kept[name] = None
        spans = (
            f"from {first:%Y-%m-%d} to {last:%Y-%m-%d}" if first and last else "at unknown times"
        )
        problems.append(f"“{name}” is not used: pictures here were taken {spans}.")
    return replace(address, **kept), problems


def _written(value: object) -> str:
    return "1" if value is True else str(value)


def _words(given: Sequence[str]) -> str:
    if len(given[-1]) > MAX_WORDS:
        raise ValueError(f"a search has up to {MAX_WORDS} characters; use fewer words")
    return given[-1]


def _space(given: Sequence[str]) -> SearchSpace:
    for space in SPACES:
        if space == given[-1]:
            return space
    raise ValueError(f"choose one of {', '.join(SPACES)}")


def _likely(given: Sequence[str]) -> bool:
    if given[-1] not in ("0", "1"):
        raise ValueError("write 1 for what is likely meant alone, 0 for all")
    return given[-1] == "1"


def _size(given: Sequence[str]) -> int:
    for size in PAGE_SIZES:
        if str(size) == given[-1]:
            return size
    raise ValueError(f"a page has {', '.join(map(str, PAGE_SIZES))} pictures")


def _page(given: Sequence[str]) -> int:
    for page in range(1, MAX_PAGE + 1):
        if str(page) == given[-1]:
            return page
    raise ValueError(f"pages go from 1 to {MAX_PAGE}")


def _values(given: Sequence[str]) -> tuple[str, ...]:
    if len(given) > _MAX_VALUES:
        raise ValueError(f"choose up to {_MAX_VALUES}")
    return tuple(dict.fromkeys(given))


def _day(given: Sequence[str]) -> date:
    try:
        return date.fromisoformat(given[-1])
    except ValueError:
        raise ValueError("write a day like 2024-12-31") from None


def _picture(given: Sequence[str]) -> str:
    try:
        return str(UUID(given[-1]))
    except ValueError:
        raise ValueError(
            "it is no picture's id; open a picture and take the address from there"
        ) from None


def _pictures(given: Sequence[str]) -> tuple[str, ...]:
    if len(given) > MAX_TERMS:
        raise ValueError(f"choose up to {MAX_TERMS} pictures")
    return tuple(dict.fromkeys(_picture([id_]) for id_ in given))


_READERS: dict[str, Callable[[Sequence[str]], Any]] = {
    "q": _words,
    "like": _pictures,
    "space": _space,
    "likely": _likely,
    **dict.fromkeys(CHOICES, _values),
    "taken_from": _day,
    "taken_until": _day,
    "k": _size,
    "page": _page,
    "picture": _picture,
    "unlike": _pictures,
}
