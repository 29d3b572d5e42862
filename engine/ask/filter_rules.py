"""Rules by which words of an English question become filters of a search.

Each rule has a name, a pattern, what the words give as items of the search language, and an
example. What a rule takes is told, so that nothing of a question is lost without a word.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from engine.ask.inflection import is_empty
from engine.ask.kinds import PICTURES
from engine.ask.known import Known
from engine.ask.periods import (
    AFTER_A_WORD,
    EXPRESSIONS,
    any_of,
    between,
    read_period,
    written_days,
)
from engine.errors import InvalidSearch
from engine.search.filter_terms import FILTER_TERMS
from engine.search.language import Filter, Item, Phrase, Term, read_search
from engine.words import words


@dataclass(frozen=True)
class Asked:
    """What rules go by beside the words: the day of the question, and what is known by name."""

    today: date
    known: Known


Gives = Callable[[re.Match[str], Asked], tuple[Item, ...] | None]
"""The items that words stand for; None where they are none of the rule's after all."""


@dataclass(frozen=True)
class Rule:
    """What one kind of wording gives; `example`: a question, and the search that it makes.

    `told` says in words what it takes the wording for.
    """

    name: str
    pattern: re.Pattern[str]
    gives: Gives
    told: str
    example: tuple[str, str]


def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\S)(?:{text})(?=[?!.,;:]*(?:\s|$))", re.IGNORECASE)


def _days(after: date | None, before: date | None) -> tuple[Item, ...]:
    return tuple(Filter(name, value) for name, value in written_days(after, before))


def _during(found: re.Match[str], asked: Asked) -> tuple[Item, ...] | None:
    period = read_period(found["when"], asked.today)
    return _days(period.first, period.last) if period else None


def _between(found: re.Match[str], asked: Asked) -> tuple[Item, ...] | None:
    first, last = (read_period(found[name], asked.today) for name in ("when", "until"))
    whole = between(first, last) if first and last else None
    return _days(whole.first, whole.last) if whole else None


def _before(found: re.Match[str], asked: Asked) -> tuple[Item, ...] | None:
    period = read_period(found["when"], asked.today)
    return _days(None, period.first - timedelta(days=1)) if period else None


def _until(found: re.Match[str], asked: Asked) -> tuple[Item, ...] | None:
    period = read_period(found["when"], asked.today)
    return _days(None, period.last) if period else None


def _after(found: re.Match[str], asked: Asked) -> tuple[Item, ...] | None:
    period = read_period(found["when"], asked.today)
    return _days(period.last + timedelta(days=1), None) if period else None


def _since(found: re.Match[str], asked: Asked) -> tuple[Item, ...] | None:
    period = read_period(found["when"] or found["from"], asked.today)
    return _days(period.first, None) if period else None


def knows_times_of_day() -> bool:
    """Whether the search language has filters for the time of day."""
    try:
        FILTER_TERMS["after"].read("17:00")
    except ValueError:
        return False
    return True


_TIMES = {"noon": "12:00", "midday": "12:00", "midnight": "00:00"}


def _clock(text: str) -> str | None:
    """A time of day as `17:00`; None for what is none."""
    if text.lower() in _TIMES:
        return _TIMES[text.lower()]
    found = re.fullmatch(r"(\d{1,2})(?::(\d\d)(:\d\d)?)?\s*([ap])?.*", text, re.IGNORECASE)
    if found is None:
        return None
    hour, minute, second = int(found[1]), int(found[2] or 0), found[3] or ""
    if found[4]:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if found[4].lower() == "p" else 0)
    is_time = hour < 24 and minute < 60 and second < ":60"
    return f"{hour:02}:{minute:02}{second}" if is_time else None


def _times(found: re.Match[str], after: str | None, before: str | None) -> tuple[Item, ...] | None:
    del found
    if not knows_times_of_day() or not (after or before):
        return None
    given = (("after", after), ("before", before))
    return tuple(Filter(name, clock) for name, clock in given if clock)


def _before_time(found: re.Match[str], asked: Asked) -> tuple[Item, ...] | None:
    del asked
    before = _clock(found["time"])
    return _times(found, None, before) if before != _MIDNIGHT else None  # every time of day is


def _after_time(found: re.Match[str], asked: Asked) -> tuple[Item, ...] | None:
    """From a time on; every time of day is after midnight, and the small hours are meant."""
    del asked
    after = _clock(found["time"])
    return _times(found, after, _PARTS_OF_DAY["morning"][0] if after == _MIDNIGHT else None)


def _at_time(found: re.Match[str], asked: Asked) -> tuple[Item, ...] | None:
    """In the hour, minute or second that is named, or half an hour before and after it."""
    del asked
    clock = _clock(found["time"])
    if clock is None:
        return None
    if found["about"]:
        middle = datetime.combine(date.min + timedelta(days=1), time.fromisoformat(clock))
        half = timedelta(minutes=30)
        return _times(found, f"{middle - half:%H:%M}", f"{middle + half:%H:%M}")
    if clock.count(":") == 2:
        return _times(found, clock, clock)
    return _times(found, clock, f"{clock[:2]}:59:59" if clock.endswith(":00") else f"{clock}:59")


def _between_times(found: re.Match[str], asked: Asked) -> tuple[Item, ...] | None:
    del asked
    first, last = _clock(found["time"]), _clock(found["until"])
    return _times(found, first, last) if first and last and first != last else None


_MIDNIGHT = "00:00"
_PARTS_OF_DAY = {
    "morning": ("05:00", "12:00"),
    "afternoon": ("12:00", "18:00"),
    "evening": ("18:00", "22:00"),
}


def _part_of_day(found: re.Match[str], asked: Asked) -> tuple[Item, ...] | None:
    del asked
    return _times(found, *_PARTS_OF_DAY[found["part"].lower()])


_EITHER_NAME = re.compile(r" or (?:in )?(?:the )?", re.IGNORECASE)
_EITHER_PLACE = re.compile(r" (?:or|and) (?:in )?(?:the )?", re.IGNORECASE)


def _named(kind: str, between: re.Pattern[str] = _EITHER_NAME) -> Gives:
    """A filter for what is known by that name, or by one of several."""

    def gives(found: re.Match[str], asked: Asked) -> tuple[Item, ...] | None:
        whole = found["name"].strip(" ?!.,;:")
        for names in ([whole], between.split(whole)):
            if all(name and asked.known.has(kind, name) for name in names):
                return tuple(Filter(kind, name, bool(found["not"])) for name in names)
        return None

    return gives


_STARS = {word: at for at, word in enumerate(["one", "two", "three", "four", "five"], 1)}


def _labelled(found: re.Match[str], asked: Asked) -> tuple[Item, ...] | None:
    """A tag that people gave or a label of a tagging: whichever there is, the one said first.

    What is `tagged dog` where there is none is looked for as such, too, and not as words.
    """
    said = (found["done"] or found["kind"]).lower()
    kinds = ("label", "tag") if said.startswith("label") else ("tag", "label")
    if items := next((items for kind in kinds if (items := _named(kind)(found, asked))), None):
        return items
    name = found["name"].strip(" ?!.,;:")
    is_said = bool(found["done"]) and " " not in name and not is_empty(name.lower())
    return (Filter(kinds[0], name, bool(found["not"])),) if is_said else None


def _rating(found: re.Match[str], asked: Asked) -> tuple[Item, ...] | None:
    del asked
    said = found["stars"].lower()
    return (Filter("rating", str(_STARS.get(said, said))),)


def _best(found: re.Match[str], asked: Asked) -> tuple[Item, ...] | None:
    del found, asked
    return (Filter("rating", "5"),)


def _phrase(found: re.Match[str], asked: Asked) -> tuple[Item, ...] | None:
    del asked
    text = " ".join(found["said"].split())
    return (Phrase(text),) if words(text) else None


def _typed(found: re.Match[str], asked: Asked) -> tuple[Item, ...] | None:
    """Filters as the search language has them may stand in a question as they are.

    Raises InvalidSearch for one that it cannot read: as words nobody would find it.
    """
    del asked
    return read_search(found["typed"]).items


def _typed_unwanted(found: re.Match[str], asked: Asked) -> tuple[Item, ...] | None:
    """So may what is not to be seen: `-cats`."""
    del asked
    try:
        items = read_search(found["typed"]).items
    except InvalidSearch:
        return None
    (item, *others) = items or (None,)
    return items if isinstance(item, Term) and item.unwanted and not others else None


def _without(found: re.Match[str], asked: Asked) -> tuple[Item, ...] | None:
    """Each of the things by itself: of `without dogs or cats` both are unwanted."""
    del asked
    named = _BETWEEN_UNWANTED.split(found["unwanted"])
    terms = (Term(_DETERMINED.sub("", one).strip(), unwanted=True) for one in named)
    return tuple(dict.fromkeys(term for term in terms if words(term.text)))


def _described(*, unwanted: bool) -> Gives:
    """A filter for what has a caption, or has none."""

    def gives(found: re.Match[str], asked: Asked) -> tuple[Item, ...]:
        del found, asked
        return (Filter("has", "caption", unwanted),)

    return gives


def _either(found: re.Match[str], asked: Asked) -> tuple[Item, ...] | None:
    """Two periods of which the second begins where the first ends: filters know no other `or`."""
    first, last = (read_period(found[name], asked.today) for name in ("when", "until"))
    if first is None or last is None or last.first - first.last != timedelta(days=1):
        return None
    return _days(first.first, last.last)


_WHEN = any_of((*EXPRESSIONS, *AFTER_A_WORD))
_SURE = any_of(EXPRESSIONS)
_TIME = (
    r"\d{1,2}(?::\d\d)?\s*(?:a\.?m\.?|p\.?m\.?)|\d{1,2}:\d\d(?::\d\d)?|\d{1,2} o'?clock"
    r"|noon|midday|midnight"
)
_NAME = r"(?P<name>[^\s?!,;:]+(?: [^\s?!,;:]+){0,5})"
_IN_QUOTES = r"[\"“”„‟＂«»](?P<said>[^\"“”„‟＂«»\\]+)[\"“”„‟＂«»]"
_WERE_NOT = r"(?P<not>(?:(?:(?:are|were|was|is) )?not|(?:are|were|was|is)n['’]t) )?"
_FILTERS = "|".join(FILTER_TERMS)

_SHOW = r"(?: (?:of|with|in|on|at|show|shows|showing|have|has|having|contain|contains|see))*"
_NOT = (
    rf"without|(?:(?:are|is|do|does|did|were|was) )?not{_SHOW}"
    rf"|(?:are|is|do|does|did|were|was)n['’]t{_SHOW}|lack(?:s|ing)?"
    r"|(?:except|excluding|excepting|other than|apart from|aside from|besides)"
    r"(?: (?:for|of|those of))?"
)
_NO = (
    r"(?:(?:there (?:is|are)|with|have|has|having|shows?|showing|contains?|of|in which|where) )*"
    r"(?:no|neither)"
)
_ENDS_IT = (
    rf"and|or|nor|but|in|on|at|by|with|without|from|of|to|near|next|under|over|above|behind|beside"
    rf"|between|before|after|during|since|until|that|which|who|where|when|are|is|was|were|be|been"
    rf"|do|does|did|have|has|had|shows?|showing|contains?|seen|shown|visible|taken|there|here|the"
    rf"|an?|any|some|it|them|this|these|those|our|my|their|please|all|only|else|one|no|not|neither"
    rf"|none|more|less|fewer|most|than|at|last|{PICTURES}|{'|'.join(_STARS)}"
)
_THING = rf"(?!(?:{_ENDS_IT})\b)[^\W\d_]+(?:[ -](?!(?:{_ENDS_IT})\b)[^\W\d_]+){{0,2}}"
_DETERMINER = r"(?:(?:any|a|an|the|other) )?"
_DETERMINED = re.compile(r"^\s*(?:(?:any|a|an|the|other)\s)?", re.IGNORECASE)
_AND_NOT = r"(?:,? (?:or|nor|and no|or no|and)|,)(?: (?:with|without|of))?"
_BETWEEN_UNWANTED = re.compile(rf"{_AND_NOT} ", re.IGNORECASE)
_UNWANTED = (
    rf"(?P<unwanted>{_DETERMINER}{_THING}(?:(?:,? (?:or|nor|and no|or no)|,) {_DETERMINER}{_THING}"
    rf"|,? and (?:any |the )?{_THING})*)"
)

_CAPTION = r"(?:captions?|descriptions?)"

ANOTHER_TIME = re.compile(rf"\b(?:or|and)(?: in| on| from)? (?:{_WHEN})\b", re.IGNORECASE)
"""A time that is left behind one that a filter was made of."""

FILTER_RULES: tuple[Rule, ...] = (
    Rule(
        "quoted", _pattern(_IN_QUOTES), _phrase, "words in quotes must stand in a caption",
        ('how many pictures say "red car"?', '"red car"'),
    ),
    Rule(
        "typed filter",
        _pattern(rf"(?P<typed>-?(?:{_FILTERS}):(?:\"[^\"\\]+\"|[^\s\"]*[^\s\"?!.,;:]))"),
        _typed, "a filter as searches have it", ("dogs tag:holiday", "tag:holiday dogs"),
    ),
    Rule(
        "typed unwanted",
        _pattern(r"(?P<typed>-(?:\"[^\"\\]+\"|[^\W\d_](?:[^\s\"?!.,;:]*[^\s\"?!.,;:])?))"),
        _typed_unwanted, "what is not to be seen, as searches have it",
        ("dogs -cats", "dogs -cats"),
    ),
    Rule(
        "time span",
        _pattern(rf"(?:between|from) (?P<time>{_TIME}) (?:and|to|until) (?P<until>{_TIME})"),
        _between_times, "a time of day",
        ("dogs between 2 pm and 17:30", "after:14:00 before:17:30 dogs"),
    ),
    Rule(
        "before a time",
        _pattern(rf"(?:taken )?(?:before|until|till|by|earlier than) (?P<time>{_TIME})"),
        _before_time, "a time of day", ("white cars before 17:00", "before:17:00 white cars"),
    ),
    Rule(
        "after a time",
        _pattern(rf"(?:taken )?(?:after|since|from|later than) (?P<time>{_TIME})"),
        _after_time, "a time of day", ("dogs after 5 pm", "after:17:00 dogs"),
    ),
    Rule(
        "at a time",
        _pattern(rf"(?:taken )?(?:at|(?P<about>(?:at )?(?:around|about))) (?P<time>{_TIME})"),
        _at_time, "a time of day", ("dogs at 3 pm", "after:15:00 before:15:59:59 dogs"),
    ),
    Rule(
        "part of the day",
        _pattern(rf"(?:taken )?(?:in|during) the (?P<part>{'|'.join(_PARTS_OF_DAY)})"),
        _part_of_day, "a part of the day",
        ("dogs in the morning", "after:05:00 before:12:00 dogs"),
    ),
    Rule(
        "date span",
        _pattern(
            rf"(?:taken )?(?:between|from) (?P<when>{_WHEN}) (?:and|to|until|till) "
            rf"(?P<until>{_WHEN})"
        ),
        _between, "the days from the first to the last",
        ("dogs between March and June 2023", "after:2023-03-01 before:2023-06-30 dogs"),
    ),
    Rule(
        "one date or the next",
        _pattern(
            rf"(?:taken )?(?:in|on|from|of) (?P<when>{_WHEN}) (?:or|and)(?: in| on)? "
            rf"(?P<until>{_WHEN})"
        ),
        _either, "the days of both",
        ("dogs in 2020 or 2021", "after:2020-01-01 before:2021-12-31 dogs"),
    ),
    Rule(
        "before a date",
        _pattern(rf"(?:taken )?(?:(?<!the day )before|earlier than) (?P<when>{_WHEN})"),
        _before, "up to the day before", ("dogs before 2020", "before:2019-12-31 dogs"),
    ),
    Rule(
        "until a date", _pattern(rf"(?:taken )?(?:until|till|up to) (?P<when>{_WHEN})"),
        _until, "up to this, and with it", ("dogs until May 2024", "before:2024-05-31 dogs"),
    ),
    Rule(
        "after a date", _pattern(rf"(?:taken )?(?:after|later than) (?P<when>{_WHEN})"),
        _after, "from the day after it on", ("dogs after 2020", "after:2021-01-01 dogs"),
    ),
    Rule(
        "since a date",
        _pattern(rf"(?:taken )?(?:since (?P<when>{_WHEN})|from (?P<from>{_WHEN}) on(?:wards)?)"),
        _since, "from this on",
        ("dogs since last summer", "after:2026-06-01 dogs"),
    ),
    Rule(
        "date",
        _pattern(rf"(?:taken )?(?:in|on|during|from|of|within|over|at) (?P<when>{_WHEN})"),
        _during, "the days that it has", ("dogs in May 2024", "after:2024-05 before:2024-05 dogs"),
    ),
    Rule(
        "date by itself", _pattern(rf"(?:taken )?(?P<when>{_SURE})"), _during,
        "the days that it has", ("dogs yesterday", "after:2026-11-29 before:2026-11-29 dogs"),
    ),
    Rule(
        "rating",
        _pattern(
            r"(?:(?:with|rated|of|having) )?(?:at least )?(?P<stars>[1-5]|one|two|three|four|five)"
            r"(?:[ -]stars?(?:[ -]rated)?)(?: (?:or (?:more|better)|and (?:more|up)))?"
        ),
        _rating, "stars, at least", ("dogs with at least 4 stars", "rating:4 dogs"),
    ),
    Rule(
        "rating of",
        _pattern(
            r"(?:(?:with|having|have|has) )?(?:a )?rating (?:of )?(?:at least )?(?P<stars>[1-5])"
            r"(?: (?:or (?:more|better)|and (?:more|up)))?"
        ),
        _rating, "stars, at least", ("dogs with a rating of 4", "rating:4 dogs"),
    ),
    Rule(
        "best rated", _pattern(r"(?:best|top)[ -]rated"), _best, "stars, at least",
        ("the best rated dogs", "rating:5 dogs"),
    ),
    Rule(
        "tag",
        _pattern(
            rf"{_WERE_NOT}(?:(?P<done>tagged|labell?ed)"
            r"|(?:(?:with|having|have|has) )?(?:the |a )?(?P<kind>tag|keyword|label))"
            rf"(?: as| with)? {_NAME}"
        ),
        _labelled, "a tag or a label that the collection has",
        ("dogs tagged holiday", "tag:holiday dogs"),
    ),
    Rule(
        "camera",
        _pattern(
            rf"{_WERE_NOT}(?:(?:taken|shot|photographed|made) )?(?:with|on|by|using)"
            rf" (?:a |an |the |my |our )?(?:camera )?{_NAME}"
        ),
        _named("camera"), "a camera that the collection has",
        ("dogs taken with the Canon EOS R6", 'camera:"Canon EOS R6" dogs'),
    ),
    Rule(
        "place", _pattern(rf"{_WERE_NOT}(?:taken )?(?:in|at|near|around|from|of|to|visit(?:ed)?)"
                         rf" (?:the )?{_NAME}"),
        _named("place", _EITHER_PLACE), "a place that the collection has",
        ("dogs in Lisbon", "place:Lisbon dogs"),
    ),
    Rule(
        "undescribed",
        _pattern(
            rf"(?:(?:with|has|have|having) no|without|lack(?:s|ing)?)(?: an?| any)? {_CAPTION}"
            r"|(?:(?:are|is|were) )?(?:not (?:yet )?described|undescribed)(?! (?:as|by|with)\b)"
            rf"|no {_CAPTION}"
        ),
        _described(unwanted=True), "what has no caption",
        ("which dogs are not described?", "-has:caption dogs"),
    ),
    Rule(
        "described",
        _pattern(
            rf"(?:with|has|have|having) (?:an? |any )?{_CAPTION}"
            r"|(?:are|is|were) described(?! (?:as|by|with)\b)"
        ),
        _described(unwanted=False), "what has a caption",
        ("dogs with a caption", "has:caption dogs"),
    ),
    Rule(
        "without", _pattern(rf"(?:(?:but|and|yet) )?(?:{_NOT}|{_NO}) {_UNWANTED}"), _without,
        "what is not to be seen", ("dogs without a ball", "dogs -ball"),
    ),
)  # fmt: skip
