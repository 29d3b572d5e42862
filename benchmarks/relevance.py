"""Whether what is called likely is right, at any size, and whether what is not there is said so.

    python -m benchmarks.relevance
    python -m benchmarks.relevance --sizes 500 5000 50000 --folder ../shared/reference/clip_vectors

The sample world: new scenes are drawn, rendered and embedded (8 of its 66 things never among
them), and pushed into an index as they are, and with two captions by people each. Searched are one
word, a thing and a place, and whole captions of scenes that are drawn anew, half of these with
things that are not there. A picture is right that holds all that a search says. Their pairs of
caption and picture come from the sample collection `plain`, as from a memory, where they have no
captions. Real vectors: 500 COCO pictures (ViT-B/16); half of the pairs fit the map, of the other
half one part is learned from and the other searched for, and then searched for among all but the
right picture.

Beside it the rule of before, which hid what scores below 95 % of unrelated pairs, and the best
constant: the cosine that, in hindsight, finds most on these very searches (F1). Rendering needs
fonts-noto-color-emoji and takes 3 ms a picture; --cache keeps what came of it.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice, product
from pathlib import Path
from random import Random
from time import perf_counter

import numpy as np

from benchmarks.default_space import fill
from benchmarks.real_vectors import FOLDER
from benchmarks.relevance_scores import (
    Flags,
    Reliability,
    Score,
    Values,
    at_least,
    best_constant,
    print_tables,
    unlike,
)
from engine.alignment.alignment import Alignment
from engine.alignment.hubs import Bank
from engine.alignment.moments import PairMoments
from engine.app import Collection, build_engine
from engine.collection import CollectionFolder
from engine.identity import content_key
from engine.search.gallery import Gallery, Query
from engine.search.likelihood import Background
from engine.search.relevance import LIKELY, Relevance
from engine.search.relevance_sample import PICTURES, Sample, take_sample
from engine.settings import Settings
from engine.store import caption_id, open_caption_store, open_image_store, picture_id
from engine.types import CaptionPoint, Encoder, ImagePoint, SearchSpace, Vectors
from sample.world.captions import caption, captions
from sample.world.places import PLACES
from sample.world.reading import read_caption
from sample.world.render import render
from sample.world.scenes import Meaning, Scene, natural_scene
from sample.world.things import THINGS

SEED, DRAWN = 50_000_000, 424_242
"""Of pictures and captions, and of scenes."""

ABSENT = frozenset(
    ("violin", "penguin", "pizza", "helicopter", "cactus", "tulip", "sheep", "camera")
)
LOOKED_AT = 64
"""Of so many pictures that a search finds first the chances are held against what is right."""

_BATCH = 64


@dataclass(frozen=True)
class Asked:
    """A search, and which things and place a right picture holds; a count of 0 is any."""

    kind: str
    text: str
    wanted: Meaning


class World:
    """Which pictures hold what."""

    def __init__(self, drawn: Sequence[Scene]) -> None:
        self.places = np.array([one.place.name for one in drawn])
        self._holding: dict[tuple[str, int], list[int]] = {}
        for row, scene in enumerate(drawn):
            for group in scene.groups:
                for count in (0, group.count):
                    self._holding.setdefault((group.thing.name, count), []).append(row)

    def right(self, wanted: Meaning) -> Flags:
        """The pictures that hold all that is wanted, (n,)."""
        found = np.ones(len(self.places), np.bool_)
        for thing in wanted.things:
            holding = np.zeros(len(found), np.bool_)
            holding[self._holding.get(thing, [])] = True
            found &= holding
        return found & (self.places == wanted.place) if wanted.place else found


def scenes(count: int, seed: int, *, absent: bool) -> Iterator[Scene]:
    """Natural scenes with one of the absent things, or without."""
    rng = Random(seed)
    while count:
        scene = natural_scene(rng)
        if any(group.thing.name in ABSENT for group in scene.groups) == absent:
            count -= 1
            yield scene


def embedded(count: int, encoder: Encoder, cache: Path | None) -> tuple[list[Scene], Vectors]:
    """That many pictures of the world, and the raw vectors of them."""
    drawn = list(scenes(count, DRAWN, absent=False))
    kept = cache and cache / f"{encoder.id}-{count}.npy"
    if kept and kept.is_file():
        return drawn, np.asarray(np.load(kept), np.float32)
    rows = []
    for start in range(0, count, _BATCH):
        part = range(start, min(start + _BATCH, count))
        rows.append(encoder.encode_images([render(drawn[at], SEED + at) for at in part]))
    vectors = np.concatenate(rows)
    if kept:
        np.save(kept, vectors)
    return drawn, vectors


def searches(each: int) -> list[Asked]:
    """The labelled searches."""
    rng = Random(5)
    found = [Asked("one word", one.name, _holds((one.name, 0))) for one in THINGS]
    for _ in range(each // 2):
        thing, place = rng.choice(THINGS).name, rng.choice(PLACES)
        wanted = Meaning(frozenset(((thing, 0),)), place.name)
        found.append(Asked("thing and place", f"{thing} {place.phrases[0]}", wanted))
    for absent in (False, True):
        for scene in scenes(each, SEED - 1 - absent, absent=absent):
            text = caption(scene, rng)
            found.append(Asked("caption", text, read_caption(text)))
    return found


def _holds(*things: tuple[str, int]) -> Meaning:
    return Meaning(frozenset(things), "")


def sample_world(
    plain: Collection, sizes: Sequence[int], cache: Path | None, each: int, space: SearchSpace
) -> Iterator[str]:
    """The rows of the sample world's tables."""
    drawn, vectors = embedded(max(sizes), plain.encoder, cache)
    asked = searches(each)
    for size in sizes:
        for captioned in (False, True):
            with tempfile.TemporaryDirectory() as home, ExitStack() as stack:
                told = "two captions each" if captioned else "no captions"
                started = perf_counter()
                gallery = _index(
                    plain, drawn[:size], vectors[:size], Path(home), stack, captioned=captioned
                )
                named = f"{size:,} | {told}"
                yield from _look(named, gallery, plain, drawn[:size], vectors[:size], asked, space)
                print(f"({size:,}, {told}: {perf_counter() - started:.0f} s)", flush=True)


def _index(
    plain: Collection,
    drawn: Sequence[Scene],
    vectors: Vectors,
    home: Path,
    stack: ExitStack,
    *,
    captioned: bool,
) -> Gallery:
    """A collection of these pictures."""
    folder, settings = CollectionFolder(home, "world"), Settings(home=home)
    images = stack.enter_context(open_image_store(folder, plain.card, settings, create=True))
    stored = stack.enter_context(open_caption_store(folder, plain.card, settings, create=True))
    mapped = plain.alignment.map_images(vectors)
    said = [tuple(captions(one, SEED + at, 2)) for at, one in enumerate(drawn)]
    shas = [f"{at:064x}" for at in range(len(drawn))]
    hubs = plain.alignment.hubs
    near = hubs.of_pictures(mapped) if hubs else None
    images.upsert(
        [
            ImagePoint(
                picture_id(sha), sha, str(at), sha, 1, 1, vectors[at], mapped[at], None,
                said[at] if captioned else (),
                hub=None if near is None else float(near[at]),
            )
            for at, sha in enumerate(shas)
        ]
    )  # fmt: skip
    if captioned:  # those that the sample looks up
        place = {picture_id(sha): at for at, sha in enumerate(shas)}
        rows = [(place[key], text) for key in islice(images.ids(), PICTURES)
                for text in said[place[key]]]  # fmt: skip
        texts = plain.encoder.encode_texts([text for _, text in rows])
        stored.upsert(
            [
                CaptionPoint(
                    caption_id(content_key(shas[at]), text, "human"), text, raw, raw,
                    content_key(shas[at]),
                )
                for (at, text), raw in zip(rows, texts, strict=True)
            ]
        )  # fmt: skip
    sample = take_sample(images, [stored, plain.captions], plain.card.dim)
    relevance = Relevance(plain.alignment, sample, plain.relevance)
    return Gallery(plain.encoder, plain.alignment, images, lambda: relevance)


def _look(
    named: str,
    gallery: Gallery,
    plain: Collection,
    drawn: Sequence[Scene],
    vectors: Vectors,
    asked: Sequence[Asked],
    space: SearchSpace,
) -> Iterator[str]:
    """Search, and count what each rule shows."""
    world, reliability = World(drawn), Reliability()
    mapped = plain.alignment.map_images(vectors)
    found: list[tuple[Asked, Values, Flags, Flags]] = []
    for one in asked:
        right = world.right(one.wanted)
        result = gallery.search(Query(one.text), space, LOOKED_AT)
        chances = np.array([hit.chance for hit in result.hits], np.float64)
        reliability.add(chances, right[[int(hit.uri) for hit in result.hits]])
        likely = np.zeros(len(drawn), np.bool_)
        alone = gallery.search(Query(one.text), space, max(1, result.likely or 0), likely=True)
        likely[[int(hit.uri) for hit in alone.hits]] = True
        query = plain.alignment.map_texts(plain.encoder.encode_texts([one.text]))
        scores = (query @ mapped.T)[0].astype(np.float64)
        found.append((one, scores, right, likely))
    texts = plain.alignment.map_texts(plain.relevance.sample.texts)
    old = unlike(np.asarray(texts @ mapped[:256].T, np.float64))
    for kind in dict.fromkeys(one.kind for one in asked):
        rows = [row for row in found if row[0].kind == kind]
        constant = best_constant([row[1] for row in rows], [row[2] for row in rows])
        rules: dict[str, Callable[[Values, Flags], Flags]] = {
            "95 % of unrelated": partial(at_least, old),
            "best constant": partial(at_least, constant),
            "**likely**": lambda _, likely: likely,
        }
        for name, rule in rules.items():
            score = Score()
            for _, scores, right, likely in rows:
                score.add(rule(scores, likely), right)
            yield f"| {named} | {kind} | {name} | {score.cells()} |"
    yield f"@| {named} | {reliability.cells()} |"


def real_vectors(
    folder: Path, method: str, hub_strength: float = 0.0, seeds: int = 2
) -> Iterator[str]:
    """Rows of 500 COCO pictures: half fit the map, a quarter is learned from, a quarter sought.

    The half that fits the map is also the bank of the hub correction.
    """
    images, texts = (np.load(folder / f"{name}_features.npy") for name in ("image", "text"))
    old, new, reliability = Score(), Score(), Reliability()
    seen: list[tuple[Values, Flags]] = []
    for seed in range(seeds):
        order = np.random.default_rng(seed).permutation(len(images))
        fitting, rest = np.array_split(order, 2)
        moments = PairMoments(images.shape[1])
        moments.update(images[fitting], texts[fitting])
        numbers = fitting.astype(np.uint64) + 1
        halves_of = [rows[fitting].astype(np.float16) for rows in (images, texts)]
        bank = Bank(halves_of[0], numbers, halves_of[1], numbers)
        fitted = Alignment.fit(moments, method)
        alignment = replace(fitted, hub_strength=hub_strength, bank=bank)
        halves = np.array_split(np.arange(len(rest)), 2)
        for learned, sought in (halves, halves[::-1]):
            pairs = np.stack([np.arange(len(learned)), learned], axis=1).astype(np.uint64)
            sample = Sample(
                images[rest], texts[rest[learned]], pairs, pairs, rest.astype(np.uint64) + 1
            )
            relevance = Relevance(alignment, sample)
            queries = alignment.map_texts(texts[rest[sought]])
            least = unlike(relevance.scores(queries, hub_strength))
            for query, own in zip(queries, sought, strict=True):
                judge = relevance.judge(query, "words", len(rest), hub_strength)
                scores = relevance.scores(query[None], hub_strength)[0]
                right = np.arange(len(rest)) == own
                if judge is None:
                    raise RuntimeError("too few pairs")
                for kept in (np.ones(len(rest), np.bool_), ~right):
                    background = Background.of(scores[None, kept])
                    one = replace(judge, background=background, count=int(kept.sum()))
                    chances, hits = one.chances(scores[kept]), right[kept]
                    reliability.add(chances, hits)
                    new.add(chances >= LIKELY, hits)
                    old.add(scores[kept] >= least, hits)
                    seen.append((scores[kept], hits))
    constant = best_constant([one[0] for one in seen], [one[1] for one in seen])
    best = Score()
    for scores, hits in seen:
        best.add(scores >= constant, hits)
    named = f"{method}, hubs {hub_strength:g}" if hub_strength else method
    for name, score in (("95 % of unrelated", old), ("best constant", best), ("**likely**", new)):
        yield f"| 250 COCO | {named} | caption | {name} | {score.cells()} |"
    yield f"@| 250 COCO | {named} | {reliability.cells()} |"


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--sizes", type=int, nargs="*", default=[500, 5_000, 50_000])
    parser.add_argument("--searches", type=int, default=80, help="captions of each kind")
    parser.add_argument("--cache", type=Path, help="folder that keeps the embedded pictures")
    parser.add_argument("--home", type=Path, help="home that has the samples, or gets them")
    parser.add_argument("--space", default="mapped", choices=("mapped", "fused"))
    parser.add_argument("--folder", type=Path, default=FOLDER, help="of real vectors")
    asked = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    rows: list[str] = []
    if (asked.folder / "image_features.npy").is_file():
        for method, hub_strength in product(("raw", "centred", "shrink"), (0.0, 0.5)):
            rows += real_vectors(asked.folder, method, hub_strength)
    if asked.sizes:
        with ExitStack() as stack:
            home = asked.home or Path(stack.enter_context(tempfile.TemporaryDirectory()))
            engine = build_engine(Settings(home=home, profile="sample", device="cpu"))
            stack.callback(engine.close)
            if "plain" not in engine.names():
                fill(engine)
            plain = engine.open("plain")
            rows += sample_world(plain, asked.sizes, asked.cache, asked.searches, asked.space)
    print_tables(rows)


if __name__ == "__main__":
    main()
