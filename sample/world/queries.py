"""Queries as people write them: a word, a phrase, a whole caption; and which scenes they fit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from random import Random

from sample.world.captions import NUMBERS, caption
from sample.world.places import PLACES, Place
from sample.world.reading import read_caption
from sample.world.scenes import Meaning, Scene
from sample.world.things import THING_OF_NAME, THINGS, Thing, plural, with_article

ANY = 0


@dataclass(frozen=True)
class Wanted:
    """What a text asks of a picture: things, `ANY` or so many of each, and a place or "".

    `only` says that there must be nothing else, as a caption means it and a short query doesn't.
    """

    things: tuple[tuple[str, int], ...]
    place: str = ""
    only: bool = False

    def fits(self, meaning: Meaning) -> bool:
        """Whether a scene of this meaning is what was asked for."""
        held = dict(meaning.things)
        if self.place not in ("", meaning.place) or (self.only and len(held) > len(self.things)):
            return False
        return all(name in held and count in (ANY, held[name]) for name, count in self.things)


@dataclass(frozen=True)
class Query:
    """The text of a query, and what is meant by it."""

    text: str
    wanted: Wanted

    def fits(self, meaning: Meaning) -> bool:
        """Whether a scene of this meaning is an answer to it."""
        return self.wanted.fits(meaning)


def _name(thing: Thing, rng: Random) -> str:
    return thing.name if rng.random() < 0.75 else rng.choice(thing.names)


def uncounted(thing: Thing, count: int, alone: bool, rng: Random) -> str:
    """The thing, however many there are: 'dog', of several 'dogs', of one and `alone` 'a dog'.

    With more said after it 'a dog' would be a caption, which means one dog.
    """
    name = _name(thing, rng)
    if count > 1:
        return rng.choice((name, plural(name)))
    return rng.choice((name, with_article(name))) if alone and count else name


def counted(thing: Thing, count: int, rng: Random) -> str:
    """So many of the thing: 'one dog', 'two dogs', '3 dogs'."""
    name = _name(thing, rng)
    if count == 1:
        return f"{rng.choice(('one', 'a single'))} {name}"
    return f"{rng.choice((NUMBERS[count], NUMBERS[count], str(count)))} {plural(name)}"


def where(place: Place, rng: Random) -> str:
    """The place in a phrase or a word: 'by the sea', 'beach'."""
    return rng.choice((*place.phrases, place.name, place.name))


def _phrase(wanted: tuple[str, int], held: int, alone: bool, rng: Random) -> str:
    name, count = wanted
    thing = THING_OF_NAME[name]
    return counted(thing, count, rng) if count else uncounted(thing, held, alone, rng)


def _wording(wanted: Wanted, held: Mapping[str, int], rng: Random) -> str:
    """What is wanted in words, of a scene that holds so many of each thing."""
    alone = len(wanted.things) == 1 and not wanted.place
    things = [_phrase(one, held.get(one[0], ANY), alone, rng) for one in wanted.things]
    text = rng.choice((" and ", " and ", " with ", " ")).join(things)
    if not wanted.place:
        return text
    place = next(place for place in PLACES if place.name == wanted.place)
    if not things:
        return where(place, rng)
    return f"{text} {rng.choice((*place.phrases, place.name))}"


def short_query(scene: Scene, rng: Random) -> Query:
    """A word or a phrase that fits the scene and leaves some of it unsaid."""
    kind, group = rng.random(), rng.choice(scene.groups)
    count = group.count if rng.random() < 0.3 else ANY
    place = scene.place.name
    if kind < 0.5:
        wanted = Wanted(((group.thing.name, count),))
    elif kind < 0.62:
        wanted = Wanted((), place)
    elif kind < 0.85 or len(scene.groups) == 1:
        wanted = Wanted(((group.thing.name, count),), place)
    else:
        wanted = Wanted(tuple((one.thing.name, ANY) for one in scene.groups))
    return Query(_wording(wanted, dict(scene.meaning.things), rng), wanted)


def caption_query(scene: Scene, rng: Random) -> Query:
    """A whole caption of the scene as the query, with or without its capital and full stop."""
    text = caption(scene, rng)
    said = read_caption(text)
    if rng.random() < 0.5:
        text = text[0].lower() + text[1:].rstrip(".")
    return Query(text, Wanted(tuple(sorted(said.things)), said.place, only=True))


def query_of(scene: Scene, rng: Random, short_share: float = 0.7) -> Query:
    """A query that fits the scene."""
    return (short_query if rng.random() < short_share else caption_query)(scene, rng)


def near_miss(query: Query, rng: Random) -> Query:
    """A query that asks for another thing, another count or another place than this one."""
    wanted = query.wanted
    parts = ["thing"] * bool(wanted.things) + ["place"] * bool(wanted.place)
    parts += ["count"] * any(count for _, count in wanted.things)
    changed = {"thing": _other_thing, "place": _other_place, "count": _other_count}
    other = changed[rng.choice(parts)](wanted, rng)
    held = {name: rng.choice((1, 2)) for name, _ in other.things}
    return Query(_wording(other, held, rng), other)


def _other_thing(wanted: Wanted, rng: Random) -> Wanted:
    at = rng.randrange(len(wanted.things))
    names = [name for name, _ in wanted.things]
    name = rng.choice([thing.name for thing in THINGS if thing.name not in names])
    things = list(wanted.things)
    things[at] = (name, things[at][1])
    return replace(wanted, things=tuple(things))


def _other_place(wanted: Wanted, rng: Random) -> Wanted:
    return replace(wanted, place=rng.choice([p.name for p in PLACES if p.name != wanted.place]))


def _other_count(wanted: Wanted, rng: Random) -> Wanted:
    at = rng.choice([at for at, (_, count) in enumerate(wanted.things) if count])
    things = list(wanted.things)
    name, count = things[at]
    things[at] = (name, rng.choice([n for n in (1, 2, 3) if n != count]))
    return replace(wanted, things=tuple(things))
