"""A question read by rules: what kind it is, and the search that finds what may answer it.

What is read can be looked at and changed: the search is text in the project's own language, and
each rule that took a part of the question says so in words.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import date

from engine.ask.filter_rules import FILTER_RULES, Asked, Rule
from engine.ask.inflection import Others, telling
from engine.ask.kinds import (
    FILLERS,
    KIND_RULES,
    LOOSE_ENDS,
    POLITE,
    SAID_ALONE,
    SEVERAL,
    THAN,
    WHAT_IS_THERE,
    Kind,
    KindRule,
    looks_english,
)
from engine.ask.known import Known, NothingKnown
from engine.errors import InvalidInput, InvalidSearch
from engine.search.language import Filter, Item, Phrase, Word, read_search, written
from engine.words import spelled_words, words

AS_IT_IS = "as it is"
"""The rule for a question in another language than English."""

TWO_QUESTIONS = "another question"
"""The rule that finds a second question behind the first."""

MOST_ASKED = 500
"""Characters of a question."""

_TAKEN = "\n"
"""Stands where a rule has taken words out, so that no other rule reaches across."""

_CONTRACTED = re.compile(r"\b(what|who|where|when|which|there)['’]s\b", re.IGNORECASE)
_AND_OR = re.compile(r"\band ?/ ?or\b", re.IGNORECASE)
_LISTED_OR = re.compile(r", or |, (?!or\b)(?=(?:[^,.;?!]+, )*[^,.;?!]*\bor\b)", re.IGNORECASE)
"""The comma of `a dog, a cat or a bird`, which means `or`, too."""

_EDGES = "?!.,;:'()[]{}…¿¡।。？！،、"
_POINTING = frozenset(
    [
        "was",
        "were",
        "is",
        "are",
        "did",
        "do",
        "this",
        "that",
        "it",
        "they",
        "these",
        "those",
        "we",
        "i",
        "you",
    ]
)
"""What alone is left of `was this taken in Lisbon`, and asks for nothing more."""

_BEFORE_NOUNS = frozenset(["a", "an", "the", "any", "some", "of"])


@dataclass(frozen=True)
class Fired:
    """A rule that took `said` out of the question: in words, what for, and what it gave."""

    rule: str
    said: str
    told: str
    gave: str = ""

    def __str__(self) -> str:
        gave = f" -> {self.gave}" if self.gave else ""
        return f"“{self.said}”: {self.told}{gave}"


@dataclass(frozen=True)
class ReadQuestion:
    """A question as it was read.

    `searches` are texts in the language of searches: one, or of a comparison two, of which
    `which` asks whether the first has more, fewer or as many; of one, `all` asks whether all
    pictures do, and `share` and its like for the share of them. `asks` is the word that asks, as
    `why`, and `asked_for` the one that says what kind of thing would answer, as `colour` in "what
    colour". `others` are words that captions use in place of words of the question.
    """

    question: str
    kind: Kind
    searches: tuple[str, ...]
    fired: tuple[Fired, ...] = ()
    which: str = ""
    asks: str = ""
    asked_for: str = ""
    others: Others = field(default_factory=dict)

    @property
    def is_listed(self) -> bool:
        """Whether of a whole collection its index answers, and no model is asked."""
        return self.kind != "open" or self.fires(WHAT_IS_THERE)

    @property
    def is_timed(self) -> bool:
        """Whether a filter was made of a time."""
        given = (item for one in self.fired for item in read_search(one.gave).items)
        return any(isinstance(item, Filter) and item.name in {"after", "before"} for item in given)

    def fires(self, rule: str) -> bool:
        """Whether a rule fired."""
        return any(one.rule == rule for one in self.fired)


@dataclass
class _Reading:
    """A question while rules take parts out of it."""

    left: str
    fired: list[Fired] = field(default_factory=list)
    items: list[Item] = field(default_factory=list)

    def take(self, start: int, end: int, rule: str, told: str, gave: Iterable[Item] = ()) -> None:
        items = tuple(gave)
        said = self.left[start:end].strip(" \n,")
        self.left = f"{self.left[:start]}{_TAKEN}{self.left[end:]}"
        self.items += items
        if said:
            self.fired.append(Fired(rule, said, told, written(items)))


def read_question(question: str, *, today: date, known: Known | None = None) -> ReadQuestion:
    """Read a question; raises InvalidInput for one that has no word, or too many characters.

    Of a question in another language than English all words are looked for, and nothing is
    filtered by.
    """
    text = " ".join(question.split())
    _check(text)
    if not looks_english(words(text)):
        told = "no rule fits: all words are looked for"
        return ReadQuestion(text, "open", (_plain(text),), (Fired(AS_IT_IS, text, told),))
    reading = _Reading(_AND_OR.sub("or", _CONTRACTED.sub(r"\1 is", text)))
    if another := SEVERAL.search(reading.left):
        said = reading.left[another.start() :].strip(" ,;.?!\n")
        reading.fired.append(Fired(TWO_QUESTIONS, said, "asks something else"))
    asked = Asked(today, known or NothingKnown())
    if compared := _compared(text, reading, asked):
        return compared
    # First, as what a question begins with may end in a word that a filter begins with: `in`.
    _filter(reading, asked)
    opened = _opened(reading) or _Opened(_kind_of(reading))
    reading.left = _LISTED_OR.sub(" or ", reading.left)
    _take_out(reading)
    kind: Kind = "open" if opened.kind == "comparison" else opened.kind
    searches = (_search(reading.items, reading.left),)
    fired = tuple(reading.fired)
    return ReadQuestion(text, kind, searches, fired, opened.which, opened.asks, opened.asked_for)


def edited(read: ReadQuestion, searches: tuple[str, ...]) -> ReadQuestion:
    """The question with other searches than the rules made; raises InvalidSearch for a bad one."""
    shown = tuple(str(read_search(one)) for one in searches)
    kind: Kind = read.kind
    if len(shown) == 2:
        kind = "comparison"
    elif kind == "comparison":
        kind = "pictures"
    fired = (Fired("edited", " | ".join(read.searches), "replaced by", " | ".join(shown)),)
    return replace(read, kind=kind, searches=shown, fired=(*read.fired, *fired))


@dataclass(frozen=True)
class _Opened:
    kind: Kind
    which: str = ""
    asked_for: str = ""
    asks: str = ""


def _check(text: str) -> None:
    if not words(text):
        raise InvalidInput(
            "the question has no word; ask something, as in: how many dogs are there?"
        )
    if len(text) > MOST_ASKED:
        raise InvalidInput(
            f"the question has {len(text):,} characters, the limit is {MOST_ASKED}; "
            "ask a shorter one"
        )


def _kind_of(reading: _Reading) -> Kind:
    """What does not begin as a question does names what is looked for, or asks openly."""
    named = SAID_ALONE.match(reading.left.strip())
    return "listing" if named or (reading.items and not telling(reading.left)) else "open"


def _opened(reading: _Reading) -> _Opened | None:
    """What kind of question it is by its beginning, which is taken out."""
    start = 0
    if polite := POLITE.match(reading.left):
        reading.take(0, polite.end(), "politeness", "left out")
        start = reading.left.index(_TAKEN) + 1
    for rule in KIND_RULES:
        if found := rule.pattern.match(reading.left, start):
            if not found[0].strip():
                continue
            return _as_opened(reading, rule, found)
    return None


def _as_opened(reading: _Reading, rule: KindRule, found: re.Match[str]) -> _Opened:
    said = found.groupdict()
    asked_for = (said.get("type") or "").strip()
    reading.take(found.start(), found.end(), rule.name, rule.told)
    if stays := asked_for or (said.get("like") or "").strip():
        before, after = reading.left[: found.start()], reading.left[found.start() :]
        reading.left = f"{before} {stays} {after}"
    asks = (said.get("asks") or "").partition(" ")[0].lower()
    return _Opened(rule.kind, (said.get("which") or "").lower(), asked_for.lower(), asks)


def _filter(reading: _Reading, asked: Asked) -> None:
    for rule in FILTER_RULES:
        at = 0
        while found := _fits(rule, reading, at, asked):
            at = found


def _fits(rule: Rule, reading: _Reading, at: int, asked: Asked) -> int:
    """Apply a rule at its first place from `at` on; from where to go on, 0 where there is none."""
    while found := rule.pattern.search(reading.left, at):
        for one in _shorter(rule, found):
            items = rule.gives(one, asked)
            if items and _readable([*reading.items, *items]):
                reading.take(one.start(), one.end(), rule.name, rule.told, items)
                return one.start() + 1
        # Within a name that is none another may begin: `in Lisbon` in `near a car in Lisbon`.
        at = found.start("name") if "name" in found.groupdict() else found.end()
    return 0


def _shorter(rule: Rule, found: re.Match[str]) -> Iterator[re.Match[str]]:
    """The match, and where it ends in a name also those of fewer words, the longest first."""
    yield found
    if "name" not in rule.pattern.groupindex:
        return
    text, end = found.string, found.end()
    while (end := text.rfind(" ", found.start("name"), end)) > 0:
        if shorter := rule.pattern.match(text, found.start(), end):
            yield shorter


def _readable(items: list[Item]) -> bool:
    """Whether the items can be asked together: two that exclude each other cannot."""
    try:
        return read_search(written(items)).items == tuple(items)
    except InvalidSearch:
        return False


def _take_out(reading: _Reading) -> None:
    """Take wordings out that ask for nothing."""
    for pattern in (FILLERS, LOOSE_ENDS):
        at = 0
        while found := pattern.search(reading.left, at):
            reading.take(found.start(), found.end(), "filler", "left out")
            at = found.start() + 1
    if reading.items and words(reading.left) and _POINTING.issuperset(words(reading.left)):
        reading.take(0, len(reading.left), "filler", "left out")


def _compared(text: str, given: _Reading, asked: Asked) -> ReadQuestion | None:
    """A question that compares two; None where it does not, or says only one of them."""
    reading = _Reading(given.left, [*given.fired])
    opened = _opened(reading)
    if opened is None or opened.kind != "comparison":
        return None
    for found in THAN.finditer(reading.left):
        sides = [reading.left[: found.start()], reading.left[found.end() :]]
        if all(map(words, sides)):
            first, last = (_side(side, asked) for side in sides)
            than = Fired("than", found[0].strip(), "both are counted")
            fired = (*reading.fired, *first.fired, than, *last.fired)
            searches = _said_once(first, last)
            return ReadQuestion(text, "comparison", searches, fired, which=opened.which)
    return None


def _side(text: str, asked: Asked) -> _Reading:
    """One of two that are compared; `Lisbon` alone may be a place and `2024` a year, as in both."""
    side, within = _Reading(text), _Reading(f"in {text.strip()}")
    _filter(side, asked)
    _filter(within, asked)
    if not side.items and within.items and not words(within.left):
        side = within
    _take_out(side)
    return side


def _said_once(first: _Reading, last: _Reading) -> tuple[str, str]:
    """The searches of both, with what is said once for both.

    Words are, of `more dogs in Paris than in Lisbon`; and a filter of a kind that one side alone
    names, but not where it is all that this side asks for, as in `more of Lisbon than of dogs`.
    """
    if last.items and not words(last.left):
        last.left = first.left
    for one, other in ((first, last), (last, first)):
        if words(one.left) or not words(other.left):
            named = {item.name for item in other.items if isinstance(item, Filter)}
            filters = [item for item in one.items if isinstance(item, Filter)]
            other.items += [item for item in filters if item.name not in named]
    return _search(first.items, first.left), _search(last.items, last.left)


def _search(items: Iterable[Item], left: str) -> str:
    """The filters and then the words that are left, as they are typed."""
    given = [item for item in items if isinstance(item, Filter | Phrase)]
    others = [item for item in items if not isinstance(item, Filter | Phrase)]
    return " ".join(part for part in (written(given), _plain(left), written(others)) if part)


def _plain(text: str) -> str:
    """The words of a text as a search that is read as words alone; articles at its ends go."""
    kept = [word for part in text.split() for word in _as_words(part)]
    while kept and kept[0].lower() in _BEFORE_NOUNS:
        del kept[0]
    return " ".join(kept)


def _as_words(part: str) -> list[str]:
    """A run of characters as words that the language takes for nothing else."""
    bare = part.strip(_EDGES)
    if _is_word(bare):
        return [bare]
    return [word for word in spelled_words(bare) if _is_word(word)]


def _is_word(text: str) -> bool:
    try:
        return bool(words(text)) and read_search(text).items == (Word(text),)
    except InvalidSearch:
        return False
