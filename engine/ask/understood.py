"""What no rule has understood of a question, and what no count answers: said, not guessed at."""

from __future__ import annotations

import re

from engine.ask.composing import asked_words, not_said
from engine.ask.filter_rules import ANOTHER_TIME
from engine.ask.kinds import ALL_OF_SOME, COUNTS_VIDEOS
from engine.ask.pieces import Answered
from engine.ask.quantities import MOST_COUNTED, things_in
from engine.ask.rules import TWO_QUESTIONS, ReadQuestion
from engine.words import words

_TURNING = frozenset(
    (
        *("not", "never", "except", "neither", "nor", "without", "no", "none", "nobody"),
        *("nothing", "only"),
    )
)
_DIFFERENT = frozenset(("different", "distinct", "kinds", "types", "sorts", "species"))
_UNCOUNTED = re.compile(
    r"\b(?:(?<!at )most|fewest|per ?cent(?:age)?|average|proportion|fraction|ratio)\b",
    re.IGNORECASE,
)
_ORDERED = re.compile(r"\b(?:newest|oldest|latest|earliest)\b", re.IGNORECASE)
_COMPARING = frozenset(("more", "fewer", "less", "as many", "as few"))
_TIMES = frozenset(("days", "weeks", "months", "years", "hours", "trips"))
_ON_ONE = re.compile(r"\b(?:more|fewer|less) (?!than\b).*\bthan\b", re.IGNORECASE)
_TOGETHER = re.compile(r"\band\b", re.IGNORECASE)


def not_understood(read: ReadQuestion) -> Answered | None:
    """That something is left which no rule has understood, and which changes what is asked."""
    text = " ".join(asked_words(read, at) for at in range(len(read.searches)))
    why = _of_rules(read) or _of_words(read, text) or _of_things(read, text) or _turned(text)
    return not_said(why) if why else None


def _of_rules(read: ReadQuestion) -> str:
    if read.fires(TWO_QUESTIONS):
        return "these are several questions at once; ask one after the other"
    if read.fires(ALL_OF_SOME):
        return (
            "whether all of some are so is not counted; ask how many there are, and how many of "
            "them are so"
        )
    if read.fires(COUNTS_VIDEOS):
        return "videos are not counted, but their shots are; ask how many shots show it"
    if read.kind == "open" and read.which in _COMPARING:
        return "it compares with nothing; say with what, as in: more dogs than cats"
    return ""


def _of_words(read: ReadQuestion, text: str) -> str:
    if found := _UNCOUNTED.search(text):
        return (
            f"“{found[0]}” asks for what is not counted; ask how many pictures show a thing, or "
            "of which of two there are more"
        )
    for thing in things_in(text):
        if thing.bound and (thing.number or 0) > MOST_COUNTED:
            return (
                f"“{thing.bound}” is looked up of numbers up to {MOST_COUNTED}, and "
                f"{thing.number:,} is asked for; ask for fewer, or for one number"
            )
    if read.kind != "comparison" and (found := _ON_ONE.search(text)):
        return f"“{found[0]}” would compare on each picture, which is not done; ask for a number"
    if found := _ORDERED.search(text):
        return f"“{found[0]}” asks for an order; search by date, as with mrag search --sort newest"
    if read.is_timed and (found := ANOTHER_TIME.search(text)):
        return f"“{found[0]}” is a second time, and filters know one; ask of each by itself"
    return ""


def _of_things(read: ReadQuestion, text: str) -> str:
    if read.kind != "things":
        return ""
    if kinds := sorted(_DIFFERENT & set(words(text))):
        return f"“{kinds[0]}” ones are not told apart; ask how many pictures show a thing"
    if times := sorted(_TIMES & set(words(text))):
        return f"“{times[0]}” are not counted, but pictures are; ask when they were taken"
    if _TOGETHER.search(text):
        return f"“{text}” are several things; ask how many there are of one"
    return ""


def _turned(text: str) -> str:
    """A word that turns the question round."""
    if turning := sorted(_TURNING & set(words(text))):
        return (
            f"“{turning[0]}” was not understood; leave it out, and write -word in the search for "
            "what is not to be seen"
        )
    return ""
