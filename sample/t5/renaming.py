"""Other names for all that captions speak of, so that the T5 reads instead of knowing by heart.

Things change places with things of their kind and places with places, throughout an example:
what agrees still agrees, what is wrong is wrong in the same way, and nothing is familiar.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from random import Random

from sample.world.places import PLACES, Place
from sample.world.scenes import Scene
from sample.world.things import THINGS, Thing, plural, with_article


@dataclass(frozen=True)
class Renaming:
    """Which thing and which place stands for which."""

    things: dict[Thing, Thing]
    places: dict[str, Place]

    @classmethod
    def drawn(cls, rng: Random) -> Renaming:
        """One at random."""
        kinds: dict[str, list[Thing]] = {}
        for thing in THINGS:
            kinds.setdefault(thing.kind, []).append(thing)
        things: dict[Thing, Thing] = {}
        for alike in kinds.values():
            things |= dict(zip(alike, rng.sample(alike, len(alike)), strict=True))
        others = rng.sample(PLACES, len(PLACES))
        return cls(things, {old.name: new for old, new in zip(PLACES, others, strict=True)})

    def scene(self, scene: Scene) -> Scene:
        """The scene with everything renamed."""
        groups = tuple(replace(group, thing=self.things[group.thing]) for group in scene.groups)
        return Scene(groups, self.places[scene.place.name], scene.relation)

    def text(self, text: str) -> str:
        """The caption with everything renamed."""
        return _places().sub(self._other_place, _nouns().sub(self._other_thing, text))

    def _other_thing(self, found: re.Match[str]) -> str:
        thing, of_form = _thing_of_form()[found["noun"].lower()]
        new = of_form(self.things[thing])
        if not found["article"]:
            return f"{found['size'] or ''}{new}"
        words = with_article(f"{found['size'] or ''}{new}")
        return words[0].upper() + words[1:] if found["article"][0] == "A" else words

    def _other_place(self, found: re.Match[str]) -> str:
        place, at = _place_of_phrase()[found[0].lower()]
        return self.places[place].phrases[at]


Form = Callable[[Thing], str]


def _name_at(at: int, many: bool) -> Form:
    def form(thing: Thing) -> str:
        name = thing.names[at % len(thing.names)]
        return plural(name) if many else name

    return form


@cache
def _thing_of_form() -> dict[str, tuple[Thing, Form]]:
    forms: dict[str, tuple[Thing, Form]] = {}
    for thing in THINGS:
        for at, name in enumerate(thing.names):
            forms[plural(name)] = (thing, _name_at(at, True))
            forms[name] = (thing, _name_at(at, False))
    return forms


@cache
def _place_of_phrase() -> dict[str, tuple[str, int]]:
    return {text: (place.name, at) for place in PLACES for at, text in enumerate(place.phrases)}


def _longest_first(words: dict[str, tuple[Thing, Form]] | dict[str, tuple[str, int]]) -> str:
    return "|".join(sorted(map(re.escape, words), key=len, reverse=True))


@cache
def _nouns() -> re.Pattern[str]:
    nouns = _longest_first(_thing_of_form())
    return re.compile(
        rf"\b(?:(?P<article>[Aa]n?) )?(?P<size>(?:big|large|small|little) )?(?P<noun>{nouns})\b"
    )


@cache
def _places() -> re.Pattern[str]:
    return re.compile(rf"\b(?:{_longest_first(_place_of_phrase())})\b")
