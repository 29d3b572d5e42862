"""Reading captions: what a sentence says, and whether that is what the scene holds."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from sample.world.places import PLACES
from sample.world.scenes import Meaning
from sample.world.things import THINGS, plural

_COUNT_OF = {"two": 2, "a pair of": 2, "a couple of": 2, "three": 3}


@dataclass(frozen=True)
class Verdict:
    """Which parts of a caption agree with the scene; counts are right only if things are."""

    things: bool
    counts: bool
    place: bool

    @property
    def all(self) -> bool:
        """Nothing is wrong and nothing is missing."""
        return self.things and self.counts and self.place


@cache
def _name_of_form() -> dict[str, str]:
    """Every way to write a thing, singular or plural, to its usual name."""
    forms = {plural(name): thing.name for thing in THINGS for name in thing.names}
    for thing in THINGS:
        for name in thing.names:
            forms.setdefault(name, thing.name)
    return forms


@cache
def _noun_pattern() -> re.Pattern[str]:
    nouns = "|".join(sorted(map(re.escape, _name_of_form()), key=len, reverse=True))
    numbers = "an?|one|two|three|a pair of|a couple of"
    return re.compile(rf"\b(?:({numbers})\s+)?(?:(?:big|large|small|little)\s+)?({nouns})\b")


def things_in_order(text: str) -> list[str]:
    """The things that a caption names, by their usual names, first named first."""
    return [_name_of_form()[noun] for _, noun in _noun_pattern().findall(text.lower())]


def read_caption(text: str) -> Meaning:
    """The things, their counts and the place ("" if unsaid) that a caption speaks of."""
    text = text.lower()
    found = _noun_pattern().findall(text)
    things = frozenset((_name_of_form()[noun], _COUNT_OF.get(number, 1)) for number, noun in found)
    places = [place.name for place in PLACES if any(phrase in text for phrase in place.phrases)]
    return Meaning(things, places[0] if len(places) == 1 else "")


def read_truth(truth: Mapping[str, Any]) -> Meaning:
    """The meaning in the "truth" field of a captions.jsonl row."""
    return Meaning(frozenset(truth["things"].items()), truth["place"])


def check_caption(text: str, truth: Meaning) -> Verdict:
    """Compare what a caption says with what the scene holds."""
    said = read_caption(text)
    return Verdict(
        things=said.names == truth.names,
        counts=said.things == truth.things,
        place=said.place == truth.place,
    )
