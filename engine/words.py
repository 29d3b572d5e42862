"""What a word is, in any script: for telling captions apart and for finding them.

The tokenisers of published metrics are none of this: see `evaluation/metrics/`.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable
from unicodedata import normalize

import regex

LETTER = r"\p{L}\p{M}\p{N}"
"""What words are made of, inside a character class of the library regex.

Marks belong to it: they are the vowels of Hindi, Tamil and Thai.
"""

_UNSPACED = (
    r"\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}ーｰ"
    r"\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}\p{Script=Myanmar}"
)
_SPELLED = regex.compile(
    # A picture sign is a word, with all that is joined to it: flags, families, tones of skin.
    r"(?=[\p{So}\p{Emoji_Modifier}\p{Extended_Pictographic}])\X"
    rf"|[[{_UNSPACED}]&&[\p{{L}}\p{{N}}]][[{_UNSPACED}\p{{M}}]&&[{LETTER}]]*"
    # Joiners, which have no form, stand inside words of Persian, Hindi and Sinhala; the space
    # of no width between words.
    rf"|[\p{{L}}\p{{N}}--[{_UNSPACED}]][{LETTER}\p{{Cf}}--[{_UNSPACED}\u200b]]*",
    regex.V1,
)
_ASCII = re.compile(r"[a-z0-9]+")
_FORMLESS = regex.compile(r"\p{Cf}")
_SELECTORS = regex.compile(r"[\ufe0e\ufe0f]")
_LETTERS = regex.compile(r"\X")
_UNITS = regex.compile(r"\P{M}\p{M}*")
_IS_UNSPACED = regex.compile(rf"[{_UNSPACED}]", regex.V1)
_ACCENTS = regex.compile(r"(?<=\p{Latin})\p{Mn}+")
_EMPTY_WORDS = frozenset(("a", "an", "the", "is", "are", "there"))


def spelled_words(text: str) -> list[str]:
    """The words of a text and its picture signs, as it spells them.

    Where a script has no spaces a run of its letters is one, see `units`.
    """
    found: list[str] = _SPELLED.findall(text)
    return found


def normal(word: str) -> str:
    """The word as others are held against it: composed (NFC), without case and formless signs."""
    bare = _SELECTORS.sub("", word)
    if bare[:1].isalnum():
        bare = _FORMLESS.sub("", bare)
    return normalize("NFC", normalize("NFC", bare).casefold())


def folded(name: str) -> str:
    """A name as others are held against it: without case, and without accents of Latin letters."""
    bare = name.casefold()
    if not bare.isascii():
        bare = normalize("NFC", _ACCENTS.sub("", normalize("NFD", bare)))
    return " ".join(bare.split())


def words(text: str) -> tuple[str, ...]:
    """The words of a text and its picture signs, `normal`."""
    if text.isascii():
        return tuple(_ASCII.findall(text.lower()))  # the same, ten times as fast
    return tuple(map(normal, spelled_words(text)))


def content_words(text: str) -> tuple[str, ...]:
    """What a caption says: its words without case, punctuation and articles.

    The text itself where none is left, so that what has no words is not all the same.
    """
    left = tuple(word for word in words(text) if word not in _EMPTY_WORDS)
    return left or (normalize("NFC", text).strip(),)


def units(word: str) -> list[str]:
    """The letters, each with its marks, of a word in a script without spaces; else none."""
    if word.isascii() or not _IS_UNSPACED.match(word):
        return []
    found: list[str] = _UNITS.findall(word)
    return found


def letters(text: str) -> list[str]:
    """All that a text is made of, in pieces as small as a reader takes for one letter or sign."""
    found: list[str] = _LETTERS.findall(text)
    return found


def cut_to_fit(text: str, fits: Callable[[str], bool]) -> str:
    """The text as far as it fits, to the end of a word if it has several; "" if no letter fits."""
    parts = letters(text)

    def begin(size: int) -> str:
        return "".join(parts[:size]).rstrip()

    size = 1
    while size < len(parts) and fits(begin(size)):
        size *= 2  # so that what is looked at is never much longer than what fits
    longest = bisect_left(
        range(1, min(size, len(parts))), True, key=lambda size: not fits(begin(size))
    )
    kept = begin(longest)
    at_end = " " in parts[longest - 1 : longest + 1]
    of_words = kept if at_end else kept.rpartition(" ")[0]
    return next((one for one in (of_words, kept) if one and fits(one)), "")
