"""Reading free answers: yes or no, a number, a place, things, or that it is not said."""

from __future__ import annotations

import re
from functools import cache

from sample.world.places import PLACES
from sample.world.reading import things_in_order

_SMALL = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
]
_TENS = {word: 10 * at for at, word in enumerate(["twenty", "thirty", "forty", "fifty"], 2)}
_VALUES = {word: at for at, word in enumerate(_SMALL)} | _TENS
_VALUES |= {"none": 0, "a pair": 2, "a couple": 2, "a single": 1, "once": 1, "twice": 2}
_NUMBER = re.compile(
    rf"\b(?P<digits>\d+)\b|\b(?P<tens>{'|'.join(_TENS)})[- ](?P<unit>{'|'.join(_SMALL[1:10])})\b"
    rf"|\b(?P<word>{'|'.join(sorted(_VALUES, key=len, reverse=True))})\b"
)
_CITED = re.compile(r"\[[\d,; ]*\]|\((?:picture|image|photo)s? [\d,; and]*\)")
_NOT_SAID = re.compile(
    r"\b(?:do(?:es)?(?: not|n['’]t)|can(?:not|['’]t)(?: be)?|not|never|isn['’]t|aren['’]t) "
    r"(?:say|said|tell|told|mention(?:ed)?|know(?:n)?|state[d]?|specif(?:y|ied)|answer(?:ed)?)\b"
    r"|\b(?:unknown|no information|unanswerable|not enough information|nothing is said)\b"
)
_YES_NO = re.compile(r"\b(yes|yeah|indeed|no|none|nope|not|never|neither)\b|n['’]t\b")
_MORE_WORDS = {
    "beach": ("beach", "seaside", "sea", "shore", "sand"),
    "meadow": ("meadow", "grass", "green field", "lawn"),
    "night": ("night", "night sky", "stars", "dark"),
    "snow": ("snow", "snowy field", "snowy ground", "snowy"),
    "street": ("street", "road", "city"),
    "room": ("room", "living room", "indoors", "inside", "wooden floor", "floor"),
}


def _without_citations(text: str) -> str:
    return _CITED.sub(" ", text.lower())


def says_not_said(text: str) -> bool:
    """Whether the answer is that it cannot be told."""
    return bool(_NOT_SAID.search(text.lower()))


def read_yes_no(text: str) -> bool | None:
    """True for a yes, False for a no, None for neither; the first that is said counts."""
    found = _YES_NO.search(_without_citations(text))
    return found[0] in {"yes", "yeah", "indeed"} if found else None


def read_number(text: str) -> int | None:
    """The first number in the answer, in digits or words, citations apart.

    Without one, "no ..." is 0 and "a ..." is 1.
    """
    text = _without_citations(text)
    if found := _NUMBER.search(text):
        if found["digits"]:
            return int(found["digits"])
        if found["tens"]:
            return _TENS[found["tens"]] + _SMALL.index(found["unit"])
        return _VALUES[found["word"]]
    if re.search(r"\b(?:no|not any)\b", text):
        return 0
    return 1 if re.search(r"\ban?\b", text) else None


@cache
def _place_of_words() -> dict[str, str]:
    return {
        words: place.name
        for place in PLACES
        for words in (*place.phrases, *_MORE_WORDS[place.name])
    }


@cache
def _place_pattern() -> re.Pattern[str]:
    words = "|".join(sorted(_place_of_words(), key=len, reverse=True))
    return re.compile(rf"\b(?:{words})\b")


def read_places(text: str) -> set[str]:
    """The places that the answer names, by their usual names."""
    said = _place_pattern().findall(text.lower())
    of_word = {
        w: place.name for place in PLACES for w in (*place.phrases, *_MORE_WORDS[place.name])
    }
    return {of_word[word] for word in said}


def read_things(text: str) -> list[str]:
    """The things that the answer names, by their usual names, first named first."""
    return things_in_order(text)
