"""How many a word says: digits of any script, and words of English, Hindi and Chinese."""

from __future__ import annotations

from unicodedata import numeric

_LARGEST = 1000
"""What is more than this is a year, a number on a shirt or a price, and no count."""

_ENGLISH = (
    "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven",
    "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
    "twenty",
)  # fmt: skip
_HINDI = ("एक", "दो", "तीन", "चार", "पांच", "छह", "सात", "आठ", "नौ", "दस")
_WORDS: dict[str, int] = {
    **{word: count for count, word in enumerate(_ENGLISH, 1)},
    **{word: count for count, word in enumerate(_HINDI, 1)},
    **dict.fromkeys(("a", "an", "another", "single"), 1),
    **dict.fromkeys(("both", "pair", "couple", "两", "俩", "双"), 2),
    **dict.fromkeys(("पाँच",), 5),
    "dozen": 12,
}


def count_of(word: str) -> int | None:
    """The whole number that a word, as `engine.words.normal` leaves it, stands for; else None."""
    known = _WORDS.get(word)
    if known is not None:
        return known
    if word.isdecimal():
        value = int(word) if len(word) <= len(str(_LARGEST)) else 0
    elif len(word) == 1:
        value = _whole(word)
    else:
        return None
    return value if 0 < value <= _LARGEST else None


def _whole(letter: str) -> int:
    """The value of a numeral such as 三, 0 for what is none or has a fraction."""
    value = numeric(letter, 0.0)
    return int(value) if value.is_integer() else 0
