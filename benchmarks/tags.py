"""How well pictures get labels: without examples, and from 1 to 16 of them, raw beside mapped.

    python -m benchmarks.tags
    python -m benchmarks.tags --templates

Prints the tables of RESULTS.md, as they stand there, once all is measured. With `--templates` what
is said around a label is compared: on scenes to choose by, and on those that all else is told of.

The sample world: new scenes are drawn that share no meaning with a scene of the pack, rendered in
both looks, and tagged by the taggers of the two sample collections, with their captions and
without any. 66 things are given as many to a picture as fit, 6 places as one. Examples are other
new scenes. Rendering needs fonts-noto-color-emoji.

Real vectors: 500 COCO pictures and a caption of each (ViT-B/16), five folds. A picture has those of
COCO's 80 categories that one of its five captions names, by the category's name or a plain word
for it. The encoder is not here, so no prompt can be embedded: TRUE ZERO-SHOT CANNOT BE RUN. In its
place stands what is taken from the captions of the other folds that name a category, which is also
what the program does beside prompts. Categories with eight such captions or more are looked at.

Intervals: the bootstrap over pictures, 95 %.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.coco_labels import CATEGORIES, named_in
from benchmarks.default_space import fill
from benchmarks.real_vectors import FOLDER, read_rows
from engine.alignment.alignment import Alignment
from engine.alignment.moments import PairMoments
from engine.app import Collection, Engine, build_engine
from engine.settings import Settings
from engine.tags.directions import mean_precision
from engine.tags.labels import Label, label_of
from engine.tags.making import Examples, Known, known_of, make_tagger
from engine.tags.tagger import LEAST, Tagger
from engine.tags.zero_shot import TEMPLATES
from engine.types import CaptionHit, Encoder, Vectors
from engine.vectors import unit
from evaluation.metrics.intervals import bootstrap, interval, resampled_sums
from sample.world.places import PLACES
from sample.world.render import postcard, render
from sample.world.scenes import Scene, natural_scene
from sample.world.splits import held_out_meanings, pack_scenes
from sample.world.things import THINGS

SEED, DRAWN, TESTED = 61_000_000, 616_161, 600
CHOSEN_BY = 717_171
"""Draws the scenes that templates are chosen by."""

SHOTS = (1, 2, 4, 8, 16)
FOLDS, ENOUGH_CAPTIONS = 5, 8
LEASTS = (0.2, 0.3, 0.5)

Row = tuple[str, Sequence[str]]
"""The table that a row belongs to, and its cells."""

TABLES = {
    "many": ("pictures", "what is known", "mAP", "F1", "precision / recall", "exact"),
    "leasts": ("pictures", "from which chance on", "F1", "precision / recall"),
    "one": ("pictures", "what is known", "right", "none"),
    "reliability": (
        "pictures", "what is known", "to .1", "to .3", "to .5", "to .7", "to .9", "above",
    ),
    "templates": ("scenes", "pictures", "templates", "mAP of things", "places right", "none"),
    "labels": ("pictures", "labels looked at"),
}  # fmt: skip

Flags = NDArray[np.bool_]
Values = NDArray[np.float64]

THING_LABELS = tuple(label_of(one.name, one.names) for one in THINGS)
PLACE_LABELS = tuple(label_of(one.name, (one.name, *one.phrases)) for one in PLACES)

OTHER_TEMPLATES = {
    "the name alone": ("{}",),
    "a photo of a": ("a photo of {a}.",),
    "photo, picture, scene": TEMPLATES,
    "one, two, three": ("{a}.", "two {many}.", "three {many}."),
    "photo, picture, scene, the name alone": (*TEMPLATES, "{}"),
    "all six": (*TEMPLATES, "{a}.", "two {many}.", "three {many}."),
}


@dataclass(frozen=True)
class World:
    """New pictures in both looks, raw, and what is on them."""

    scenes: Sequence[Scene]
    vectors: dict[str, Vectors]

    def things(self) -> Flags:
        """Which thing is on which picture."""
        names = [{group.thing.name for group in one.groups} for one in self.scenes]
        return np.array([[thing.name in has for thing in THINGS] for has in names])

    def places(self) -> NDArray[np.int64]:
        """In which place each picture is."""
        order = [one.name for one in PLACES]
        return np.array([order.index(one.place.name) for one in self.scenes])

    def take(self, rows: Sequence[int] | slice) -> World:
        """Some of the pictures."""
        at = np.arange(len(self.scenes))[rows]
        chosen = {name: vectors[at] for name, vectors in self.vectors.items()}
        return World([self.scenes[one] for one in at], chosen)


def new_world(
    encoder: Encoder,
    shots: int,
    cache: Path | None,
    *,
    seed: int = DRAWN,
    but: Sequence[Scene] = (),
) -> tuple[World, World]:
    """Pictures to be tested with, and a pool of examples with `shots` for each thing.

    None means what a scene of the pack or one of `but` does.
    """
    known = held_out_meanings() | {
        shown.scene.meaning for part in pack_scenes().values() for shown in part
    }
    known |= {one.meaning for one in but}
    tested, rng, drawn = TESTED, Random(seed), list[Scene]()
    counts = dict.fromkeys((one.name for one in THINGS), 0)
    while len(drawn) < tested or min(counts.values()) < shots:
        scene = natural_scene(rng)
        names = [group.thing.name for group in scene.groups]
        testing = len(drawn) < tested
        if scene.meaning in known or not (testing or min(counts[one] for one in names) < shots):
            continue
        for name in () if testing else names:
            counts[name] += 1
        drawn.append(scene)
    vectors = _embedded(drawn, encoder, cache, seed)
    world = World(drawn, vectors)
    return world.take(slice(0, tested)), world.take(slice(tested, None))


def _embedded(
    drawn: Sequence[Scene], encoder: Encoder, cache: Path | None, seed: int
) -> dict[str, Vectors]:
    kept = cache and cache / f"tags-{seed}-{len(drawn)}.npz"
    if kept and kept.is_file():
        with np.load(kept) as file:
            return dict(file)
    parts: dict[str, list[Vectors]] = {"plain": [], "postcards": []}
    for start in range(0, len(drawn), 64):
        first = SEED + seed - DRAWN + start
        pictures = [render(one, first + at) for at, one in enumerate(drawn[start:][:64])]
        parts["plain"].append(encoder.encode_images(pictures))
        parts["postcards"].append(encoder.encode_images([postcard(one) for one in pictures]))
    found = {name: np.concatenate(part) for name, part in parts.items()}
    if kept:
        np.savez(kept, plain=found["plain"], postcards=found["postcards"])
    return found


# What is measured.


def judged(tagger: Tagger, raw: Vectors) -> tuple[Values, Values]:
    """Scores and chances of the labels of the list, (n, labels) each."""
    scores = tagger.scorer.scores(raw)
    count = len(tagger.labels)
    return scores[:, :count], tagger.calibration.chances(scores)[:, :count]


def many(tagger: Tagger, raw: Vectors, right: Flags) -> list[str]:
    """What a tagger is worth on these pictures; see `many_of`."""
    return many_of(*judged(tagger, raw), right)


def many_of(scores: Values, chances: Values, right: Flags, *, seed: int = 3) -> list[str]:
    """mAP, and F1, precision, recall and pictures exactly right from the usual chance on."""
    exact = ((chances >= LEAST) == right).all(axis=1).astype(np.float64)
    return [
        f"{mean_precision(scores, right):.3f} ({_map_interval(scores, right, seed)})",
        *given_from(chances, right, LEAST, seed=seed),
        f"{exact.mean():.3f}",
    ]


def given_from(chances: Values, right: Flags, least: float, *, seed: int = 3) -> list[str]:
    """F1, precision and recall of what is given from that chance on."""
    given = chances >= least
    counts = np.stack(
        [(given & right).sum(axis=1), given.sum(axis=1), right.sum(axis=1)], axis=1
    ).astype(np.float64)
    low, high = interval(_f1(resampled_sums(counts, seed=seed)))
    total = counts.sum(axis=0)
    return [
        f"{float(_f1(total)):.3f} ({low:.3f} to {high:.3f})",
        f"{total[0] / max(total[1], 1):.2f} / {total[0] / total[2]:.2f}",
    ]


def _f1(counts: Values) -> Values:
    return np.asarray(2 * counts[..., 0] / np.maximum(counts[..., 1] + counts[..., 2], 1))


def _map_interval(scores: Values, right: Flags, seed: int) -> str:
    rng = np.random.default_rng(seed)
    rows = (rng.integers(len(scores), size=len(scores)) for _ in range(200))
    low, high = interval(np.array([mean_precision(scores[at], right[at]) for at in rows]))
    return f"{low:.3f} to {high:.3f}"


def one(tagger: Tagger, raw: Vectors, right: NDArray[np.int64]) -> list[str]:
    """The share of pictures whose label is right, of those that get one."""
    given = tagger.give(raw)
    hit = np.array([bool(of) and of[0].label == at for of, at in zip(given, right, strict=True)])
    none = np.mean([not of for of in given])
    low, high = bootstrap(hit.astype(np.float64), seed=3)
    return [f"{hit.mean():.3f} ({low:.3f} to {high:.3f})", f"{none:.3f}"]


def reliability(tagger: Tagger, raw: Vectors, right: Flags) -> list[str]:
    """Chances as they are told, and how often they are right."""
    return reliability_of(judged(tagger, raw)[1], right)


def reliability_of(chances: Values, right: Flags) -> list[str]:
    """The same of chances (pictures, labels)."""
    cells = []
    for low, high in ((0.0, 0.1), (0.1, 0.3), (0.3, 0.5), (0.5, 0.7), (0.7, 0.9), (0.9, 1.01)):
        at = (chances >= low) & (chances < high)
        if not at.any():
            cells.append("-")
            continue
        cells.append(f"{chances[at].mean():.2f}: {right[at].mean():.2f} of {at.sum():,}")
    return cells


# The sample world.


def drawn_examples(pool: World, look: str, right: Flags, shots: int, seed: int) -> Examples:
    """`shots` examples of each label, each picture with one label alone, as people give them."""
    rng = np.random.default_rng(seed)
    rows, labels = [], []
    for label in range(right.shape[1]):
        chosen = rng.permutation(np.flatnonzero(right[:, label]))[:shots]
        rows += chosen.tolist()
        labels += [label] * len(chosen)
    return Examples(pool.vectors[look][rows], np.eye(right.shape[1], dtype=np.bool_)[labels])


def known_ways(collection: Collection) -> dict[str, Known]:
    """What a tagger may know: all, with the raw map, without captions, without the pictures'."""
    moments = PairMoments.load(collection.folder.moments)
    every = known_of(collection.alignment, collection.images, [collection.captions], moments)
    raw = Alignment.fit(moments, "raw")
    nothing_said = [()] * len(every.said)
    return {
        "raw, prompts alone": replace(every, alignment=raw, captions=()),
        "mapped, prompts alone": replace(every, captions=()),
        "raw, with captions": replace(every, alignment=raw),
        "mapped, with captions": every,
        "mapped, with captions of no picture here": replace(every, said=nothing_said),
    }


def sample_rows(collection: Collection, test: World, pool: World) -> Iterator[Row]:
    """The tables of one collection."""
    name, encoder = collection.card.name, collection.encoder
    raw, things, places = test.vectors[name], test.things(), test.places()
    ways = known_ways(collection)
    for told, known in ways.items():
        tagger = make_tagger(THING_LABELS, encoder, known)
        yield "many", (name, told, *many(tagger, raw, things))
        yield "reliability", (name, told, *reliability(tagger, raw, things))
        if told == "mapped, with captions":
            for least in LEASTS:
                at = given_from(judged(tagger, raw)[1], things, least)
                yield "leasts", (name, f"{least:g}", *at)
        tagger = make_tagger(PLACE_LABELS, encoder, known, single=True)
        yield "one", (name, told, *one(tagger, raw, places))
    best = ways["mapped, with captions"]
    bare = ways["mapped, prompts alone"]
    pool_places = np.eye(len(PLACES), dtype=np.bool_)[pool.places()]
    for shots in SHOTS:
        examples = drawn_examples(pool, name, pool.things(), shots, seed=shots)
        for told, known in (("beside captions", best), ("beside prompts", bare)):
            tagger = make_tagger(THING_LABELS, encoder, known, examples)
            yield "many", (name, _shown(shots, told), *many(tagger, raw, things))
        alone = alone_by_examples(tagger)
        yield "many", (name, _shown(shots, "alone"), *many(alone, raw, things))
        examples = drawn_examples(pool, name, pool_places, shots, seed=shots)
        tagger = make_tagger(PLACE_LABELS, encoder, best, examples, single=True)
        yield "one", (name, _shown(shots, "beside captions"), *one(tagger, raw, places))


def _shown(shots: int, beside: str) -> str:
    return f"{shots} example{'s' if shots > 1 else ''} {beside}"


def alone_by_examples(tagger: Tagger) -> Tagger:
    """The same tagger, in which sentences count nothing against examples."""
    scorer = replace(tagger.scorer, weights=np.full_like(tagger.scorer.weights, 1e9))
    return replace(tagger, scorer=scorer)


def template_rows(collection: Collection, test: World, scenes: str) -> Iterator[Row]:
    """What prompts are worth, without any caption."""
    name, known = collection.card.name, known_ways(collection)["mapped, prompts alone"]
    for told, templates in OTHER_TEMPLATES.items():
        tagger = make_tagger(THING_LABELS, collection.encoder, known, templates=templates)
        precision = mean_precision(judged(tagger, test.vectors[name])[0], test.things())
        place = make_tagger(
            PLACE_LABELS, collection.encoder, known, single=True, templates=templates
        )
        placed = one(place, test.vectors[name], test.places())
        yield "templates", (scenes, name, told, f"{precision:.3f}", *placed)


# Real vectors.


class _NoEncoder:
    """Stands for the encoder that is not here: prompts are worth nothing."""

    id, dim = "", 512

    def encode_images(self, images: Sequence[Any]) -> Vectors:
        raise NotImplementedError

    def encode_texts(self, texts: list[str]) -> Vectors:
        return np.zeros((len(texts), self.dim), np.float32)


def coco_rows(folder: Path) -> Iterator[Row]:
    """The tables of 500 COCO pictures."""
    images, texts = (
        unit(np.load(folder / f"{kind}_features.npy").astype(np.float32))
        for kind in ("image", "text")
    )
    rows = read_rows(folder)
    own = np.array([named_in([row["embedded_caption"]]) for row in rows])
    right = np.array([named_in(row["captions"]) for row in rows])
    kept = np.flatnonzero(own.sum(axis=0) >= ENOUGH_CAPTIONS)
    labels = tuple(label_of(name, words) for name, words in (CATEGORIES[at] for at in kept))
    right = right[:, kept]
    yield "labels", ("500 COCO", f"{len(kept)}: {', '.join(one.name for one in labels)}")
    parts = np.array_split(np.random.default_rng(0).permutation(len(rows)), FOLDS)
    said = [str(row["embedded_caption"]) for row in rows]
    coco = _Coco(labels, images, texts, said, right, parts)
    for method in ("raw", "shrink"):
        yield "many", ("500 COCO", f"{method}, captions alone", *coco.row(method, 0))
        for shots in SHOTS:
            told = f"{method}, {_shown(shots, 'beside captions')}"
            yield "many", ("500 COCO", told, *coco.row(method, shots))
            told = f"{method}, {_shown(shots, 'alone')}"
            yield "many", ("500 COCO", told, *coco.row(method, shots, alone=True))
    told = "shrink, captions alone"
    yield "reliability", ("500 COCO", told, *coco.reliability("shrink", 0))


@dataclass(frozen=True)
class _Coco:
    """Held-out pictures judged by taggers that are made of the other folds."""

    labels: tuple[Label, ...]
    images: Vectors
    texts: Vectors
    said: Sequence[str]
    right: Flags
    parts: Sequence[NDArray[np.int64]]

    def row(self, method: str, shots: int, *, alone: bool = False) -> list[str]:
        scores, chances = self._judged(method, shots, alone=alone)
        return many_of(scores, chances, self.right)

    def reliability(self, method: str, shots: int) -> list[str]:
        return reliability_of(self._judged(method, shots, alone=False)[1], self.right)

    def _judged(self, method: str, shots: int, *, alone: bool) -> tuple[Values, Values]:
        found = np.zeros((2, *self.right.shape))
        for part in self.parts:
            others = np.setdiff1d(np.arange(len(self.images)), part)
            tagger = self._tagger(method, shots, others)
            found[:, part] = judged(
                alone_by_examples(tagger) if alone else tagger, self.images[part]
            )
        return found[0], found[1]

    def _tagger(self, method: str, shots: int, rows: NDArray[np.int64]) -> Tagger:
        moments = PairMoments(self.images.shape[1])
        moments.update(self.images[rows], self.texts[rows])
        alignment = Alignment.fit(moments, method)
        captions = [
            CaptionHit(str(at), self.said[at], 0.0, vector=self.texts[at]) for at in rows.tolist()
        ]
        known = Known(
            alignment, self.images[rows], [(self.said[at],) for at in rows], captions, moments
        )
        examples = self._examples(shots, rows) if shots else None
        return make_tagger(self.labels, _NoEncoder(), known, examples)

    def _examples(self, shots: int, rows: NDArray[np.int64]) -> Examples:
        rng = np.random.default_rng(shots)
        drawn, holds = [], []
        for label in range(self.right.shape[1]):
            chosen = rng.permutation(rows[self.right[rows, label]])[:shots]
            drawn += chosen.tolist()
            holds += [np.arange(self.right.shape[1]) == label] * len(chosen)
        return Examples(self.images[drawn], np.array(holds))


def every_row(asked: argparse.Namespace, engine: Engine) -> Iterator[Row]:
    """All that is asked for."""
    opened = [engine.open(name) for name in ("plain", "postcards")]
    encoder, shots = opened[0].encoder, 0 if asked.templates else max(SHOTS)
    test, pool = new_world(encoder, shots, asked.cache)
    if asked.templates:
        chosen_by, _ = new_world(encoder, 0, asked.cache, seed=CHOSEN_BY, but=test.scenes)
        for told, world in (("chosen by", chosen_by), ("tested", test)):
            for collection in opened:
                yield from template_rows(collection, world, told)
        return
    for collection in opened:
        yield from sample_rows(collection, test, pool)
    if (asked.folder / "image_features.npy").is_file():
        yield from coco_rows(asked.folder)


def show(rows: Iterable[Row]) -> None:
    """Print the tables; which row is measured is said meanwhile."""
    found: dict[str, list[Sequence[str]]] = {}
    for table, cells in rows:
        print(table, *cells, sep=" | ", file=sys.stderr, flush=True)
        found.setdefault(table, []).append(cells)
    for table, columns in TABLES.items():
        if table in found:
            lines = [columns, ["---"] * len(columns), *found[table]]
            print("\n".join(f"| {' | '.join(line)} |" for line in lines), end="\n\n")


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--templates", action="store_true", help="what other prompts are worth")
    parser.add_argument("--cache", type=Path, help="folder that keeps the embedded pictures")
    parser.add_argument("--home", type=Path, help="home that has the samples, or gets them")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="of real vectors")
    asked = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with ExitStack() as stack:
        home = asked.home or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        engine = build_engine(Settings(home=home, profile="sample", device="cpu"))
        stack.callback(engine.close)
        if "plain" not in engine.names():
            fill(engine)
        show(every_row(asked, engine))


if __name__ == "__main__":
    main()
