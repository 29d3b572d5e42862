"""Captions as a text in which a phrase is found word by word, by every engine alike.

Engines split texts each in a way of their own, and lose marks and signs. So a text is handed to
them as words of ASCII letters and digits with spaces between them: what is not ASCII is spelled in
hexadecimal. In scripts without spaces each letter is a word, so a phrase is found within a run.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from engine.errors import InvalidInput
from engine.words import units, words

_SPELLED = "ø"
"""Begins a word that is spelled; alone it stands between captions, and is in no phrase."""


def phrase_text(captions: Iterable[str]) -> str:
    """All captions of a picture as one text; no phrase reaches from one into the next."""
    return f" {_SPELLED} ".join(" ".join(_terms(caption)) for caption in captions)


def phrase_terms(phrase: str) -> str:
    """A phrase as it stands in such a text; raises InvalidInput for one without a word."""
    terms = " ".join(_terms(phrase))
    if not terms:
        raise InvalidInput(f"the phrase {phrase!r} has no word; give words that a caption has")
    return terms


def _terms(text: str) -> Iterator[str]:
    for word in words(text):
        yield from map(_spelled, units(word) or (word,))


def _spelled(term: str) -> str:
    return term if term.isascii() else _SPELLED + term.encode().hex()
