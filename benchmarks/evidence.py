"""What refining the captions of a prompt is worth: on the sample world, and on real captions.

    python -m benchmarks.evidence world
    python -m benchmarks.evidence real ../shared/reference/clip_vectors
    python -m benchmarks.evidence photos ../shared/photos/captions.jsonl

`world` describes the development scenes of the sample world, which nothing was trained on and no
figure of a test is of, in plain pictures and in postcards, as they are described without refiners
and with each. What is right is told by the scenes: things, their counts, and the place. `real`
retrieves for each of the 500 pictures the captions of others by real CLIP vectors, describes it by
their consensus, and holds the captions that are left against what five people said of it. `photos`
brings four of the five captions of each photo within a budget of words, and holds what is left
against the fifth. Intervals (95 %) are of differences on the same pictures.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL.Image import Image

from benchmarks.corrections import Remembering
from benchmarks.real_vectors import read_rows
from corpus.captions import CaptionTable
from engine.alignment.alignment import Alignment
from engine.describe.captioner import Captioner, DescribeOptions
from engine.describe.retriever import Retriever
from engine.evidence.claims import claims_of
from engine.evidence.compression import Compression
from engine.evidence.near_copies import NearCopies
from engine.evidence.refiners import Refinement
from engine.evidence.terms import terms
from engine.identity import PictureIdentity
from engine.stages.protocols import Found
from engine.types import CaptionHit, CaptionResult, Vectors
from evaluation.matrix_captions import MatrixCaptions
from evaluation.metrics.caption_metrics import score_captions
from evaluation.metrics.intervals import paired
from sample.measure import Bench, read_picture
from sample.measure import read_rows as pack_rows
from sample.trial import Part, embed, fit
from sample.world.reading import check_caption, read_truth
from sample.world.render import postcard, render
from sample.world.scenes import Meaning
from sample.world.splits import COLLECTIONS, dev_scenes

Values = NDArray[np.float64]
_LOOKS = {"plain": lambda picture: picture, "postcards": postcard}
_BUDGETS = (60, 90)


@dataclass(frozen=True)
class Way:
    """One way to describe, and its name in the table."""

    name: str
    options: DescribeOptions


def ways() -> list[list[Way]]:
    """What is compared: in each list the first with all others."""

    def way(name: str, *refine: Refinement, **options: object) -> Way:
        return Way(name, DescribeOptions(refine=refine, **options))  # type: ignore[arg-type]

    choosing = [
        [
            way(f"k {k}", k=k),
            way(f"k {k}, near copies once", "near-copies", k=k),
            way(f"k {k}, contradictions", "contradictions", k=k),
            way(f"k {k}, both", "near-copies", "contradictions", k=k),
        ]
        for k in (4, 8)
    ]
    shortening = [
        [
            way(f"k 16 in {budget} tokens, captions dropped", k=16, prompt_tokens=budget),
            way(
                f"k 16 in {budget} tokens, clauses dropped",
                "compression",
                k=16,
                prompt_tokens=budget,
            ),
        ]
        for budget in _BUDGETS
    ]
    return [*choosing, *shortening]


@dataclass(frozen=True)
class Told:
    """What came of one way: of each picture a number of each kind, by what the kind is called."""

    figures: Mapping[str, Values]


class World:
    """The development scenes of one look, and a map that the pack's training pictures give."""

    def __init__(self, bench: Bench, collection: str, scenes: int) -> None:
        shown = dev_scenes()[:scenes]
        look = _LOOKS[collection]
        pictures = [look(render(one.scene, one.seed)) for one in shown]
        self.bench = bench
        self.images = bench.encoder.encode_images(pictures)
        self.meanings = [one.scene.meaning for one in shown]
        self.references = [one.captions for one in shown]
        self.alignment = fit(self._training(collection), bench.memory, "auto")
        texts = tuple(bench.memory.texts)
        table = CaptionTable(texts, bench.memory.vectors, ("",) * len(texts))
        self.retriever = Retriever([MatrixCaptions(table, self.alignment)], self.alignment)

    def _training(self, collection: str) -> Part:
        rows = pack_rows(collection, "train")
        return embed(
            self.bench.encoder,
            [read_picture(collection, row) for row in rows],
            [row["captions"] for row in rows],
            [read_truth(row["truth"]) for row in rows],
        )

    def told(self, way: Way, generator: Remembering) -> Told:
        """Describe all scenes in one way."""
        encoder = self.bench.encoder
        captioner = Captioner(encoder, self.alignment, self.retriever, generator, way.options)
        results = captioner.describe_vectors(self.images)
        return Told(
            {
                **_right([one.caption for one in results], self.meanings),
                "CIDEr-D": _cider([one.caption for one in results], self.references),
                "tokens": np.array([generator.count_tokens(one.prompt) for one in results], float),
            }
        )


def _right(texts: Sequence[str], meanings: Sequence[Meaning]) -> dict[str, Values]:
    verdicts = [check_caption(*one) for one in zip(texts, meanings, strict=True)]
    parts = ("all", "things", "counts", "place")
    return {part: np.array([getattr(one, part) for one in verdicts], float) for part in parts}


def _cider(texts: Sequence[str], references: Sequence[Sequence[str]]) -> Values:
    scored = score_captions(texts, references, ["cider-d"])
    if "cider-d" in scored.missing:
        raise SystemExit(scored.missing["cider-d"])
    return scored.scores["cider-d"].values


def table(ways_told: Iterable[Sequence[tuple[str, Told]]]) -> Iterator[str]:
    """Markdown lines: each way, with the interval of how far it differs from the first."""
    begun = False
    for group in ways_told:
        (_, base), *_ = group
        if not begun:
            yield f"| captions | {' | '.join(base.figures)} |"
            yield f"| --- {'| --- ' * len(base.figures)}|"
            begun = True
        for name, one in group:
            cells = [_cell(one.figures[key], base.figures[key]) for key in base.figures]
            yield f"| {name} | {' | '.join(cells)} |"


def _cell(values: Values, base: Values) -> str:
    mean = f"{values.mean():.3f}" if abs(values.mean()) < 10 else f"{values.mean():.1f}"
    if values is base:
        return mean
    apart = paired(values, base, seed=0)
    digits = 3 if abs(values.mean()) < 10 else 1
    return f"{mean} ({apart.low:+.{digits}f} to {apart.high:+.{digits}f})"


def world(scenes: int) -> Iterator[str]:
    """Both looks, every way."""
    bench = Bench(DescribeOptions())
    generator = Remembering(bench.generator)
    for collection in COLLECTIONS:
        made = World(bench, collection, scenes)
        yield f"\n### {collection}, {scenes} scenes, map {made.alignment.method}\n"
        told = ([(way.name, made.told(way, generator)) for way in group] for group in ways())
        yield from table(told)


class Real:
    """500 pictures with a caption that has a vector, and five captions that have none."""

    def __init__(self, folder: Path) -> None:
        rows = read_rows(folder)
        self.said = [tuple(row["captions"]) for row in rows]
        self.images: Vectors = np.load(folder / "image_features.npy").astype(np.float32)
        texts: Vectors = np.load(folder / "text_features.npy").astype(np.float32)
        keys = tuple(str(row["image_id"]) for row in rows)
        self.own = [PictureIdentity(names=frozenset({key})) for key in keys]
        zero = np.zeros(texts.shape[1])
        self.alignment = Alignment.from_means(zero, zero, n_images=500, n_captions=500)
        own_keys = tuple(next(iter(one.keys)) for one in self.own)
        captions = CaptionTable(tuple(row["embedded_caption"] for row in rows), texts, own_keys)
        self.retriever = Retriever([MatrixCaptions(captions, self.alignment)], self.alignment)
        self.encoder = Stored(captions)

    def told(self, way: Way) -> Told:
        """Describe all pictures by consensus, and look at what it was made of."""
        captioner = Captioner(self.encoder, self.alignment, self.retriever, None, way.options)
        results = captioner.describe_vectors(self.images, exclude=self.own)
        return Told(
            {
                "CIDEr-D": _cider([one.caption for one in results], self.said),
                **_shared(results, self.said),
            }
        )


class Stored:
    """Gives captions the vectors that they have."""

    id = "stored"

    def __init__(self, captions: CaptionTable) -> None:
        self._rows = dict(zip(captions.texts, captions.raw, strict=True))
        self.dim = captions.raw.shape[1]

    def encode_texts(self, texts: list[str]) -> Vectors:
        """The vectors of captions."""
        return np.stack([self._rows[text] for text in texts])

    def encode_images(self, images: list[Image]) -> Vectors:
        """None are asked for."""
        raise NotImplementedError(f"{len(images)} pictures have no vectors here")


def _shared(results: Sequence[CaptionResult], said: Sequence[Sequence[str]]) -> dict[str, Values]:
    """Of the terms left the share that people said, and of theirs the share that is left."""
    left = [frozenset().union(*(terms(hit.text) for hit in one.retrieved)) for one in results]
    people = [frozenset().union(*map(terms, texts)) for texts in said]
    both = [len(one & other) for one, other in zip(left, people, strict=True)]
    return {
        "said by people": np.array([n / len(one) for n, one in zip(both, left, strict=True)]),
        "of what they said": np.array([n / len(one) for n, one in zip(both, people, strict=True)]),
        "captions": np.array([len(one.retrieved) for one in results], float),
    }


def real(folder: Path) -> Iterator[str]:
    """Every way that needs no prompt, and how often the rules see something in real captions."""
    made = Real(folder)
    yield "\n### 500 real pictures, described by consensus\n"
    without_prompts = [[way for way in group if not way.options.prompt_tokens] for group in ways()]
    yield from table(
        [(way.name, made.told(way)) for way in group] for group in without_prompts if group
    )
    yield ""
    yield from rules(made.said)


def photos(file: Path) -> Iterator[str]:
    """What is left of four captions in so many words, held against the fifth of the same photo."""
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    said = [tuple(row["captions"][:5]) for row in rows]
    yield f"\n### {len(said)} photos, four captions within a budget, held against the fifth\n"
    ways_told = []
    for budget in (20, 30):
        whole = [_first_that_fit(texts[:4], budget) for texts in said]
        clauses = [_compressed(texts[:4], budget) for texts in said]
        ways_told.append(
            [
                (f"{budget} words, captions dropped", Told(_held_against(whole, said))),
                (f"{budget} words, clauses dropped", Told(_held_against(clauses, said))),
            ]
        )
    yield from table(ways_told)
    yield ""
    yield from rules(said)


def _words(texts: Sequence[str]) -> int:
    return sum(len(text.split()) for text in texts)


def _first_that_fit(texts: Sequence[str], budget: int) -> list[str]:
    fitting = [n for n in range(1, len(texts) + 1) if _words(texts[:n]) <= budget]
    return list(texts[: max(fitting, default=1)])


def _compressed(texts: Sequence[str], budget: int) -> list[str]:
    hits = tuple(CaptionHit(str(at), text, 1.0) for at, text in enumerate(texts))
    (left,) = Compression(budget, _words).refine([None], [Found(hits)])
    return [hit.text for hit in left.items]


def _held_against(
    left: Sequence[Sequence[str]], said: Sequence[Sequence[str]]
) -> dict[str, Values]:
    """Of the terms left the share that the fifth caption has, of its terms the share left."""
    kept = [frozenset[str]().union(*map(terms, texts)) for texts in left]
    fifth = [terms(texts[4]) for texts in said]
    both = [len(one & other) for one, other in zip(kept, fifth, strict=True)]
    return {
        "said by the fifth": np.array([n / len(one) for n, one in zip(both, kept, strict=True)]),
        "of what it says": np.array([n / len(one) for n, one in zip(both, fifth, strict=True)]),
        "words": np.array([_words(texts) for texts in left], float),
    }


def rules(said: Sequence[Sequence[str]]) -> Iterator[str]:
    """How often captions contradict and repeat each other, of one picture and of two."""
    same = [pair for texts in said for pair in combinations(texts, 2)]
    rng = np.random.default_rng(0)
    others = [
        (said[a][int(rng.integers(len(said[a])))], said[b][int(rng.integers(len(said[b])))])
        for a, b in (rng.choice(len(said), 2, replace=False) for _ in same)
    ]
    yield "| pairs of captions | number | contradict | say the same |"
    yield "| --- | --- | --- | --- |"
    seen: Mapping[str, Sequence[tuple[str, str]]] = {"of one picture": same, "of two": others}
    for name, pairs in seen.items():
        shares = [_share(apart, pairs) for apart in (_contradict, _repeat)]
        yield f"| {name} | {len(pairs)} | {' | '.join(shares)} |"


def _share(holds: Callable[[str, str], bool], pairs: Sequence[tuple[str, str]]) -> str:
    return f"{np.mean([holds(*pair) for pair in pairs]):.4f}"


def _contradict(one: str, other: str) -> bool:
    first, second = claims_of(one), claims_of(other)
    return any(first[key].isdisjoint(second[key]) for key in first.keys() & second.keys())


def _repeat(one: str, other: str) -> bool:
    hits = tuple(CaptionHit(str(at), text, 1.0) for at, text in enumerate((one, other)))
    (left,) = NearCopies().refine([None], [Found(hits)])
    return len(left.items) == 1


def main() -> None:
    """Measure from the command line."""
    parser = argparse.ArgumentParser(description="Measure what refiners of captions are worth.")
    parser.add_argument("what", choices=("world", "real", "photos"))
    parser.add_argument("folder", nargs="?", type=Path, help="of `real`, or the file of `photos`")
    parser.add_argument("--scenes", type=int, default=200)
    args = parser.parse_args()
    logging.disable(logging.WARNING)
    os.environ.setdefault("MRAG_PROFILE", "sample")
    measured = {"real": real, "photos": photos}
    for line in world(args.scenes) if args.what == "world" else measured[args.what](args.folder):
        print(line, flush=True)


if __name__ == "__main__":
    main()
