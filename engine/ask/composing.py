"""Short answers by rules from captions: no model, and nothing that captions do not have."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from engine.ask.inflection import Others, in_words, stem
from engine.ask.kinds import Kind
from engine.ask.metadata import days_told, place_taken, taken_days
from engine.ask.pieces import Answered, Piece
from engine.ask.prompts import NOT_SAID
from engine.ask.quantities import agreed, colours_said, numbers_said, thing_asked
from engine.ask.rules import ReadQuestion
from engine.ask.told import (
    missing,
    only_empty,
    place_of,
    places_in,
    relations_in,
    says,
    spokesman,
)
from engine.search.language import read_search
from engine.words import words

ENOUGH = 0.25
"""Which share of the captions of pictures that look alike must say something of a picture.

Measured (RESULTS.md): two of eight.
"""

_ENDS = (".", "!", "?", "…", "。", "！", "？", "।", "؟", "۔")
COLOUR_WORDS = frozenset(("colour", "color", "colours", "colors"))

_UNANSWERED = frozenset(("why",))
"""What captions, which say what is seen, do not answer."""

_ANY_KIND = frozenset(
    ("thing", "things", "object", "objects", "kind", "sort", "type", "place", "places")
)
"""Words that say what kind of thing is asked for, and that captions do not repeat."""


def not_said(why: str = "") -> Answered:
    """That the captions do not say it, and why that is known."""
    told = NOT_SAID[0].upper() + NOT_SAID[1:]
    return Answered(f"{told}{f': {why}' if why else ''}.", said=False)


def asked_words(read: ReadQuestion, at: int = 0) -> str:
    """The words that are looked for, without filters and without what merely asks."""
    text = read_search(read.searches[at]).text
    if read.asked_for in _ANY_KIND:
        text = " ".join(one for one in text.split() if one.lower() != read.asked_for)
    return text


def of_pictures(read: ReadQuestion, pieces: Sequence[Piece]) -> Answered:
    """The answer about pictures that were given, from what is said of them."""
    if not pieces:
        return not_said("there are none to answer from")
    if read.kind != "existence" and any(read_search(one).minus for one in read.searches):
        return not_said("the question asks for what is not there")
    return _BY_KIND[read.kind](read, pieces)


def _existence(read: ReadQuestion, pieces: Sequence[Piece]) -> Answered:
    """Yes where captions of a given picture say all of it; `is it so` asks for no other thing."""
    text = asked_words(read)
    unwanted = [term.text for term in read_search(read.searches[0]).minus]
    if only_empty(text) and not unwanted:
        return not_said("the question names nothing to look for")
    against = [one for one in pieces if any(says(term, one.text, read.others) for term in unwanted)]
    having = [one for one in pieces if only_empty(text) or says(text, one.text, read.others)]
    saying = [] if against else having
    for group in _by_subject(pieces):
        said = [piece for piece in group if piece in saying]
        if said and (said[0].own or len(said) >= _enough(group)):
            return Answered(f"Yes: {_quoted(said)}.", said=True, cited=tuple(said))
    if read.fires("yes or no"):
        return not_said(
            f"no caption has {_listed(missing(text, _texts(pieces), read.others)) or text}"
        )
    lead = spokesman(_texts(pieces), complete=pieces[0].own)
    where = "of it" if pieces[0].own else "of pictures like it"
    told = f"No: the captions {where} name other things, as in “{_bare(pieces[lead].text)}”."
    return Answered(told, said=True, cited=(pieces[lead],))


def _things(read: ReadQuestion, pieces: Sequence[Piece]) -> Answered:
    thing = thing_asked(asked_words(read))
    if thing is None:
        return not_said("the question names nothing to count")
    counted: list[tuple[int, list[Piece]]] = []
    named, told = False, False
    for group in _by_subject(pieces):
        numbers = numbers_said(thing, _texts(group))
        named = named or bool(numbers)
        told = told or agreed(numbers) is not None
        number = agreed(numbers)
        if number is not None and (group[0].own or numbers[number] >= _few(group)):
            fitting = [one for one in group if number in numbers_said(thing, [one.text])]
            counted.append((number, fitting))
    if not counted:
        if named:
            why = f"few of them name {thing}" if told else f"they name {thing}, and not how many"
            return not_said(why)
        return _none_named(str(thing), pieces)
    total = sum(number for number, _ in counted)
    cited = tuple(piece for _, fitting in counted for piece in fitting)
    return Answered(f"{in_words(total).capitalize()}.", said=True, cited=cited)


def _none_named(what: str, pieces: Sequence[Piece]) -> Answered:
    told = f"None: no caption names {what}."
    lead = spokesman(_texts(pieces), complete=pieces[0].own)
    return Answered(told, said=True, cited=(pieces[lead],))


def _place(read: ReadQuestion, pieces: Sequence[Piece]) -> Answered:
    text = asked_words(read)
    thing = None if only_empty(text) else thing_asked(text)
    if thing is not None and not numbers_said(thing, _texts(pieces)):
        return not_said(f"none of them names {thing}")
    place, at = place_of(_texts(pieces))
    taken = place_taken(pieces)
    if not (place or taken):
        return not_said("none of them says where")
    told = " ".join(one for one in (place, f"(taken in {taken})" if taken else "") if one)
    cited = tuple(pieces[one] for one in at) or tuple(pieces[:1])
    return Answered(f"{_capital(told)}.", said=True, cited=cited)


def _time(read: ReadQuestion, pieces: Sequence[Piece]) -> Answered:
    text = asked_words(read)
    if lacking := missing(text, _texts(pieces), read.others):
        return not_said(f"none of them has {_listed(lacking)}")
    days = taken_days(pieces)
    if not days:
        return not_said("and the files do not either")
    cited = tuple(piece for _, piece in days)
    return Answered(f"{days_told(days)}.", said=True, cited=cited)


def _comparison(read: ReadQuestion, pieces: Sequence[Piece]) -> Answered:
    sides = [thing_asked(asked_words(read, at)) for at in (0, 1)]
    first, second = sides
    if first is None or second is None:
        return not_said("the question does not name two things")
    texts = _texts(pieces)
    numbers = [numbers_said(side, texts) for side in (first, second)]
    counts = [agreed(one) if one else 0 for one in numbers]
    if counts[0] is None or counts[1] is None or not any(numbers):
        return not_said("they do not count both")
    told = f"{in_words(counts[0])} {first}, {in_words(counts[1])} {second}"
    cited = tuple(
        piece for piece in pieces if any(numbers_said(one, [piece.text]) for one in (first, second))
    )
    return Answered(f"{verdict(read, counts[0], counts[1])}: {told}.", said=True, cited=cited)


def verdict(read: ReadQuestion, first: int, second: int) -> str:
    """Whether the first is what a comparison asks of it; of a question of which, the one."""
    either = any(one.rule == "than" and one.said.lower() == "or" for one in read.fired)
    if (read.fires("compare two") or either) and read.which in {"more", "fewer", "less"}:
        if first == second:
            return "As many of one as of the other"
        more = (first > second) == (read.which == "more")
        which = 0 if more else 1
        return _capital(asked_words(read, which)) or read.searches[which]
    if read.which.startswith("as "):
        return "Yes" if first == second else "No"
    more = first < second if read.which in {"fewer", "less"} else first > second
    return "Yes" if more else "No"


def _open(read: ReadQuestion, pieces: Sequence[Piece]) -> Answered:
    """The caption that has all that is asked for, and speaks for the others."""
    if read.asked_for in COLOUR_WORDS:
        return _colour(read, pieces)
    refused = unanswerable(read, pieces)
    if refused is not None:
        return refused
    text = asked_words(read)
    relations = relations_in(text)
    having = [piece for piece in pieces if not missing(text, [piece.text], read.others)]
    having = [one for one in having if relations <= relations_in(one.text)] or having
    having = having or _together(text, pieces, read.others)
    if not having:
        return not_said("no picture's captions have all that is asked for")
    lead = having[spokesman(_texts(having), complete=having[0].own)]
    return Answered(sentence(_bare(lead.text)), said=True, cited=(lead,))


def _together(text: str, pieces: Sequence[Piece], others: Others) -> list[Piece]:
    """The pieces of pictures whose captions have all words of a text among them."""
    of: dict[str, list[Piece]] = {}
    for piece in pieces:
        of.setdefault(piece.picture, []).append(piece)
    return [
        one for group in of.values() if not missing(text, _texts(group), others) for one in group
    ]


def _colour(read: ReadQuestion, pieces: Sequence[Piece]) -> Answered:
    text = " ".join(one for one in asked_words(read).split() if one.lower() != read.asked_for)
    thing = thing_asked(text)
    colours = colours_said(thing, _texts(pieces)) if thing else Counter[str]()
    if thing is None or not colours:
        return not_said(f"none of them calls {thing or 'it'} a colour")
    ((colour, _),) = colours.most_common(1)
    cited = tuple(piece for piece in pieces if colours_said(thing, [piece.text])[colour])
    return Answered(f"{_capital(colour)}.", said=True, cited=cited)


def unanswerable(read: ReadQuestion, pieces: Sequence[Piece]) -> Answered | None:
    """That captions cannot answer it: they lack a word of the question, or say no reasons."""
    if read.asks in _UNANSWERED:
        return not_said("they tell what is seen, and not why")
    text = asked_words(read)
    lacking = missing(text, _texts(pieces), read.others)
    if lacking:
        return not_said(f"none of them has {_listed(lacking)}")
    relations = relations_in(text)
    if relations and not any(relations & relations_in(one) for one in _texts(pieces)):
        return not_said(f"none of them says what is {min(relations)} it")
    return None


_BY_KIND: dict[Kind, Callable[[ReadQuestion, Sequence[Piece]], Answered]] = {
    "existence": _existence,
    "things": _things,
    "pictures": _existence,
    "listing": _open,
    "place": _place,
    "time": _time,
    "comparison": _comparison,
    "open": _open,
}


def _by_subject(pieces: Sequence[Piece]) -> list[list[Piece]]:
    groups: dict[int | None, list[Piece]] = {}
    for piece in pieces:
        groups.setdefault(piece.subject, []).append(piece)
    return list(groups.values())


def _few(group: Sequence[Piece]) -> float:
    return max(1.0, ENOUGH * len(group))


def _enough(group: Sequence[Piece]) -> float:
    """So many captions of other pictures: one by itself speaks of its own alone."""
    return max(min(2, len(group)), ENOUGH * len(group))


def places_counted(
    pictures: Sequence[tuple[Piece, Sequence[str]]],
) -> list[tuple[str, list[Piece]]]:
    """Where pictures are by their captions, the commonest place first, with the pictures there."""
    found: dict[object, list[Piece]] = {}
    wordings: dict[object, Counter[str]] = {}
    for piece, captions in pictures:
        for place in dict.fromkeys(one for text in captions for one in places_in(text)[-1:]):
            head = stem(words(place)[-1])
            found.setdefault(head, []).append(piece)
            wordings.setdefault(head, Counter())[place] += 1
    ranked = sorted(found.items(), key=lambda item: -len(item[1]))
    return [(wordings[head].most_common(1)[0][0], pieces) for head, pieces in ranked]


def _texts(pieces: Sequence[Piece]) -> list[str]:
    return [piece.text for piece in pieces]


def _quoted(pieces: Sequence[Piece]) -> str:
    return f"“{_bare(pieces[0].text)}”"


def _bare(text: str) -> str:
    return " ".join(text.split()).rstrip(" .")


def sentence(text: str) -> str:
    """The text with a capital, and a full stop where none of any script ends it."""
    return _capital(text) if text.endswith(_ENDS) else f"{_capital(text)}."


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _listed(found: Sequence[str]) -> str:
    return " or ".join(f"“{one}”" for one in found[:3])
