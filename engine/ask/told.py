"""What captions tell: whether they say something, where it is, and which of them speaks for all."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from engine.ask.counting import required
from engine.ask.denials import denies
from engine.ask.inflection import NO_OTHERS, Others, is_empty, stem, stems, telling
from engine.store.phrases import phrase_terms, phrase_text
from engine.words import words

_PREPOSITIONS = "on|in|at|by|under|near|inside|outside|beside|along|over|among|across|behind|above"
_ADVERBS = "indoors|outdoors|upstairs|downstairs|outside|inside|underwater|abroad"
_ENDS = rf"{_PREPOSITIONS}|{_ADVERBS}|with|and|next|of|while|that|which|is|are|to"
_PLACE = re.compile(
    rf"\b(?:(?:{_PREPOSITIONS})(?: (?!(?:{_ENDS})\b)[^\W_][\w'-]*)+|(?:{_ADVERBS}))\b"
    r"(?! of\b)",
    re.IGNORECASE,
)


def says(text: str, caption: str, others: Others = NO_OTHERS) -> bool:
    """Whether a caption says all that is asked for: numbers before what they count, any form."""
    wanted = required(text, others)
    has = all(any(stands(one, caption) for one in offered) for offered in wanted)
    return has and not denies([caption], wanted)


def stands(phrase: str, caption: str) -> bool:
    """Whether a phrase stands in a caption, as the index finds it: in any script, word by word."""
    return bool(words(phrase)) and f" {phrase_terms(phrase)} " in f" {phrase_text([caption])} "


_RELATIONS = tuple(
    (re.compile(rf"\b(?:{'|'.join(words_of)})\b", re.IGNORECASE), words_of[0])
    for words_of in (
        ("above", "over", "on top of"),
        ("below", "under", "underneath", "beneath"),
        ("next to", "beside", "near", "close to", "left of", "right of"),
        ("behind",),
        ("in front of",),
        ("between",),
        ("inside",),
    )
)
"""How a thing may stand to another, each in its wordings."""


def relations_in(text: str) -> frozenset[str]:
    """How things are said to stand to each other."""
    return frozenset(name for pattern, name in _RELATIONS if pattern.search(text))


def places_in(caption: str) -> list[str]:
    """Where the caption says something to be, in its words: `on the beach`; the last counts."""
    text = " ".join(caption.split()).rstrip(" .!?")
    return [found[0].lower() for found in _PLACE.finditer(text)]


def place_of(captions: Sequence[str]) -> tuple[str, list[int]]:
    """Where most captions say that it is, and which of them do; "" where none says it.

    Two say the same where the last word of their places is the same.
    """
    told: list[tuple[str, object]] = []
    for caption in captions:
        place = next(iter(places_in(caption)[::-1]), "")
        said = words(place)
        told.append((place, stem(said[-1]) if said else None))
    counts = Counter(head for _, head in told if head is not None)
    if not counts:
        return "", []
    best = max(counts, key=lambda head: counts[head])
    at = [place for place, (_, head) in enumerate(told) if head == best]
    return told[at[0]][0], at


def spokesman(captions: Sequence[str], *, complete: bool) -> int:
    """Which caption says most of what the others say; not `complete`: and least beside it."""
    sets = [stems([caption]) for caption in captions]

    def worth(at: int) -> float:
        own = sets[at]
        shared = (
            len(own & other) / max(1, len(other if complete else own | other)) for other in sets
        )
        return sum(shared)

    return max(range(len(captions)), key=lambda at: (round(worth(at), 9), -at))


def unlike(captions: Sequence[str], count: int) -> list[int]:
    """So many captions that have as little in common as may be, the first one first."""
    sets = [stems([caption]) for caption in captions]
    chosen = [0] if captions else []
    while len(chosen) < min(count, len(captions)):
        left = [at for at in range(len(captions)) if at not in chosen]
        shared = {
            at: max(len(sets[at] & sets[one]) / max(1, len(sets[at] | sets[one])) for one in chosen)
            for at in left
        }
        chosen.append(min(left, key=lambda at: (round(shared[at], 9), at)))
    return chosen


def missing(text: str, captions: Iterable[str], others: Others = NO_OTHERS) -> tuple[str, ...]:
    """The words of a text that say something and stand in none of the captions in any form."""
    given = tuple(captions)
    known = stems(given)
    lacking = (
        word
        for word in telling(text)
        if known.isdisjoint(stem(one) for one in (word, *others.get(word, ())))
    )
    return tuple(word for word in lacking if not any(stands(word, one) for one in given))


def only_empty(text: str) -> bool:
    """Whether a text has no word that says something."""
    return all(is_empty(word) for word in words(text))
