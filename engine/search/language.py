"""The language of a search, the same in every door: what is typed, read and written back.

    dogs on a beach +snow -cat 2:sunset "red car" like:ID camera:"Canon EOS R6" after:2024-05

Words are looked for together. `+` and `-` before a word, or before words in quotes, draw nearer to
it and move away from it; a number and a colon before it is its weight. Words in quotes without a
sign must occur in a caption, too. `like:` and `-like:` take the id of a picture. All else with a
colon is a filter where `FILTER_TERMS` has its name, and words where it has not.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import time
from typing import Any
from uuid import UUID

from engine.errors import InvalidSearch
from engine.search.filter_terms import FILTER_TERMS, nearly_named
from engine.types import Filters
from engine.words import words

MAX_TERMS = 16
"""The most terms with a sign, a weight or a picture in one search: each is embedded."""

LEAST_WEIGHT, MAX_WEIGHT = 0.01, 100.0

_QUOTES = '"“”„‟＂«»'
_MINUS = "-−－"
_SIGNS = "+＋" + _MINUS
_SIGN = re.compile(rf"[{re.escape(_SIGNS)}][{re.escape(_SIGNS)}\s]*")
_WEIGHT = re.compile(r"(\d+(?:\.\d+)?|\.\d+)[:：](?=[^\s\d:：/])")
_NAME = re.compile(r"([^\W\d_]+)[:：]")
_QUOTED = re.compile(
    rf"[{_QUOTES}]((?:[^{_QUOTES}\\]|\\[{_QUOTES}\\]|\\(?![{_QUOTES}\\]))*+)[{_QUOTES}]"
)
_ESCAPED = re.compile(rf"\\([{_QUOTES}\\])")
_TO_ESCAPE = re.compile(rf"[{_QUOTES}\\]")
_RUN = re.compile(r"\S+")
_SPACES = re.compile(r"\s*")
_SIMPLE = re.compile(r"[^\W\d]\w*")
_SIMPLE_VALUE = re.compile(r"[\w.,/+\-:]+")

Place = tuple[int, int]
"""Where something stands in what was typed: from a character on, and up to another."""


@dataclass(frozen=True)
class Word:
    """A word that is looked for together with the others."""

    text: str
    place: Place = field(default=(0, 0), compare=False)

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Phrase:
    """Words that are looked for, and must occur together in a caption."""

    text: str
    place: Place = field(default=(0, 0), compare=False)

    def __str__(self) -> str:
        return _quoted(self.text)


@dataclass(frozen=True)
class Term:
    """Words to draw nearer to, or `unwanted` ones to move away from, with a weight."""

    text: str
    unwanted: bool = False
    weight: float = 1.0
    place: Place = field(default=(0, 0), compare=False)

    def __str__(self) -> str:
        return written_term(self.text, unwanted=self.unwanted, weight=self.weight)


@dataclass(frozen=True)
class Like:
    """A picture of the collection, by its id, whose like is looked for, or is unwanted."""

    id: str
    unwanted: bool = False
    place: Place = field(default=(0, 0), compare=False)

    def __str__(self) -> str:
        return f"{'-' if self.unwanted else ''}like:{self.id}"


@dataclass(frozen=True)
class Filter:
    """A filter by its name in FILTER_TERMS; `unwanted`: what it names is left out."""

    name: str
    value: str
    unwanted: bool = False
    place: Place = field(default=(0, 0), compare=False)

    def __str__(self) -> str:
        value = self.value if _SIMPLE_VALUE.fullmatch(self.value) else _quoted(self.value)
        return f"{'-' if self.unwanted else ''}{self.name}:{value}"


Item = Word | Phrase | Term | Like | Filter


@dataclass(frozen=True)
class Search:
    """What was typed, item by item, and what its filters come to.

    `hints` tell what may have been meant for a filter and was read as words. `str` writes it so
    that the same is read again.
    """

    items: tuple[Item, ...] = ()
    filters: Filters = field(default_factory=Filters)
    hints: tuple[str, ...] = field(default=(), compare=False)

    @property
    def text(self) -> str:
        """The words that are looked for together, phrases included."""
        return " ".join(item.text for item in self.items if isinstance(item, Word | Phrase))

    @property
    def plus(self) -> tuple[Term, ...]:
        """The terms to draw nearer to."""
        return tuple(one for one in self.items if isinstance(one, Term) and not one.unwanted)

    @property
    def minus(self) -> tuple[Term, ...]:
        """The terms to move away from."""
        return tuple(one for one in self.items if isinstance(one, Term) and one.unwanted)

    @property
    def likes(self) -> tuple[str, ...]:
        """The ids of pictures whose like is looked for."""
        return self._pictures(unwanted=False)

    @property
    def unlikes(self) -> tuple[str, ...]:
        """The ids of pictures to move away from."""
        return self._pictures(unwanted=True)

    @property
    def asks(self) -> bool:
        """Whether anything is looked for or moved away from: else its filters alone say what."""
        return any(not isinstance(item, Filter) for item in self.items)

    def _pictures(self, *, unwanted: bool) -> tuple[str, ...]:
        likes = (item for item in self.items if isinstance(item, Like))
        return tuple(dict.fromkeys(one.id for one in likes if one.unwanted == unwanted))

    def __str__(self) -> str:
        return written(self.items)


def read_search(typed: str, beside: Iterable[Item] = ()) -> Search:
    """Read a search, to which what was given `beside` it is added.

    Raises InvalidSearch, which points at the place, for what cannot be read.
    A sign counts at the start of a word only, with or without a space after it, so `well-known` is
    a word; a number is a weight only before a letter or quotes, so `16:9` and `12:30` are words.
    """
    items = tuple(_items(typed))
    terms = [item for item in items if isinstance(item, Term | Like)]
    if len(terms) > MAX_TERMS:
        told = (
            f"the search has {len(terms)} terms with a sign, a weight or a picture, the limit is "
            f"{MAX_TERMS}; leave some out"
        )
        raise _wrong(told, typed, terms[MAX_TERMS].place)
    items = (*items, *beside)
    filters = _filters([item for item in items if isinstance(item, Filter)], typed)
    phrases = tuple(dict.fromkeys(item.text for item in items if isinstance(item, Phrase)))
    return Search(items, Filters(**filters, phrases=phrases), tuple(_hints(items)))


def written(items: Iterable[Item]) -> str:
    """The items as they are typed."""
    return " ".join(map(str, items))


def written_term(text: str, *, unwanted: bool = False, weight: float = 1.0) -> str:
    """Words to draw nearer to or to move away from, as they are typed."""
    shown = text if _SIMPLE.fullmatch(text) else _quoted(text)
    number = "" if weight == 1 else f"{weight:.4f}".rstrip("0").rstrip(".") + ":"
    sign = "-" if unwanted else "" if number else "+"
    return f"{sign}{number}{shown}"


def _items(typed: str) -> Iterator[Item]:
    """What stands in it, one after the other; signs before nothing are passed over."""
    at = _after_spaces(typed, 0)
    while at < len(typed):
        item, end = _item(typed, at)
        if item is not None:
            yield item
        at = _after_spaces(typed, end)


def _item(typed: str, start: int) -> tuple[Item | None, int]:
    """The item that begins there, None where it says nothing, and where it ends."""
    sign = _SIGN.match(typed, start)
    unwanted = sign is not None and sign[0][0] in _MINUS
    at = sign.end() if sign else start
    if at == len(typed):
        return None, at
    weight = _WEIGHT.match(typed, at)
    after = weight.end() if weight else at
    name = _NAME.match(typed, after)
    if name and name[1].casefold() in (*FILTER_TERMS, "like"):
        if weight:
            told = f"{name[1].casefold()}: takes no weight; leave {weight[0]} out"
            raise _wrong(told, typed, (at, after))
        return _named(typed, start, name, unwanted=unwanted)
    if weight and typed[after] in _SIGNS:
        raise _wrong("a sign comes before a weight, as in -2:cat", typed, (at, after + 1))
    text, quoted, end = _value(typed, after)
    place = (start, end)
    if quoted:
        text = " ".join(text.split())
    if not text.strip(_SIGNS + " "):
        return None, end
    if sign or weight:
        return Term(text, unwanted, _weight(weight, typed), place), end
    if quoted and not words(text):
        raise _wrong(
            "there is no word in the quotes; put some there, or leave them out", typed, place
        )
    return (Phrase if quoted else Word)(text, place), end


def _named(typed: str, start: int, name: re.Match[str], *, unwanted: bool) -> tuple[Item, int]:
    """The filter or picture whose name is read, with what follows the colon."""
    kind = name[1].casefold()
    text, _, end = _value(typed, name.end())
    place = (start, end)
    if not text.strip():
        raise _wrong(_expected(kind), typed, place)
    if kind == "like":
        return Like(_id(text, typed, place), unwanted, place), end
    term = FILTER_TERMS[kind]
    try:
        term.read(text)
    except ValueError as error:
        raise _wrong(f"{kind}: {error}", typed, place) from error
    if unwanted and not term.negated:
        raise _wrong(f"{kind}: cannot be turned round; {term.instead}", typed, place)
    return Filter(kind, text, unwanted, place), end


def _expected(kind: str) -> str:
    if kind == "like":
        return (
            "after like: comes the id of a picture, without a space; --json shows it; to look for "
            "the word itself, leave the colon out"
        )
    term = FILTER_TERMS[kind]
    return (
        f"after {kind}: comes {term.what}, without a space, as in {term.example}; to look for the "
        "word itself, leave the colon out"
    )


def _value(typed: str, at: int) -> tuple[str, bool, int]:
    """The words in quotes or the run of characters that begin there, if they are, and their end."""
    if typed[at : at + 1] in tuple(_QUOTES):
        found = _QUOTED.match(typed, at)
        if found is None:
            told = 'the quotes are not closed; close them, as in "red car", or leave them out'
            raise _wrong(told, typed, (at, len(typed)))
        return _ESCAPED.sub(r"\1", found[1]), True, found.end()
    run = _RUN.match(typed, at)
    return (run[0], False, run.end()) if run else ("", False, at)


def _weight(found: re.Match[str] | None, typed: str) -> float:
    if found is None:
        return 1.0
    weight = round(float(found[1]), 4)
    if LEAST_WEIGHT <= weight <= MAX_WEIGHT:
        return weight
    told = f"a weight is from {LEAST_WEIGHT:g} to {MAX_WEIGHT:g}; a minus moves away, as in -2:cat"
    raise _wrong(told, typed, found.span(1))


def _id(text: str, typed: str, place: Place) -> str:
    try:
        return str(UUID(text.strip()))
    except ValueError:
        told = (
            f"{text!r} is no id of a picture; --json shows ids; to look for words leave like: out"
        )
        raise _wrong(told, typed, place) from None


def _filters(items: Sequence[Filter], typed: str) -> dict[str, Any]:
    """The fields of `Filters` that they set; raises InvalidSearch for two that exclude others."""
    found: dict[str, Any] = {}
    for item in items:
        term = FILTER_TERMS[item.name]
        value = term.read(item.value)
        name = term.negated if item.unwanted else term.field
        if isinstance(value, time):
            name = term.clock_field
        if term.many:
            found[name] = found.get(name, frozenset()) | {value}
        elif name in found:
            raise _wrong(f"{item.name}: is given twice; leave one out", typed, item.place)
        else:
            found[name] = value if not item.unwanted else not value
        first, last = found.get("taken_from"), found.get("taken_until")
        if first and last and last < first:
            told = "before: ends earlier than after: begins; change one of them"
            raise _wrong(told, typed, item.place)
    return found


def _hints(items: Iterable[Item]) -> Iterator[str]:
    """What is read as words and may have been meant for a filter."""
    for item in items:
        if not isinstance(item, Word):
            continue
        name = _NAME.match(item.text)
        if name is None or item.text.startswith("//", name.end()):
            continue
        if near := nearly_named(name[1]):
            yield (
                f'"{item.text}" is looked for as words; {near}: is a filter, as in '
                f"{FILTER_TERMS[near].example if near in FILTER_TERMS else 'like:ID'}"
            )


def _after_spaces(typed: str, at: int) -> int:
    found = _SPACES.match(typed, at)
    return found.end() if found else at


def _quoted(text: str) -> str:
    return '"' + _TO_ESCAPE.sub(lambda found: "\\" + found[0], text) + '"'


def _wrong(told: str, typed: str, place: Place) -> InvalidSearch:
    start, end = place
    return InvalidSearch(f"at character {start + 1} of the search: {told}", typed, start, end)
