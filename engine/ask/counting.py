"""Counts pictures over a whole collection by its index: nothing is guessed by a model.

Exact is what captions and filters decide: pictures all of whose asked words stand in their
captions, in the singular or the plural, a number right before what it counts. What meaning decides
is the calibrated verdict of the search (`engine.search.verdict`), told apart from the former.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, product

from engine.ask.denials import DENIALS, denies
from engine.ask.inflection import (
    NO_OTHERS,
    Others,
    all_forms,
    forms,
    is_empty,
    number_of,
    numerals,
)
from engine.ask.quantities import Thing, says_otherwise, things_in
from engine.errors import InvalidInput
from engine.search.gallery import Gallery, Query
from engine.search.language import Search
from engine.store.paging import RANKED
from engine.types import Filters, ImageHit
from engine.words import words

_MOST_WAYS = 256
"""So many ways to write what is asked for are looked up; of more, words as they are asked alone."""

_SHOWN = 50
_WHERE = "(?:on|in|at|by|under|near|behind|above|below)"
_PLACED = re.compile(rf"(?<!\S){_WHERE}(?: \S+){{1,3}}$")
_SOMEWHERE = re.compile(rf"{_WHERE} ")
_EITHER = re.compile(r"(?i)(?<!\S)or(?!\S)(?! (?:more|fewer|less)\b)")


@dataclass(frozen=True)
class Count:
    """How many pictures there are of what a search asks for.

    `said` have it in their captions, exactly; `likely` more look likely by meaning, None where that
    cannot be told, or nothing is looked for by meaning. `among` satisfy the filters, exactly.
    `hits` are some of them, those that say so first; `by_filters`: filters alone were asked for.
    `doubted` of those that look likely have captions that people wrote, and that do not say it.
    `at_least`: more may look likely than were ranked. Of `undescribed` there is no caption to say
    it. `unknown` are words of it that stand in no caption of the whole collection. `without`:
    nothing is looked for but what these texts leave out.
    """

    said: int
    likely: int | None
    among: int
    hits: tuple[ImageHit, ...]
    by_filters: bool = False
    doubted: int = 0
    at_least: bool = False
    undescribed: int = 0
    unknown: tuple[str, ...] = ()
    without: tuple[str, ...] = ()

    @property
    def believed(self) -> int:
        """Those that say so, and those that look likely and that nobody described otherwise.

        What people wrote decides: of pictures of the samples that look likely against it, 2 of 18
        were right (`benchmarks.ask`, see RESULTS.md).
        """
        return self.said + (self.likely or 0) - self.doubted


class PictureCounter:
    """Counts the pictures of a gallery."""

    def __init__(self, gallery: Gallery) -> None:
        self._gallery, self._images = gallery, gallery.store

    def count(
        self,
        search: Search,
        filters: Filters,
        shown: int = _SHOWN,
        others: Others = NO_OTHERS,
    ) -> Count:
        """Count what a search asks for among what satisfies the filters, its own spelled out.

        `others` are what captions say in place of its words.
        """
        among = self._images.count(filters)
        if not search.asks:
            hits = tuple(self._images.browse(filters, k=shown)) if among else ()
            return Count(among, None, among, hits, by_filters=True)
        if not among:
            return Count(0, None, 0, ())
        said = self._said(search, filters, others)
        likely, at_least = self._likely(search, filters)
        more = None if likely is None else _beside(likely, said, required(search.text, others))
        hits = self._shown(said, likely or (), shown)
        hits += tuple(more or ())[: shown - len(hits)]
        return Count(
            len(said),
            None if more is None else len(more),
            among,
            hits,
            doubted=sum(map(described, more or ())),
            at_least=at_least,
            without=_without(search),
            undescribed=self._images.count(replace(filters, has_caption=False)),
            unknown=() if said else self._unknown(search, others),
        )

    def _unknown(self, search: Search, others: Others) -> tuple[str, ...]:
        """The words that are looked for and that no caption of any picture has."""
        wanted = " ".join((search.text, *(term.text for term in search.plus)))
        bounds = {word for thing in things_in(wanted) for word in thing.bound.split()}
        sought = dict.fromkeys(
            word
            for word in words(wanted)
            if not (is_empty(word) or word in bounds) and number_of(word) is None
        )
        nowhere = Filters()
        return tuple(
            word
            for word in sought
            if not any(self._stands(one, nowhere) for one in all_forms(word, others))
        )

    def _said(self, search: Search, filters: Filters, others: Others) -> set[str]:
        """The pictures whose captions have all words that are asked for, and no unwanted ones."""
        wanted = " ".join((search.text, *(term.text for term in search.plus)))
        found = self._saying(wanted, filters, others) if words(wanted) else set()
        if search.likes or (not words(wanted) and not search.minus):
            return set()
        if not words(wanted):
            found = set(self._images.ids(filters))
        for term in search.minus:
            found -= self._saying(term.text, filters, others)
        return found

    def _saying(self, text: str, filters: Filters, others: Others) -> set[str]:
        """The pictures that have all words of the text, and none of them as in `no dogs` alone."""
        found = set(self._having(text, filters, others))
        wanted = required(text, others) if found else []
        plain = [form for offered in wanted for form in offered if " " not in form]
        denying = (f"{no} {form}" for form in plain for no in DENIALS)
        doubtful = {
            key
            for phrase in denying
            for key in self._images.ids(replace(filters, phrases=(*filters.phrases, phrase)))
        }
        hits = self._images.get(sorted(found & doubtful))
        return found - {hit.id for hit in hits if denies(hit.captions, wanted)}

    def _having(self, text: str, filters: Filters, others: Others) -> Iterator[str]:
        for phrases in self._ways(text, filters, others):
            yield from self._images.ids(replace(filters, phrases=(*filters.phrases, *phrases)))

    def _ways(self, text: str, filters: Filters, others: Others) -> list[tuple[str, ...]]:
        """All ways in which captions may have what the text says, each as phrases to be found."""
        offering = required(text, others)
        lasts = {one.rpartition(" ")[2] for offered in offering for one in offered}
        there = {last for last in lasts if self._stands(last, filters)}
        wanted = [
            [
                one
                for one in offered
                if one.rpartition(" ")[2] in there and (one in there or self._stands(one, filters))
            ]
            for offered in offering
        ]
        ways = 1
        for offered in wanted:
            ways *= len(offered)
        if ways > _MOST_WAYS:
            wanted = [offered[:1] for offered in wanted]
        return list(product(*wanted)) if wanted else []

    def _stands(self, phrase: str, filters: Filters) -> bool:
        phrases = (*filters.phrases, phrase)
        return self._images.count(replace(filters, phrases=phrases)) > 0

    def _likely(self, search: Search, filters: Filters) -> tuple[list[ImageHit] | None, bool]:
        """The pictures that are likely, but those whose captions count what is asked otherwise.

        And whether there may be more than were ranked. None where it cannot be told which are.
        """
        if not (search.text or search.plus or search.likes):
            return None, False
        things = things_in(search.text)
        try:
            found = self._gallery.search(
                Query.of(search), "mapped", RANKED, filters=filters, every_copy=True, likely=True
            )
        except InvalidInput:
            return None, False
        likely = [hit for hit in found.hits if not _otherwise(hit, things)]
        return likely, len(found.hits) >= RANKED

    def _shown(
        self, said: set[str], likely: Sequence[ImageHit], count: int
    ) -> tuple[ImageHit, ...]:
        """Pictures that say so, those that look likely, too, before the others."""
        first = [hit for hit in likely if hit.id in said][:count]
        known = {hit.id for hit in first}
        rest = sorted(said - known)[: count - len(first)]
        return (*first, *self._images.get(rest))


def _beside(
    likely: Iterable[ImageHit], said: set[str], wanted: Sequence[tuple[str, ...]]
) -> list[ImageHit]:
    """Those that only look likely, and whose captions do not say that it is not there."""
    return [hit for hit in likely if hit.id not in said and not denies(hit.captions, wanted)]


def _without(search: Search) -> tuple[str, ...]:
    """What a search leaves out, where it looks for nothing else."""
    if search.text or search.plus or search.likes:
        return ()
    return tuple(term.text for term in search.minus)


def described(hit: ImageHit) -> bool:
    """Whether people wrote the captions of a picture."""
    return bool(hit.captions) and hit.payload["source"] == "human"


def required(text: str, others: Others = NO_OTHERS) -> list[tuple[str, ...]]:
    """What must stand in captions: for each thing that is asked for the phrases that would do.

    A number is one phrase with what it counts; every other word, but those that say nothing, is
    looked for by itself, in the singular and the plural, or one of its `others`.
    """
    parts = [tuple(words(part)) for part in _EITHER.split(text) if words(part)]
    if len(parts) < 2:
        return _required(text, others)
    sides = [" ".join(part) for part in parts]
    if either := _in_places(sides, others):
        return either
    if any(map(_PLACED.search, sides[:-1])):
        return _one_of(sides, others)  # `a dog on the grass or a cat`
    # Of `dogs or fire trucks on a beach` either will do, and a beach.
    before, first = _parted(parts[0][::-1])
    after, last = _parted(parts[-1])
    between = [_parted(part)[1] for part in parts[1:-1]]
    offered = [one for run in (first[::-1], *between, last) for one in _alternative(run, others)]
    rests = (rest for rest in (before[::-1], after) if not all(map(is_empty, rest)))
    required_too = [one for rest in rests for one in _required(" ".join(rest), others)]
    return [*required_too, tuple(dict.fromkeys(offered))]


def _in_places(sides: Sequence[str], others: Others) -> list[tuple[str, ...]]:
    """Of `a dog on the grass or in the snow` the dog, and one of the places; else nothing."""
    last = len(sides)
    while last > 1 and _SOMEWHERE.match(sides[last - 1]):
        last -= 1
    place = _PLACED.search(sides[last - 1])
    if last == len(sides) or place is None:
        return []
    things = " or ".join((*sides[: last - 1], sides[last - 1][: place.start()]))
    there = _one_of((place[0], *sides[last:]), others)
    return [*required(things, others), *there] if words(things) else there


def _one_of(sides: Sequence[str], others: Others) -> list[tuple[str, ...]]:
    """All of one side, or of another; said as what must stand."""
    required_of = (_required(side, others) for side in sides)
    return [tuple(dict.fromkeys(chain(*each))) for each in product(*required_of)]


def _parted(said: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What is behind the first run of words that say something, and the run."""
    start = next((at for at, word in enumerate(said) if not is_empty(word)), len(said))
    end = next((at for at in range(start, len(said)) if is_empty(said[at])), len(said))
    return said[end:], said[start:end]


def _alternative(run: tuple[str, ...], others: Others) -> tuple[str, ...]:
    """The phrases that one of several things may stand in a caption as."""
    if things := things_in(" ".join(run)):
        return _counted(things[-1])
    *like, noun = run or ("",)
    offered = forms(noun) if like else all_forms(noun, others)
    return tuple(" ".join((*like, form)) for form in offered if form)


def _required(text: str, others: Others) -> list[tuple[str, ...]]:
    counted = things_in(text)
    left = list(words(text))
    found = []
    for thing in counted:
        found.append(_counted(thing))
        for word in (*thing.like, thing.noun):
            if word in left:
                left.remove(word)
    numbers = {
        one for thing in counted for way in numerals(thing.number or 0) for one in way.split()
    }
    numbers |= {one for thing in counted for one in thing.bound.split()}
    alone = [word for word in dict.fromkeys(left) if not is_empty(word)]
    alone = [word for word in alone if word not in numbers and word not in {"pair", "couple"}]
    if not (found or alone):  # nothing but words such as `the`: they are all that is asked for
        alone = list(dict.fromkeys(left))
    return [*found, *(all_forms(word, others) for word in alone)]


def _counted(thing: Thing) -> tuple[str, ...]:
    like = " ".join((*thing.like, ""))
    return tuple(
        f"{numeral} {like}{noun}"
        for noun in forms(thing.noun)
        for number in sorted(thing.numbers)
        for numeral in numerals(number)
    )


def _otherwise(hit: ImageHit, things: Sequence[Thing]) -> bool:
    return bool(things and hit.captions) and says_otherwise(things, hit.captions)
