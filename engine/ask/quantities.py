"""How many of a thing captions say that there are: `a dog` is one, `a pair of dogs` two."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from engine.ask.inflection import counted_at, is_empty, number_at, stem
from engine.words import words

COLOURS = frozenset(
    (
        *("black", "white", "grey", "gray", "red", "green", "blue", "yellow", "orange", "brown"),
        *("pink", "purple", "golden", "silver", "beige", "turquoise"),
    )
)

_BOUNDS = frozenset(
    ("more than", "over", "at least", "fewer than", "less than", "under", "at most", "up to")
)
_BOUNDS_BEHIND = frozenset(("or more", "or fewer", "or less"))
MOST_COUNTED = 100
"""So far numbers of which one or more are asked for are looked up, as `at least 20`."""

_REACH = 4
"""So many words may stand between a number and what it counts: `two big brown wild dogs`."""


@dataclass(frozen=True)
class Thing:
    """A thing that is asked about: what it is, what it is said to be like, and how many of it.

    `bound` stands before the number, as `at least`, or behind it, as `or more`.
    """

    noun: str
    like: tuple[str, ...] = ()
    number: int | None = None
    bound: str = ""

    @property
    def numbers(self) -> frozenset[int]:
        """The numbers of it that are asked for: those of a bound end at `MOST_COUNTED`."""
        number = self.number or 0
        if self.bound in {"more than", "over"}:
            return frozenset(range(number + 1, MOST_COUNTED + 1))
        if self.bound in {"at least", "or more"}:
            return frozenset(range(number, MOST_COUNTED + 1))
        if self.bound in {"fewer than", "less than", "under"}:
            return frozenset(range(1, number))
        if self.bound in {"at most", "up to", "or fewer", "or less"}:
            return frozenset(range(1, number + 1))
        return frozenset((number,))

    def __str__(self) -> str:
        return " ".join((*self.like, self.noun))


def things_in(text: str) -> tuple[Thing, ...]:
    """The things of a text that a number stands before: of `two dogs in the snow`, the dogs."""
    said = words(text)
    found = []
    at = 0
    while at < len(said):
        number = number_at(said, at)
        if number is None:
            at += 1
            continue
        bound = _bound(said, at)
        at += 2 if said[at + 1 : at + 2] == ("of",) else 1
        if (behind := " ".join(said[at : at + 2])) in _BOUNDS_BEHIND:
            bound = behind
            at += 2
        run = _run(said, at)
        if run:
            found.append(Thing(run[-1], run[:-1], number, bound))
            at += len(run)
    return tuple(found)


def thing_asked(text: str) -> Thing | None:
    """The thing that a text begins with: of `soccer balls on the beach`, the soccer balls."""
    said = words(text)
    start = next((at for at, word in enumerate(said) if not is_empty(word)), len(said))
    run = _run(said, start)
    return Thing(run[-1], run[:-1]) if run else None


def numbers_said(thing: Thing, captions: Iterable[str]) -> Counter[int | None]:
    """How often captions say each number of the thing; None: they name it without a number."""
    found: Counter[int | None] = Counter()
    for caption in captions:
        said = words(caption)
        for at, word in enumerate(said):
            if stem(word) == stem(thing.noun) and _is_like(said, at, thing):
                found[_number_before(said, at)] += 1
                break
    return found


def agreed(numbers: Counter[int | None]) -> int | None:
    """The number that most captions say, None where none says any."""
    told = {number: times for number, times in numbers.items() if number is not None}
    return max(told, key=lambda number: (told[number], number)) if told else None


def colours_said(thing: Thing, captions: Iterable[str]) -> Counter[str]:
    """How often captions call the thing each colour, right before it or with words between."""
    found: Counter[str] = Counter()
    for caption in captions:
        said = words(caption)
        for at, word in enumerate(said):
            if stem(word) == stem(thing.noun) and _is_like(said, at, thing):
                before = said[max(0, at - _REACH) : at]
                found.update(one for one in before[-2:] if one in COLOURS)
    return found


def says_otherwise(things: Iterable[Thing], captions: Iterable[str]) -> bool:
    """Whether captions count one of the things, and none of them as it was asked for."""
    given = tuple(captions)
    for thing in things:
        numbers = {one for one in numbers_said(thing, given) if one is not None}
        if numbers and thing.numbers.isdisjoint(numbers):
            return True
    return False


def _bound(said: tuple[str, ...], at: int) -> str:
    """What bounds the number there."""
    for size in (2, 1):
        before = " ".join(said[max(0, at - size) : at])
        if before in _BOUNDS:
            return before
    return ""


def _run(said: tuple[str, ...], start: int) -> tuple[str, ...]:
    """The words from there on up to the next that says nothing."""
    end = start
    while end < len(said) and not is_empty(said[end]) and number_at(said, end) is None:
        end += 1
    return said[start:end]


def _is_like(said: tuple[str, ...], at: int, thing: Thing) -> bool:
    before = {stem(word) for word in said[max(0, at - _REACH) : at]}
    return all(stem(word) in before for word in thing.like)


def _number_before(said: tuple[str, ...], at: int) -> int | None:
    """The number that counts the word there: the nearest before it, with no other noun between."""
    for back in range(1, _REACH + 1):
        if back > at:
            return None
        number = counted_at(said, at - back)
        if number is not None:
            return number
        if is_empty(said[at - back]) and said[at - back] != "of":
            return None
    return None
