"""What the T5 is trained on: scenes, and the captions retrieved for pictures of them.

Imagined retrievals need no CLIP: captions of the scene and of siblings of it, the nearer
the truer. Real ones are what the trained CLIP finds for fresh pictures in a fresh memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

import numpy as np

from sample.t5.prompts import listing, random_prompt
from sample.t5.renaming import Renaming
from sample.t5.retrieval import Array, Clip, nearest, unit, without_repeats
from sample.world.captions import caption, plain_caption
from sample.world.reading import read_caption, things_in_order
from sample.world.render import render
from sample.world.scenes import LEFT_OF, Scene, avoiding, natural_scene, random_scene, sibling
from sample.world.splits import held_out_meanings, memory_captions
from sample.write_pack import as_shipped

_DEPTH = 16
_LISTED = 8
_NOISES = (0.0, 0.0, 0.0, 0.01, 0.015, 0.025)
_RENAMED = 0.25
_COUNTS = (1, 1, 2, 2, 3, 3, 4, 4, 4, 5, 6)


@dataclass(frozen=True)
class Retrieved:
    """A scene and the captions retrieved for its picture, nearest first, without repeats."""

    scene: Scene
    captions: Sequence[str]


def _near_miss(scene: Scene, rng: Random) -> Scene:
    while True:
        other = sibling(scene, rng)
        other = sibling(other, rng) if rng.random() < 0.3 else other
        if other.meaning not in held_out_meanings():
            return other


def imagined(rng: Random, all_true: bool = False) -> Retrieved:
    """A scene with captions as a retrieval might have returned them."""
    draw = natural_scene if rng.random() < 0.5 else random_scene
    scene = avoiding(draw, held_out_meanings())(rng)
    first, last = (1.0, 1.0) if all_true else (rng.uniform(0.6, 1), rng.uniform(0.1, 0.6))
    shares = np.linspace(first, last, _LISTED)
    told = [scene if rng.random() < share else _near_miss(scene, rng) for share in shares]
    return Retrieved(scene, without_repeats(caption(one, rng) for one in told))


def real(clip_folder: Path, count: int, seed: int) -> list[Retrieved]:
    """Retrievals of the trained CLIP for fresh pictures, raw and centred, some made noisy."""
    rng, noise = Random(seed), np.random.default_rng(seed)
    clip = Clip(clip_folder)
    draw = avoiding(natural_scene, held_out_meanings())
    scenes = [draw(rng) for _ in range(count)]
    images = clip.images(as_shipped(render(scene, seed + i)) for i, scene in enumerate(scenes))
    memory = _memory(seed)
    texts = clip.texts(memory)
    spread = noise.choice(_NOISES, (count, 1))
    shaken = images + spread * noise.standard_normal(images.shape)
    noisy = unit(shaken.astype(np.float32))
    found: list[Retrieved] = []
    for queries, database in ((noisy, texts), (_centred(noisy), _centred(texts))):
        found += _search(scenes, queries, database, memory)
    return found


def _memory(seed: int) -> list[str]:
    """A memory that says nothing of held-out meanings.

    Else they would be in the prompts and never be the answer: the T5 would learn to doubt them.
    """
    held_out = held_out_meanings()
    return [text for text in memory_captions(seed=seed) if read_caption(text) not in held_out]


def _centred(rows: Array) -> Array:
    return unit(rows - rows.mean(0))


def _search(
    scenes: Sequence[Scene], queries: Array, database: Array, memory: Sequence[str]
) -> Iterator[Retrieved]:
    for start in range(0, len(scenes), 500):
        order = nearest(queries[start : start + 500], database, _DEPTH)
        for scene, row in zip(scenes[start : start + 500], order, strict=True):
            yield Retrieved(scene, without_repeats(memory[j] for j in row))


def _told_like(scene: Scene, text: str) -> Scene:
    """The scene with things side by side in the order in which the text names them."""
    order = things_in_order(text)
    if scene.relation != LEFT_OF or not order or order[0] != scene.groups[1].thing.name:
        return scene
    return replace(scene, groups=scene.groups[::-1])


def renamed(found: Retrieved, rng: Random) -> Retrieved:
    """The same with everything renamed, mostly; never to a meaning that is held out."""
    while rng.random() < _RENAMED:
        names = Renaming.drawn(rng)
        scene = names.scene(found.scene)
        texts = [names.text(text) for text in found.captions]
        if not held_out_meanings() & {scene.meaning, *map(read_caption, texts)}:
            return Retrieved(scene, texts)
    return found


def example(found: Retrieved, rng: Random) -> tuple[str, str]:
    """A (prompt, answer) pair from what was retrieved."""
    texts = list(found.captions[: rng.choice(_COUNTS)])
    answer = plain_caption(_told_like(found.scene, texts[0]))
    if rng.random() < 0.03:
        texts.reverse()
    return random_prompt(rng).format(captions=listing(texts, rng)), answer
