"""Answers about a whole collection that its index gives: counts, lists, places, comparisons."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from engine.ask.composing import (
    asked_words,
    not_said,
    places_counted,
    verdict,
)
from engine.ask.counting import Count
from engine.ask.kinds import Kind
from engine.ask.metadata import days_told, place_taken, taken_days
from engine.ask.pieces import Answered, Piece
from engine.ask.rules import ReadQuestion
from engine.ask.told import unlike

_EXAMPLES = 3

SHARES = frozenset(("percentage", "percent", "per cent", "share", "fraction", "proportion"))


def of_collection(read: ReadQuestion, counts: Sequence[Count], pieces: Sequence[Piece]) -> Answered:
    """The answer that counts give; `pieces` are a caption of each picture that is shown."""
    if not any(count.among for count in counts):
        return Answered("No picture satisfies the filters.", said=False, by="index")
    if read.kind == "comparison" and len(counts) == 2:
        return _compared(read, counts, pieces)
    if read.fires("all of them"):
        return _all(counts[0], pieces)
    if read.which in SHARES:
        return _share(counts[0], pieces)
    if read.fires("exists") and not asked_words(read) and not counts[0].by_filters:
        return not_said("it asks whether something is not there; ask whether it is")
    return _BY_KIND.get(read.kind, _counted)(counts[0], pieces)


def _all(count: Count, pieces: Sequence[Piece]) -> Answered:
    """Whether every picture does; captions that say nothing of it do not say that it is not so."""
    if count.said == count.among:
        return Answered(f"Yes: {told(count)}.", said=True, cited=tuple(pieces), by="index")
    text = f"Not by their captions: {told(count)}, of {count.among:,}."
    return Answered(text, said=True, cited=_believed(pieces), by="index")


def _share(count: Count, pieces: Sequence[Piece]) -> Answered:
    answered = _counted(count, pieces)
    share = f"{count.said / count.among:.1%} of {count.among:,} {_pictures(count.among)}"
    return replace(answered, text=f"{share} by what captions say: {_small(answered.text)}")


def _exists(count: Count, pieces: Sequence[Piece]) -> Answered:
    if not count.believed:
        return Answered(f"No: {_nothing(count)}.", said=True, by="index")
    sure = "Yes" if count.said or count.by_filters else "Yes, probably"
    return Answered(f"{sure}: {told(count)}.", said=True, cited=_believed(pieces), by="index")


def _counted(count: Count, pieces: Sequence[Piece]) -> Answered:
    if not count.believed:
        return Answered(f"None: {_nothing(count)}.", said=True, by="index")
    text = f"{told(count)}."
    return Answered(text[:1].upper() + text[1:], said=True, cited=_believed(pieces), by="index")


def _things(count: Count, pieces: Sequence[Piece]) -> Answered:
    """How many pictures: how many things there are on all of them together nobody has counted."""
    answered = _counted(count, pieces)
    if not count.believed:
        return answered
    text = f"{answered.text} How many there are in all of them together is not counted."
    return replace(answered, text=text)


def _what(count: Count, pieces: Sequence[Piece]) -> Answered:
    """What is there: how many pictures, and captions of some that tell different things."""
    captioned = [piece for piece in _believed(pieces) if piece.text]
    if not count.believed or not captioned:
        return not_said(_nothing(count) if not count.believed else "none of these has a caption")
    examples = unlike([piece.text for piece in captioned], _EXAMPLES)
    shown = [captioned[at] for at in examples]
    quoted = ", ".join(f"“{' '.join(piece.text.split()).rstrip(' .')}”" for piece in shown)
    told_of = told(count)
    text = f"{told_of[:1].upper()}{told_of[1:]}, such as {quoted}."
    return Answered(text, said=True, cited=tuple(shown), by="index")


def _compared(read: ReadQuestion, counts: Sequence[Count], pieces: Sequence[Piece]) -> Answered:
    first, second = (count.believed for count in counts)
    fewer = min(counts, key=lambda count: count.believed)
    if fewer.at_least:
        sides = "; ".join(map(told, counts))
        return not_said(f"more look likely than are counted, so that neither can be told: {sides}")
    asked = [asked_words(read, at) for at in range(len(counts))]
    named = asked if all(asked) and len({*asked}) > 1 else list(read.searches)
    sides = "; ".join(
        f"{name or 'all'}: {told(count)}" for name, count in zip(named, counts, strict=True)
    )
    text = f"{verdict(read, first, second)}. {sides}."
    return Answered(text, said=True, cited=_believed(pieces), by="index")


def _places(count: Count, pieces: Sequence[Piece]) -> Answered:
    """Where the captions of the pictures that were found say that they are."""
    if not count.believed:
        return not_said(_nothing(count))
    pieces = _believed(pieces)
    captions = {piece.picture: piece.hit.captions if piece.hit else () for piece in pieces}
    found = places_counted([(piece, captions[piece.picture]) for piece in pieces])
    taken = place_taken(pieces)
    if not found and taken:
        return Answered(f"Most were taken in {taken}.", said=True, cited=tuple(pieces), by="index")
    if not found:
        return not_said("no caption of these pictures has a place")
    place, there = found[0]
    of = len(pieces)
    text = f"{place[:1].upper()}{place[1:]}, in {len(there):,} of {of:,} {_pictures(of)}"
    if of < count.believed:
        text += f" that were looked at, of {count.believed:,}{_nearly(found)}"
    text += f"; most were taken in {taken}." if taken else "."
    return Answered(text, said=True, cited=tuple(there), by="index")


def _nearly(found: Sequence[tuple[str, Sequence[Piece]]]) -> str:
    """The second place of a sample, where chance alone might have made it the first."""
    if len(found) < 2:
        return ""
    (_, first), (place, second) = found[:2]
    by_chance = 2 * (len(first) + len(second)) ** 0.5
    near = len(first) - len(second) < by_chance
    return f"; about as many are {place}" if near else ""


def _times(count: Count, pieces: Sequence[Piece]) -> Answered:
    """When the pictures that were found were taken."""
    if not count.believed:
        return not_said(_nothing(count))
    days = taken_days(_believed(pieces))
    if not days:
        return not_said("no file of these pictures says when it was taken")
    cited = tuple(dict.fromkeys((days[-1][1], days[0][1])))
    tell = "tells" if len(days) == 1 else "tell"
    text = f"{days_told(days)}, as {len(days):,} {_pictures(len(days))} {tell}."
    return Answered(text, said=True, cited=cited, by="index")


_BY_KIND: dict[Kind, Callable[[Count, Sequence[Piece]], Answered]] = {
    "place": _places,
    "time": _times,
    "existence": _exists,
    "things": _things,
    "open": _what,
}


def told(count: Count) -> str:
    """A count in words: what captions say apart from what looks likely."""
    if count.by_filters:
        return f"{count.said:,} {_pictures(count.said)}"
    if count.without:
        have = "has" if count.said == 1 else "have"
        lacking = " and ".join(f"no “{one}”" for one in count.without)
        return f"{count.said:,} {_pictures(count.said)} {have} {lacking} in the captions"
    if not count.likely and not count.at_least:
        has = "has" if count.said == 1 else "have"
        return f"{count.said:,} {_pictures(count.said)} {has} it in the captions"
    say = "says so in its captions" if count.said == 1 else "say so in their captions"
    likely = count.likely or 0
    if not likely:
        return f"{count.said:,} {_pictures(count.said)} {say}; more may look likely"
    look = "looks" if likely == 1 else "look"
    if not count.said:
        return f"{_least(count)}{likely:,} {_pictures(likely)} {look} likely, no caption has it"
    more = f"{_least(count)}{likely:,} more {look} likely"
    return f"{count.said:,} {_pictures(count.said)} {say}; {more}"


def _nothing(count: Count) -> str:
    if count.without:
        return f"every caption has {' or '.join(f'“{one}”' for one in count.without)}"
    lacking = " or ".join(f"“{word}”" for word in count.unknown[:3]) or "it"
    if count.likely is None:
        return f"no caption has {lacking}"
    if count.likely:
        look = "looks" if count.likely == 1 else "look"
        likely = f"{_least(count)}{count.likely:,} {_pictures(count.likely)} {look} likely"
        return f"no caption has {lacking}, though {likely}"
    return f"no caption has {lacking}, and no picture looks likely"


def _least(count: Count) -> str:
    return "at least " if count.at_least else ""


def _small(text: str) -> str:
    return text[:1].lower() + text[1:]


def _pictures(number: int) -> str:
    return "picture" if number == 1 else "pictures"


def _believed(pieces: Sequence[Piece]) -> tuple[Piece, ...]:
    return tuple(piece for piece in pieces if not piece.doubted)
