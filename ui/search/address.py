"""The address of a search: what the page Search shows is what its address says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args
from uuid import UUID

from engine.search.language import MAX_TERMS, Filter, Item, Like
from engine.types import RerankMethod, SearchSpace, Sort

SPACES: tuple[SearchSpace, ...] = get_args(SearchSpace)
SORTS: tuple[Sort, ...] = get_args(Sort)
RERANKERS: tuple[RerankMethod, ...] = get_args(RerankMethod)
PAGE_SIZES = (12, 24, 48, 96)
MAX_PAGE = 100
MAX_WORDS = 500
"""Characters of what is looked for."""

_EARLIER = {
    "split": "split",
    "source": "by",
    "tag": "tag",
    "taken_from": "after",
    "taken_until": "before",
}
"""Fields that filters had of their own in addresses of earlier versions, and their names now."""

_SHOWN = 40


@dataclass(frozen=True)
class SearchAddress:
    """A search as its address says it; fields that have their default are left out of it.

    `q` is what is typed, filters included: the side panel writes into it as well, so that there is
    one search, and it means the same in the terminal. `like` are ids of pictures whose like is
    looked for, `unlike` of those to move away from, `picture` is that of the one that is open.
    `space` is empty where none is named: then it is the one that answers best, see `space_of`.
    `likely`: only what is likely meant is shown. `rerank`: how the best are put in another order.
    """

    q: str = ""
    like: tuple[str, ...] = ()
    space: SearchSpace | Literal[""] = ""
    likely: bool = False
    k: int = 24
    page: int = 1
    picture: str = ""
    unlike: tuple[str, ...] = ()
    sort: Sort = "relevance"
    rerank: RerankMethod = "off"

    @property
    def pictures(self) -> tuple[Item, ...]:
        """The pictures whose like is looked for or not, in the language of searches."""
        return (*map(Like, self.like), *(Like(one, True) for one in self.unlike))

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
        return found | {name: [] for name in (*_RETIRED, *_EARLIER)}


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
    try:
        read["q"] = _with_earlier(read.get("q", ""), values)
    except ValueError as error:
        problems.append(f"Filters in the address are not used: {error}.")
    return SearchAddress(**read), problems


def _with_earlier(q: str, values: Callable[[str], Sequence[str]]) -> str:
    """What is typed, with the filters of an earlier version's address."""
    found = [
        str(Filter(kind, value))
        for name, kind in _EARLIER.items()
        for value in values(name)
        if value.strip()
    ]
    return _words([" ".join([q, *found]).strip()]) if found else q


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


def _sort(given: Sequence[str]) -> Sort:
    for sort in SORTS:
        if sort == given[-1]:
            return sort
    raise ValueError(f"choose one of {', '.join(SORTS)}")


def _rerank(given: Sequence[str]) -> RerankMethod:
    for method in RERANKERS:
        if method == given[-1]:
            return method
    raise ValueError(f"choose one of {', '.join(RERANKERS)}")


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
    "k": _size,
    "page": _page,
    "picture": _picture,
    "unlike": _pictures,
    "sort": _sort,
    "rerank": _rerank,
}
