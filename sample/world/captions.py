"""Captions of scenes, as five people might write them, and the one that is plainest."""

from __future__ import annotations

from random import Random

from sample.world.scenes import ABOVE, LEFT_OF, Group, Scene
from sample.world.things import plural, with_article

CAPTIONS_PER_SCENE = 5
NUMBERS = {1: "a", 2: "two", 3: "three"}

_ONE_GROUP = (
    "{a} {place}.",
    "{a} {place}.",
    "{a} {place}.",
    "{a} {is_} {place}.",
    "{a} {is_} {place}.",
    "there {is_} {a} {place}.",
    "there {is_} {a} {place}.",
    "{a} {verb} {place}.",
    "{a} {verb} {place}.",
    "{a} {is_} {verb} {place}.",
    "{a} {is_} {verb} {place}.",
    "a picture of {a} {place}.",
    "a picture of {a} {place}.",
    "a scene {place} with {a}.",
    "a scene {place} with {a}.",
    "a photo of {a}.",
)
_TWO_GROUPS = (
    "{a} {rel} {b} {place}.",
    "{a} {rel} {b} {place}.",
    "{a} {rel} {b} {place}.",
    "{a} {rel} {b} {place}.",
    "{a} {is_} {rel} {b} {place}.",
    "{a} {is_} {rel} {b} {place}.",
    "{b} {inverse} {a} {place}.",
    "{b} {inverse} {a} {place}.",
    "{a} and {b} {place}.",
    "{a} and {b} {place}.",
    "{a} and {b} are {place}.",
    "{b} and {a} are {place}.",
    "there {is_} {a} {rel} {b} {place}.",
    "there {is_} {a} {rel} {b} {place}.",
    "a picture of {a} and {b} {place}.",
    "a picture of {a} and {b} {place}.",
    "a scene {place} with {a} and {b}.",
    "a scene {place} with {a} and {b}.",
    "{a} with {b}.",
)
_WORDS_THERE = {
    "": ("",),
    LEFT_OF: ("next to", "to the left of", "beside", "near"),
    ABOVE: ("above", "over", "on top of"),
}
_WORDS_BACK = {
    "": ("",),
    LEFT_OF: ("next to", "to the right of", "beside", "near"),
    ABOVE: ("below", "under", "underneath"),
}
_PAIR_WORDS = ("a pair of", "a couple of")
_SIZE_WORDS = {"big": ("big", "large"), "small": ("small", "little")}


def _noun_phrase(group: Group, rng: Random) -> str:
    name = group.thing.name if rng.random() < 0.7 else rng.choice(group.thing.names)
    if group.count > 1:
        pair = group.count == 2 and rng.random() < 0.25
        number = rng.choice(_PAIR_WORDS) if pair else NUMBERS[group.count]
        return f"{number} {plural(name)}"
    sized = group.size and rng.random() < 0.6
    adjective = rng.choice(_SIZE_WORDS[group.size]) if sized else ""
    return with_article(f"{adjective} {name}".strip())


def plain_phrase(group: Group) -> str:
    """The group in the plainest words, without its size: 'a dog', 'two dogs'."""
    if group.count > 1:
        return f"{NUMBERS[group.count]} {plural(group.thing.name)}"
    return with_article(group.thing.name)


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:]


def caption(scene: Scene, rng: Random) -> str:
    """One caption of the scene, its wording drawn at random."""
    first, second = scene.groups[0], scene.groups[-1]
    text = rng.choice(_ONE_GROUP if len(scene.groups) == 1 else _TWO_GROUPS).format(
        a=_noun_phrase(first, rng),
        b=_noun_phrase(second, rng),
        is_="is" if first.count == 1 else "are",
        verb=first.thing.verb,
        rel=rng.choice(_WORDS_THERE[scene.relation]),
        inverse=rng.choice(_WORDS_BACK[scene.relation]),
        place=rng.choice(scene.place.phrases),
    )
    return _sentence(text)


def captions(scene: Scene, seed: int, count: int = CAPTIONS_PER_SCENE) -> list[str]:
    """Different captions of the scene, as several people might have written them."""
    rng = Random(seed)
    texts: dict[str, None] = {}
    while len(texts) < count:
        texts[caption(scene, rng)] = None
    return list(texts)


def plain_caption(scene: Scene) -> str:
    """The one caption that says everything but sizes in the plainest words."""
    there = _WORDS_THERE[scene.relation][0]
    parts = [plain_phrase(scene.groups[0])]
    parts += [there, plain_phrase(scene.groups[1])] if there else []
    return _sentence(" ".join([*parts, scene.place.phrases[0]]) + ".")
