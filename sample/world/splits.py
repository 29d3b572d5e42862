"""Which scenes are pictured in the pack, which captions fill the memory, and what is held out.

All of it follows from fixed seeds. The scenes of the pack and of the development set all
differ in meaning, and no model is trained on a scene whose meaning is in val, test or dev.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cache
from random import Random

from sample.world.captions import caption, captions
from sample.world.scenes import Meaning, Scene, natural_scene, scenes_of_new_meaning

SPLITS = {"train": 300, "val": 50, "test": 150}
COLLECTIONS = ("plain", "postcards")
DEV_SCENES = 400
MEMORY_SIZE = 18_000
CAPTIONS_PER_MEANING = 5

_PACK_SEED = 7_000_000
_DEV_SEED = 8_000_000
_MEMORY_SEED = 9_000_000
_FRESH_SEED, _FRESH_STRIDE = 1_000_000_000, 100_000


@dataclass(frozen=True)
class Shown:
    """A scene with the seed of its picture and captions."""

    scene: Scene
    seed: int
    split: str

    @property
    def captions(self) -> list[str]:
        """The captions that the pack gives for it."""
        return captions(self.scene, self.seed)


@cache
def pack_scenes() -> dict[str, tuple[Shown, ...]]:
    """The pictured scenes of each collection, train then val then test; no meaning twice."""
    rng = Random(_PACK_SEED)
    taken: set[Meaning] = set()
    parts = [split for split, count in SPLITS.items() for _ in range(count)]
    shown = {}
    for number, name in enumerate(COLLECTIONS):
        first_seed = _PACK_SEED + number * 10_000
        scenes = scenes_of_new_meaning(len(parts), rng, natural_scene, taken)
        shown[name] = tuple(
            Shown(scene, first_seed + at, split)
            for at, (scene, split) in enumerate(zip(scenes, parts, strict=True))
        )
    return shown


@cache
def dev_scenes() -> tuple[Shown, ...]:
    """Scenes to choose settings by: not in the pack, not in training, never called a test."""
    taken = {shown.scene.meaning for part in pack_scenes().values() for shown in part}
    scenes = scenes_of_new_meaning(DEV_SCENES, Random(_DEV_SEED), natural_scene, taken)
    return tuple(Shown(scene, _DEV_SEED + at, "dev") for at, scene in enumerate(scenes))


@cache
def held_out_meanings() -> frozenset[Meaning]:
    """What no model may be trained on: the meanings of val, test and dev scenes."""
    pictured = [shown for part in pack_scenes().values() for shown in part]
    unseen = [shown for shown in pictured if shown.split != "train"]
    return frozenset(shown.scene.meaning for shown in (*unseen, *dev_scenes()))


def fresh_scenes(count: int, seed: int) -> tuple[Shown, ...]:
    """New pictures and captions to measure with: of meanings that stand in val and test alone.

    No meaning comes again before all have come.
    """
    rng = Random(seed)
    unseen = held_out_meanings() - {shown.scene.meaning for shown in dev_scenes()}
    fresh: list[Scene] = []
    left: set[Meaning] = set()
    while len(fresh) < count:
        left = left or set(unseen)
        scene = natural_scene(rng)
        if scene.meaning in left:
            left.remove(scene.meaning)
            fresh.append(scene)
    first = _FRESH_SEED + seed * _FRESH_STRIDE
    return tuple(Shown(scene, first + at, "fresh") for at, scene in enumerate(fresh))


@cache
def _held_out_captions() -> frozenset[str]:
    pictured = [shown for part in pack_scenes().values() for shown in part]
    unseen = [shown for shown in pictured if shown.split != "train"]
    return frozenset(text for shown in (*unseen, *dev_scenes()) for text in shown.captions)


def memory_captions(count: int = MEMORY_SIZE, seed: int = _MEMORY_SEED) -> list[str]:
    """Different captions of natural scenes, a few for each meaning at most.

    None of them stands verbatim among the captions of val, test and dev scenes.
    """
    rng = Random(seed)
    texts: dict[str, None] = {}
    said: Counter[Meaning] = Counter()
    while len(texts) < count:
        scene = natural_scene(rng)
        text = caption(scene, rng)
        if said[scene.meaning] == CAPTIONS_PER_MEANING or text in texts:
            continue
        if text not in _held_out_captions():
            texts[text] = None
            said[scene.meaning] += 1
    return list(texts)
