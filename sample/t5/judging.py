"""What the T5 learns to judge by: whether a caption fits a query, and which of several does."""

from __future__ import annotations

from random import Random
from string import ascii_uppercase

from engine.rerank.prompts import LISTED, LISTWISE, NO, POINTWISE, YES
from sample.t5.prompts import reworded
from sample.world.captions import caption
from sample.world.queries import Query, near_miss, query_of
from sample.world.reading import read_caption
from sample.world.scenes import Draw, Meaning, Scene, avoiding, natural_scene, random_scene, sibling
from sample.world.splits import held_out_meanings

Pair = tuple[str, str]

OTHER_POINTWISE = (
    "Query: {query}\nCaption: {caption}\nDoes the caption fit the query?",
    "Caption: {caption}\nIs this what is asked for: {query}? Answer yes or no:",
    "Is the caption true of the query? Query: {query} Caption: {caption} Answer:",
)
OTHER_LISTWISE = (
    "{captions}\nQuery: {query}\nThe letter of the caption that fits this query best is:",
    "Query: {query}\nCaptions:\n{captions}\nThe best caption is:",
)
_LISTED = (2, 3, 4, 6, 8, 10, 10, 14, 20)


def any_scene(rng: Random) -> Scene:
    """A scene of the grammar whose meaning is not held out, most often a natural one."""
    draw: Draw = natural_scene if rng.random() < 0.6 else random_scene
    return avoiding(draw, held_out_meanings())(rng)


def _other_caption(scene: Scene, near: float, rng: Random) -> str:
    """A caption of a scene that is like this one (as often as `near` says), or of quite another."""
    other = sibling(scene, rng) if rng.random() < near else any_scene(rng)
    while other.meaning in held_out_meanings():
        other = sibling(scene, rng)
    return caption(other, rng)


def _asked(scene: Scene, near: float, rng: Random) -> Query:
    query = query_of(scene, rng)
    if rng.random() > near / 3:
        return query
    other = near_miss(query, rng)
    meaning = Meaning(frozenset(other.wanted.things), other.wanted.place)
    return query if meaning in held_out_meanings() else other


def pointwise(rng: Random, near: float = 0.75) -> Pair:
    """A caption, a query, and yes or no, each as often."""
    while True:
        scene, fits = any_scene(rng), rng.random() < 0.5
        query = _asked(scene, near, rng)
        other = rng.random() < 0.5
        text = _other_caption(scene, near, rng) if other else caption(scene, rng)
        if query.fits(read_caption(text)) == fits:
            prompt = reworded(POINTWISE, OTHER_POINTWISE, rng)
            return prompt.format(caption=text, query=query.text), YES if fits else NO


def listwise(rng: Random, near: float = 0.75) -> Pair:
    """Some captions by letter, a query, and the letter of one that fits."""
    scene = any_scene(rng)
    query, text = query_of(scene, rng), caption(scene, rng)
    while not query.fits(read_caption(text)):
        text = caption(scene, rng)
    texts = [text, *(_other_caption(scene, near, rng) for _ in range(rng.choice(_LISTED) - 1))]
    rng.shuffle(texts)
    fitting = [at for at, one in enumerate(texts) if query.fits(read_caption(one))]
    lines = (
        LISTED.format(letter=letter, caption=one)
        for letter, one in zip(ascii_uppercase, texts, strict=False)
    )
    prompt = reworded(LISTWISE, OTHER_LISTWISE, rng)
    return (
        prompt.format(query=query.text, captions="\n".join(lines)),
        ascii_uppercase[rng.choice(fitting)],
    )
