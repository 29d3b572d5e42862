"""What is typed into a search field: words, words to add, and words to move away from."""

from __future__ import annotations

import re
from dataclasses import dataclass

from engine.errors import InvalidInput

MAX_TERMS = 16
"""The most terms with a sign in one search: each is embedded."""

_SIGNS = "+-−"
_UNENDED = re.compile(r'(?<!\S)[+\-−][+\-−\s]*+"[^"]*$')
_SIGNED = re.compile(r'(?<!\S)([+\-−])[+\-−\s]*+(?:"([^"]*)"|([^\s"+\-−][^\s"]*))')


@dataclass(frozen=True)
class Terms:
    """Words, and terms to draw nearer to and to move away from."""

    text: str = ""
    plus: tuple[str, ...] = ()
    minus: tuple[str, ...] = ()


def read_terms(typed: str) -> Terms:
    """Read `a dog +snow -"red car"`: a sign before a word, or before words in quotes.

    A sign counts at the start of a word only, with or without a space after it, so
    `well-known` is a word. Raises InvalidInput for more than MAX_TERMS terms with a sign, and
    for words in quotes after a sign that do not end: who means one word would get another search.
    """
    _check_ended(typed)
    plus: list[str] = []
    minus: list[str] = []
    for sign, phrase, word in _SIGNED.findall(typed):
        term = " ".join((phrase or word).split())
        if _says_something(term):
            (plus if sign == "+" else minus).append(term)
    if len(plus) + len(minus) > MAX_TERMS:
        raise InvalidInput(
            f"the search has {len(plus) + len(minus)} terms with + or -, the limit is "
            f"{MAX_TERMS}; leave some out"
        )
    rest = _SIGNED.sub(" ", typed).replace('"', " ")
    kept = filter(_says_something, rest.split())
    return Terms(" ".join(kept), tuple(plus), tuple(minus))


def _check_ended(typed: str) -> None:
    """Raise InvalidInput where the last quotes after a sign are not closed."""
    ended = list(_SIGNED.finditer(typed))
    begun = _UNENDED.search(typed, ended[-1].end() if ended else 0)
    if begun:
        raise InvalidInput(
            f"the quotes in {begun.group()!r}, from character {begun.start() + 1} of the search, "
            'are not closed; close them, as in -"red car", or leave them out'
        )


def _says_something(term: str) -> bool:
    """Whether there is more to it than signs."""
    return bool(term.strip(_SIGNS + " "))
