"""Scenes of the sample world: which things stand where, and how scenes are drawn at random."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random
from typing import NamedTuple

from sample.world.places import PLACES, Place
from sample.world.things import THINGS, Thing, companions

LEFT_OF, ABOVE = "left of", "above"
RELATIONS = (LEFT_OF, ABOVE)
_PAIR_COUNTS = ((1, 1), (1, 1), (1, 1), (2, 1), (1, 2), (3, 1))


class Meaning(NamedTuple):
    """What a caption must say to be fully right: how many of which thing, and where."""

    things: frozenset[tuple[str, int]]
    place: str

    @property
    def names(self) -> frozenset[str]:
        """The things without their counts."""
        return frozenset(name for name, _ in self.things)


@dataclass(frozen=True)
class Group:
    """Some copies of one thing."""

    thing: Thing
    count: int
    size: str = ""  # "", "big" or "small"; only a lone thing has a size


@dataclass(frozen=True)
class Scene:
    """One or two groups of things in a place; the relation holds from first to second."""

    groups: tuple[Group, ...]
    place: Place
    relation: str = ""  # "" for one group, else "left of" or "above"

    @property
    def meaning(self) -> Meaning:
        """Things, counts and place: without sizes and relation."""
        things = frozenset((group.thing.name, group.count) for group in self.groups)
        return Meaning(things, self.place.name)


Draw = Callable[[Random], Scene]


def _one_kind(rng: Random, place: Place) -> Scene:
    count = rng.choice((1, 1, 2, 3))
    size = rng.choice(("", "", "big", "small")) if count == 1 else ""
    return Scene((Group(rng.choice(THINGS), count, size),), place)


def _two_kinds(rng: Random, place: Place, first: Thing, second: Thing) -> Scene:
    if rng.random() < 0.5:
        first, second = second, first
    counts = rng.choice(_PAIR_COUNTS)
    groups = (Group(first, counts[0]), Group(second, counts[1]))
    return Scene(groups, place, rng.choice(RELATIONS))


def lone_scene(rng: Random) -> Scene:
    """The easiest kind of scene: one thing, of ordinary or big size."""
    group = Group(rng.choice(THINGS), 1, rng.choice(("", "big")))
    return Scene((group,), rng.choice(PLACES))


def random_scene(rng: Random) -> Scene:
    """Any scene of the grammar: 45 % with one kind of thing, 55 % with any two."""
    place = rng.choice(PLACES)
    if rng.random() < 0.45:
        return _one_kind(rng, place)
    first, second = rng.sample(THINGS, 2)
    return _two_kinds(rng, place, first, second)


def natural_scene(rng: Random) -> Scene:
    """A scene whose things keep usual company: 40 % with one kind of thing."""
    place = rng.choice(PLACES)
    if rng.random() < 0.4:
        return _one_kind(rng, place)
    return _two_kinds(rng, place, *rng.choice(companions()))


def _with_count(group: Group, rng: Random) -> Group:
    return Group(group.thing, rng.choice([n for n in (1, 2, 3) if n != group.count]))


def _other_groups(scene: Scene, rng: Random) -> Scene:
    """The scene with one group less or one more."""
    if len(scene.groups) == 2:
        return Scene((rng.choice(scene.groups),), scene.place)
    groups = (replace(scene.groups[0], size=""), Group(rng.choice(THINGS), 1))
    return Scene(groups, scene.place, rng.choice(RELATIONS))


def _changed(scene: Scene, rng: Random) -> Scene:
    groups, at = list(scene.groups), rng.randrange(len(scene.groups))
    kind = rng.random()
    if kind < 0.35:
        groups[at] = _with_count(groups[at], rng)
    elif kind < 0.5:
        return replace(scene, place=rng.choice([p for p in PLACES if p != scene.place]))
    elif kind < 0.75:
        groups[at] = replace(groups[at], thing=rng.choice(THINGS))
    elif kind < 0.9 or len(groups) == 1:
        return _other_groups(scene, rng)
    else:
        return replace(scene, relation=ABOVE if scene.relation == LEFT_OF else LEFT_OF)
    return replace(scene, groups=tuple(groups))


def sibling(scene: Scene, rng: Random) -> Scene:
    """A scene that differs from this one in one count, thing, group, place or relation."""
    while True:
        changed = _changed(scene, rng)
        things = {group.thing for group in changed.groups}
        if changed != scene and len(things) == len(changed.groups):
            return changed


def family(parent: Scene, size: int, rng: Random) -> list[Scene]:
    """The scene and siblings of it, all different: hard negatives for each other."""
    scenes = {parent: None}
    while len(scenes) < size:
        scenes[sibling(parent, rng)] = None
    return list(scenes)


def scenes_of_new_meaning(count: int, rng: Random, draw: Draw, taken: set[Meaning]) -> list[Scene]:
    """Scenes whose meanings differ from one another and from those taken, which then grow."""
    scenes: list[Scene] = []
    while len(scenes) < count:
        scene = draw(rng)
        if scene.meaning not in taken:
            taken.add(scene.meaning)
            scenes.append(scene)
    return scenes


def avoiding(draw: Draw, held_out: frozenset[Meaning]) -> Draw:
    """The same way of drawing scenes, but never one of a held-out meaning."""

    def draw_another(rng: Random) -> Scene:
        while (scene := draw(rng)).meaning in held_out:
            pass
        return scene

    return draw_another
