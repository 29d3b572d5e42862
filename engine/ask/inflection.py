"""English words in the forms that captions may have them in, and the numbers among them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from types import MappingProxyType

from engine.search.relevance_sample import sought_words
from engine.words import words

_IRREGULAR = (
    ("man", "men"), ("woman", "women"), ("child", "children"), ("person", "people"),
    ("mouse", "mice"), ("foot", "feet"), ("tooth", "teeth"), ("goose", "geese"),
    ("knife", "knives"), ("leaf", "leaves"), ("wolf", "wolves"), ("loaf", "loaves"),
    ("half", "halves"), ("shelf", "shelves"), ("calf", "calves"), ("bus", "buses"),
)  # fmt: skip
_OTHER_FORM = {one: two for pair in _IRREGULAR for one, two in (pair, pair[::-1])}

_COUNTED = (
    "one", "two", "three", "four", "five", "six",
    "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen",
    "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty",
)  # fmt: skip
_TENS = {
    "twenty": 20, "thirty": 30, "forty": 40, "fifty": 50,
    "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90,
}  # fmt: skip
_NUMBERS = {word: at for at, word in enumerate(_COUNTED, 1)} | _TENS
NUMBER_WORDS = tuple(_NUMBERS)
_LARGEST_IN_WORDS = 12
_PAIRS = frozenset(("pair", "couple"))
_ONE = frozenset(("a", "an", "single", "lone"))
Others = Mapping[str, tuple[str, ...]]
"""Words, and what captions say in place of each (`engine.ask.wordings`)."""

NO_OTHERS: Others = MappingProxyType({})

_OFFERED = {1: ("one", "a", "an", "1", "a single"), 2: ("two", "2", "a pair of", "a couple of")}


@cache
def forms(word: str) -> tuple[str, ...]:
    """The word, and its singular and plural as they may be; it alone where it is no plain word."""
    if not (word.isascii() and word.isalpha() and len(word) > 2):
        return (word,)
    found = [word, _OTHER_FORM.get(word, ""), f"{word}s", f"{word}es"]
    if word.endswith("ies"):
        found.append(f"{word[:-3]}y")
    if word.endswith("y"):
        found.append(f"{word[:-1]}ies")
    if word.endswith("es"):
        found.append(word[:-2])
    if word.endswith("s") and not word.endswith("ss"):
        found.append(word[:-1])
    return tuple(dict.fromkeys(one for one in found if len(one) > 1))


def all_forms(word: str, others: Others) -> tuple[str, ...]:
    """The forms of a word, and of what captions say in its place."""
    found = (form for one in (word, *others.get(word, ())) for form in forms(one))
    return tuple(dict.fromkeys(found))


@cache
def is_empty(word: str) -> bool:
    """Whether a word says nothing of a picture: a stop word, or `picture` itself."""
    return not sought_words(word)


@cache
def stem(word: str) -> object:
    """What words of the same meaning in another form share."""
    return sought_words(min(word, _OTHER_FORM.get(word, word))) or word


def telling(text: str) -> tuple[str, ...]:
    """The words of a text that say something of a picture."""
    return tuple(word for word in words(text) if not is_empty(word))


def stems(texts: Iterable[str]) -> frozenset[object]:
    """The stems of all words of the texts that say something, numbers as numbers."""
    found: set[object] = set()
    for text in texts:
        said = words(text)
        found |= {stem(word) for word in said if not is_empty(word)}
        found |= {number for at in range(len(said)) if (number := number_at(said, at)) is not None}
    return frozenset(found)


def number_of(word: str) -> int | None:
    """The number that a word is; None for an article, too."""
    if word.isdecimal() and len(word) < 6:
        return int(word)
    return 0 if word in {"no", "none", "zero"} else _NUMBERS.get(word)


def number_at(said: tuple[str, ...], at: int) -> int | None:
    """How many stand there, as `two` or the `pair` of `a pair of`; None where no number is said.

    The `five` of `twenty-five` is as many as both.
    """
    word = said[at]
    if word in _PAIRS and said[at + 1 : at + 2] == ("of",):
        return 2
    number = number_of(word)
    tens = _TENS.get(said[at - 1], 0) if at and number in range(1, 10) else 0
    return None if number is None else tens + number


def counted_at(said: tuple[str, ...], at: int) -> int | None:
    """The same, where an article counts as one."""
    number = number_at(said, at)
    if number is None and said[at] in _ONE:
        pair = said[at + 1 : at + 3]
        return 2 if len(pair) == 2 and pair[0] in _PAIRS and pair[1] == "of" else 1
    return number


def numerals(number: int) -> tuple[str, ...]:
    """How captions may write a number before a noun."""
    return _OFFERED.get(number, tuple(dict.fromkeys((_spelled(number), str(number)))))


def in_words(number: int) -> str:
    """A number as an answer says it."""
    return _spelled(number) if number <= _LARGEST_IN_WORDS else str(number)


def _spelled(number: int) -> str:
    """In words up to a hundred, as captions may have it; in digits beyond."""
    tens, ones = number - number % 10, number % 10
    name = {value: word for word, value in _NUMBERS.items()}
    if number in name:
        return name[number]
    return f"{name[tens]} {name[ones]}" if tens in name and ones in name else str(number)
