"""Holds what a model answers against the captions: nothing of it is taken on trust.

A model may cite what is not there, say more than captions do, or obey one of them. So its numbers
in brackets count only where there is such a picture, and each word and number of its answer must
stand in a caption, or the answer is that the captions do not say.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from engine.ask.composing import COLOUR_WORDS, asked_words, not_said, sentence, unanswerable
from engine.ask.inflection import number_at, stem, stems, telling
from engine.ask.pieces import Answered, Piece, pictures_of
from engine.ask.prompts import NOT_SAID
from engine.ask.quantities import COLOURS
from engine.ask.rules import ReadQuestion
from engine.ask.told import says
from engine.words import words

MOST_CITED = 6
"""Pictures that an answer in words is given to rest on."""

_CITED = re.compile(r"\[\s*(\d{1,4}(?:\s*[,;]\s*\d{1,4})*)\s*\]")
_REFUSES = re.compile(
    r"\b(?:captions?|they|it) (?:do(?:es)? not|don['’]t|doesn['’]t|never)"
    r" (?:say|tell|mention|state)"
    r"|\b(?:not (?:stated|mentioned|given|said|known)|unknown|unanswerable"
    r"|cannot be (?:told|answered))\b",
    re.IGNORECASE,
)
_YES, _NO = frozenset(("yes", "yeah", "true")), frozenset(("no", "not", "none", "false"))

_NUMBERED = frozenset(
    (
        *("year", "date", "time", "day", "month", "age", "price", "size"),
        *("old", "much", "long", "far", "heavy", "tall", "big", "large"),
    )
)
"""Words for what is asked that a number answers."""


def checked(
    written: str, read: ReadQuestion, pieces: Sequence[Piece], by: str, *, seen: bool = False
) -> Answered:
    """What is left of a model's answer when it is held against the captions.

    Of one that has `seen` the pictures, too, all that it says is left, and no caption is cited for
    what none has.
    """
    text, named = _without_citations(written)
    if not words(text) or NOT_SAID in text.lower() or _REFUSES.search(text):
        return _by(not_said(), by)
    refused = _refused(text, read, pieces) if pieces else not_said()
    if refused is not None and seen:
        told = f"{sentence(text)} (As the model sees it: no caption bears it out.)"
        return Answered(told, said=True, by=by)
    if refused is not None:
        return _by(refused, by)
    cited = _supporting(text, read, pieces, named)
    return Answered(sentence(text), said=True, cited=cited, by=by)


def _without_citations(written: str) -> tuple[str, tuple[int, ...]]:
    """The answer on one line without numbers in brackets, and these numbers."""
    named = [int(one) for found in _CITED.finditer(written) for one in re.findall(r"\d+", found[1])]
    return " ".join(_CITED.sub(" ", written).split()), tuple(dict.fromkeys(named))


def _refused(text: str, read: ReadQuestion, pieces: Sequence[Piece]) -> Answered | None:
    said = words(text)
    refused = hopeless(read, pieces)
    if refused is not None:
        return refused
    known = stems(piece.text for piece in pieces)
    if said[0] in _YES | _NO:
        sought = asked_words(read)
        there = any(says(sought, piece.text, read.others) for piece in pieces)
        if there != (said[0] in _YES):
            return not_said("they do not bear out what was written")
        said = said[1:]
    unknown = [word for word in telling(" ".join(said)) if stem(word) not in known]
    unknown = [word for word in unknown if word not in _YES | _NO]
    numbers = {one for at in range(len(said)) if (one := number_at(said, at)) is not None}
    if unknown or not numbers <= known:
        return not_said("they do not bear out what was written")
    if not _has_type(text, read):
        return not_said(f"they give no {read.asked_for}")
    return None


def hopeless(read: ReadQuestion, pieces: Sequence[Piece]) -> Answered | None:
    """That no model could answer it from these captions, whatever it wrote."""
    return unanswerable(_without_type(read, pieces), pieces)


def _without_type(read: ReadQuestion, pieces: Sequence[Piece]) -> ReadQuestion:
    """The question without the word for the kind of thing, which captions need not repeat."""
    if not read.asked_for or read.asked_for in _NUMBERED:
        return read
    if stem(read.asked_for) in stems(piece.text for piece in pieces):
        return read
    searches = tuple(
        " ".join(one for one in search.split() if one.lower() != read.asked_for)
        for search in read.searches
    )
    return replace(read, searches=searches)


def _has_type(text: str, read: ReadQuestion) -> bool:
    said = words(text)
    if read.asked_for in COLOUR_WORDS:
        return not COLOURS.isdisjoint(said)
    if read.asked_for in _NUMBERED:
        return any(number_at(said, at) is not None for at in range(len(said)))
    return True


def _supporting(
    text: str, read: ReadQuestion, pieces: Sequence[Piece], named: Sequence[int]
) -> tuple[Piece, ...]:
    """The pieces that have most of the answer, then of the question; those the model named first.

    What it names counts only where it has a word of the answer.
    """
    answer, question = stems([text]), stems([asked_words(read)])
    pictures = pictures_of(pieces)
    trusted = {pictures[one - 1] for one in named if 0 < one <= len(pictures)}

    def worth(piece: Piece) -> tuple[int, int, int]:
        has = stems([piece.text])
        return len(has & answer), int(piece.picture in trusted), len(has & question)

    ranked = sorted(pieces, key=worth, reverse=True)
    best = worth(ranked[0])[0] if ranked else 0
    kept = [piece for piece in ranked if worth(piece)[0] == best]
    first = dict.fromkeys(pictures_of(kept))
    chosen = list(first)[:MOST_CITED]
    return tuple(piece for piece in kept if piece.picture in chosen)


def _by(answered: Answered, by: str) -> Answered:
    return Answered(answered.text, answered.said, answered.cited, by)
