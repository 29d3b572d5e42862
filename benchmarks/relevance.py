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
import pickle
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice, pairwise
from pathlib import Path
from random import Random
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from benchmarks.default_space import fill
from benchmarks.real_vectors import FOLDER
from engine.alignment.alignment import Alignment
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
from engine.types import CaptionPoint, Encoder, ImagePoint, Vectors
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
OLD = 0.95
"""The share of unrelated pairs below which the rule of before hid."""

BANDS = (0.0, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 0.9, 1.01)
LOOKED_AT = 512
"""Of so many pictures that a search finds it is looked what each rule shows."""

_BATCH = 64

Flags = NDArray[np.bool_]
Values = NDArray[np.float64]


@dataclass(frozen=True)
class Asked:
    """A search, and which things and place a right picture holds; a count of 0 is any."""

    kind: str
    text: str
    wanted: Meaning

    def right(self, scene: Scene) -> bool:
        """Whether the scene holds all of it."""
        held = {(group.thing.name, count) for group in scene.groups for count in (0, group.count)}
        return self.wanted.things <= held and self.wanted.place in ("", scene.place.name)


@dataclass
class Score:
    """What a rule shows for searches: right ones, strangers, and what there was to find."""

    right: int = 0
    strangers: int = 0
    there: int = 0
    answered: int = 0
    answerable: int = 0
    empty: int = 0
    absent: int = 0
    recalls: list[float] = field(default_factory=list)

    def add(self, shown: Flags, right: Flags, there: int) -> None:
        """Count one search: of the pictures looked at, which are shown and which are right."""
        found = int((shown & right).sum())
        self.right += found
        self.strangers += int(shown.sum()) - found
        self.there += there
        if there:
            self.answerable += 1
            self.answered += found > 0
            self.recalls.append(found / there)
        else:
            self.absent += 1
            self.empty += not shown.any()

    def cells(self) -> str:
        """Precision, recall, answered, empty ones said empty, strangers a search."""
        shown, searches = self.right + self.strangers, self.answerable + self.absent
        cells = [
            f"{self.right / shown:.2f}" if shown else "-",
            f"{np.mean(self.recalls):.2f}" if self.recalls else "-",
            f"{self.answered / self.answerable:.2f}" if self.answerable else "-",
            f"{self.empty / self.absent:.2f}" if self.absent else "-",
            f"{self.strangers / searches:.2f}",
        ]
        return " | ".join(cells)


@dataclass
class Reliability:
    """How often pictures of a chance are right."""

    count: Values = field(default_factory=lambda: np.zeros(len(BANDS) - 1))
    right: Values = field(default_factory=lambda: np.zeros(len(BANDS) - 1))

    def add(self, chances: Values, right: Flags) -> None:
        """Count pictures."""
        self.count += np.histogram(chances, BANDS)[0]
        self.right += np.histogram(chances[right], BANDS)[0]

    def cells(self) -> str:
        """The share that was right, of how many, band by band but the first."""
        told = zip(self.right[1:], self.count[1:], strict=True)
        return " | ".join(f"{a / b:.2f} of {b:.0f}" if b else "-" for a, b in told)


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
    kept = cache and cache / f"{encoder.id}-{count}.pickle"
    if kept and kept.is_file():
        return drawn, pickle.loads(kept.read_bytes())
    rows = []
    for start in range(0, count, _BATCH):
        part = range(start, min(start + _BATCH, count))
        rows.append(encoder.encode_images([render(drawn[at], SEED + at) for at in part]))
    vectors = np.concatenate(rows)
    if kept:
        kept.write_bytes(pickle.dumps(vectors))
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


def unlike(rows: Vectors, pictures: Vectors, share: float = OLD) -> float:
    """The rule of before: what that share of unrelated pairs of 256 each scores below."""
    return float(np.quantile(rows[:256] @ pictures[:256].T, share))


def best_constant(scores: Sequence[Values], right: Sequence[Flags], there: int) -> float:
    """The cosine that gives the best F1 over all searches."""
    values, hits = np.concatenate(scores), np.concatenate(right)
    order = np.argsort(-values)
    found = np.cumsum(hits[order])
    f1 = 2 * found / (np.arange(1, len(values) + 1) + there)
    return float(values[order][int(f1.argmax())])


def sample_world(
    plain: Collection, sizes: Sequence[int], cache: Path | None, each: int
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
                yield from _look(f"{size:,} | {told}", gallery, plain, drawn[:size], asked)
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
    images.upsert(
        [
            ImagePoint(
                picture_id(sha), sha, str(at), sha, 1, 1, vectors[at], mapped[at], None,
                said[at] if captioned else (),
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
    asked: Sequence[Asked],
) -> Iterator[str]:
    """Search, and count what each rule shows."""
    found, reliability = [], Reliability()
    for one in asked:
        result = gallery.search(Query(one.text), "mapped", LOOKED_AT)
        rows = [int(hit.uri) for hit in result.hits]
        right = np.array([one.right(drawn[row]) for row in rows])
        chances = np.array([hit.chance for hit in result.hits], np.float64)
        reliability.add(chances, right)
        scores = np.array([hit.score for hit in result.hits])
        likely = np.arange(len(rows)) < (result.likely or 0)
        found.append((one, scores, right, likely, sum(map(one.right, drawn))))
    texts = plain.alignment.map_texts(plain.relevance.sample.texts)
    pictures = plain.alignment.map_images(plain.relevance.sample.pictures)
    old = unlike(texts, pictures)
    for kind in dict.fromkeys(one.kind for one in asked):
        rows_of = [row for row in found if row[0].kind == kind]
        there = sum(row[4] for row in rows_of)
        constant = best_constant([r[1] for r in rows_of], [r[2] for r in rows_of], there)
        rules: dict[str, Callable[[Values, Flags], Flags]] = {
            "95 % of unrelated": partial(_at_least, old),
            "best constant": partial(_at_least, constant),
            "**likely**": lambda _, likely: likely,
        }
        for name, rule in rules.items():
            score = Score()
            for _, scores, right, likely, count in rows_of:
                score.add(rule(scores, likely), right, count)
            yield f"| {named} | {kind} | {name} | {score.cells()} |"
    yield f"@| {named} | {reliability.cells()} |"


def _at_least(least: float, scores: Values, _: Flags) -> Flags:
    return scores >= least


def real_vectors(folder: Path, method: str, seeds: int = 2) -> Iterator[str]:
    """Rows of 500 COCO pictures: half fit the map, a quarter is learned from, a quarter sought."""
    images, texts = (np.load(folder / f"{name}_features.npy") for name in ("image", "text"))
    old, new, reliability = Score(), Score(), Reliability()
    seen: list[tuple[Values, Flags]] = []
    for seed in range(seeds):
        order = np.random.default_rng(seed).permutation(len(images))
        fitting, rest = np.array_split(order, 2)
        moments = PairMoments(images.shape[1])
        moments.update(images[fitting], texts[fitting])
        alignment = Alignment.fit(moments, method)
        halves = np.array_split(np.arange(len(rest)), 2)
        for learned, sought in (halves, halves[::-1]):
            pairs = np.stack([np.arange(len(learned)), learned], axis=1).astype(np.uint64)
            sample = Sample(
                images[rest], texts[rest[learned]], pairs, pairs, rest.astype(np.uint64)
            )
            relevance = Relevance(alignment, sample)
            queries = alignment.map_texts(texts[rest[sought]])
            least = unlike(queries, alignment.map_images(images[rest]))
            for query, own in zip(queries, sought, strict=True):
                judge = relevance.judge(query, "words", len(rest))
                scores = relevance.scores(query[None])[0].astype(np.float64)
                right = np.arange(len(rest)) == own
                if judge is None:
                    raise RuntimeError("too few pairs")
                for kept in (np.ones(len(rest), np.bool_), ~right):
                    background = Background.of(scores[None, kept])
                    one = replace(judge, background=background, count=int(kept.sum()))
                    chances, hits = one.chances(scores[kept]), right[kept]
                    reliability.add(chances, hits)
                    new.add(chances >= LIKELY, hits, int(hits.sum()))
                    old.add(scores[kept] >= least, hits, int(hits.sum()))
                    seen.append((scores[kept], hits))
    constant = best_constant([one[0] for one in seen], [one[1] for one in seen], new.there)
    best = Score()
    for scores, hits in seen:
        best.add(scores >= constant, hits, int(hits.sum()))
    for name, score in (("95 % of unrelated", old), ("best constant", best), ("**likely**", new)):
        yield f"| 250 COCO | {method} | caption | {name} | {score.cells()} |"
    yield f"@| 250 COCO | {method} | {reliability.cells()} |"


def print_tables(rows: Sequence[str]) -> None:
    """What was shown, and how reliable the chances were."""
    print("\n| pictures | | search | shown | precision | recall | answered | empty said empty "
          "| strangers a search |\n| ---: | --- | --- | --- |" + " ---: |" * 5)  # fmt: skip
    print("\n".join(row for row in rows if not row.startswith("@")))
    bands = " | ".join(f"{a:g} to {min(b, 1):g}" for a, b in pairwise(BANDS[1:]))
    print(f"\n| pictures | | {bands} |\n| ---: | --- |" + " ---: |" * (len(BANDS) - 2))
    print("\n".join(row[1:] for row in rows if row.startswith("@")))


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--sizes", type=int, nargs="*", default=[500, 5_000, 50_000])
    parser.add_argument("--searches", type=int, default=150, help="captions of each kind")
    parser.add_argument("--cache", type=Path, help="folder that keeps the embedded pictures")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="of real vectors")
    asked = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    rows: list[str] = []
    if (asked.folder / "image_features.npy").is_file():
        for method in ("raw", "centred", "shrink"):
            rows += real_vectors(asked.folder, method)
    if asked.sizes:
        with tempfile.TemporaryDirectory() as home:
            engine = build_engine(Settings(home=Path(home), profile="sample", device="cpu"))
            fill(engine)
            rows += sample_world(engine.open("plain"), asked.sizes, asked.cache, asked.searches)
            engine.close()
    print_tables(rows)


if __name__ == "__main__":
    main()
