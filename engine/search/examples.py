"""Searches to try, made of what a collection's own pictures are said to show."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from engine.errors import InvalidSearch
from engine.search.language import read_search
from engine.types import Filters
from engine.words import words

_SHORT = range(3, 9)
"""Words of a caption that is read at a glance."""

_LONGEST = 48
"""Characters of a search that fits on a button."""


def example_searches(captions: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """A word, two short captions, and a word without another; fewer where captions say less.

    Takes the captions of some pictures. Words are those that several captions end with: in most
    languages what a sentence is about stands there, and not its small words.
    """
    firsts = [said[0] for said in captions if said]
    whole = [text for text in firsts if len(words(text)) in _SHORT and len(text) <= _LONGEST]
    lasts = _common(words(text)[-1] for text in firsts if words(text))
    found = [*lasts[:1], *(text.rstrip(" .。") for text in _apart(whole)[:2])]
    if len(lasts) > 2:
        found.append(f"{lasts[1]} -{lasts[2]}")
    return tuple(text for text in dict.fromkeys(found) if means_itself(text))


def means_itself(text: str) -> bool:
    """Whether nothing in it, such as quotes, is read as more than words to look for."""
    try:
        search = read_search(text)
    except InvalidSearch:
        return False
    return search.filters == Filters() and not search.likes and not search.unlikes


def _common(found: Iterable[str]) -> list[str]:
    """Those that are there more than once, the commonest first."""
    counts = Counter(word for word in found if word.isalpha() and len(word) <= _LONGEST)
    return [word for word, count in counts.most_common() if count > 1]


def _apart(texts: Sequence[str]) -> list[str]:
    """Without those that share a word with an earlier one at their beginning or end."""
    kept: list[str] = []
    for text in texts:
        own = words(text)
        if not any(own[-1] == words(one)[-1] or own[:2] == words(one)[:2] for one in kept):
            kept.append(text)
    return kept
