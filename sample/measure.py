"""Measure the sample pack through the program's engine, on its test pictures or on fresh ones.

    python -m sample.measure            both collections, every map, and the time of a caption
    python -m sample.measure --looks    the plain pictures in four looks that CLIP never saw
    python -m sample.measure --tasks    how the T5 judges captions and answers questions
    python -m sample.measure --fresh 400 --seed 1    pictures drawn now, of unseen meanings

Fresh pictures and those of `--split dev` are rendered and compressed as the pack's are; the maps
are fitted on the train pictures of the pack all the same. Give a seed of your own.

Every share is of test pictures, with a bootstrap 95 % interval. Retrieval is among the test
captions of one collection (5 a picture): picture -> caption counts as found if the nearest
caption is one of its own, caption -> picture if the nearest picture is its own.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any, Literal, get_args

import numpy as np
import torch
from PIL import Image

from engine.alignment.closed_form import Method
from engine.describe.captioner import Captioner, DescribeOptions
from engine.describe.retriever import Retriever
from engine.models.loaded import Models
from engine.settings import Settings
from engine.types import Encoder, Generator
from sample.tasks import Reader, answers_right, listwise_right, pointwise_right
from sample.trial import Memory, Outcome, Outcomes, Part, embed, fill_store, fit, try_map
from sample.words import WORDS, searched
from sample.world.reading import read_truth
from sample.world.render import LOOKS, Look, postcard, render
from sample.world.scenes import Meaning
from sample.world.splits import COLLECTIONS, SPLITS, Shown, dev_scenes, fresh_scenes, pack_scenes
from sample.write_pack import PACK, as_shipped

RESAMPLES = 2000
METHODS: tuple[Method | Literal["auto"], ...] = (*get_args(Method), "auto")
_HEADER = (
    "| map | captions fully right | minus raw | nearest caption fully right "
    "| picture -> caption R@1 | back |\n| --- | --- | --- | --- | --- | --- |"
)


def _same(picture: Image.Image) -> Image.Image:
    return picture


_LOOK_OF: dict[str, Look] = {"plain": _same, "postcards": postcard}


def read_rows(collection: str, split: str) -> list[dict[str, Any]]:
    """The rows of one split of a collection of the pack."""
    lines = (PACK / collection / "captions.jsonl").read_text(encoding="utf-8").splitlines()
    return [row for row in map(json.loads, lines) if row["split"] == split]


def read_picture(collection: str, row: dict[str, Any]) -> Image.Image:
    """The picture of a row, decoded."""
    with Image.open(PACK / collection / row["image"]) as picture:
        return picture.convert("RGB")


def _drawn_part(encoder: Encoder, scenes: Sequence[Shown], look: Look) -> Part:
    """Scenes that no file shows, drawn and compressed as the pack's pictures are."""
    return embed(
        encoder,
        [as_shipped(look(render(shown.scene, shown.seed))) for shown in scenes],
        [shown.captions for shown in scenes],
        [shown.scene.meaning for shown in scenes],
    )


def _part(encoder: Encoder, collection: str, split: str, look: Look) -> Part:
    rows = read_rows(collection, split)
    return embed(
        encoder,
        [look(read_picture(collection, row)) for row in rows],
        [row["captions"] for row in rows],
        [read_truth(row["truth"]) for row in rows],
    )


def interval(outcomes: Outcomes) -> tuple[float, float]:
    """The bootstrap 95 % interval of the mean, resampling pictures."""
    picks = np.random.default_rng(0).integers(0, len(outcomes), (RESAMPLES, len(outcomes)))
    low, high = np.percentile(outcomes[picks].mean(axis=1), (2.5, 97.5))
    return float(low), float(high)


def _share(outcomes: Outcomes, sign: str = "") -> str:
    low, high = interval(outcomes)
    return f"{outcomes.mean():{sign}.3f} ({low:{sign}.3f} to {high:{sign}.3f})"


def table(outcomes: Sequence[Outcome]) -> Iterator[str]:
    """The outcomes as lines of a Markdown table; the first is what the others are held to."""
    yield _HEADER
    for one in outcomes:
        difference = (
            _share(one.caption - outcomes[0].caption, "+") if one is not outcomes[0] else ""
        )
        shares = [_share(s) for s in (one.caption, one.top, one.to_caption, one.to_picture)]
        yield f"| {one.method} | {shares[0]} | {difference} | {' | '.join(shares[1:])} |"
    yield ""
    yield from (f"- {one.method}: {one.reason}" for one in outcomes if one.method == "auto")


class Bench:
    """The pack's models as the program loads them, and its embedded memory."""

    def __init__(
        self,
        options: DescribeOptions,
        split: str = "test",
        scenes: Sequence[Shown] = (),
        methods: Sequence[Method | Literal["auto"]] = METHODS,
    ) -> None:
        models = Models(Settings(profile="sample", device="cpu"))
        encoder, generator = Settings(profile="sample").models()
        self.encoder: Encoder = models.encoder(encoder)
        loaded = models.generator(generator)
        if loaded is None:
            raise TypeError("the sample profile names no generator")
        self.generator: Generator = loaded
        self.options = options
        self.split, self.scenes, self.methods = split, scenes, methods
        texts = (PACK / "memory.txt").read_text(encoding="utf-8").splitlines()
        self.memory = Memory(texts, self.encoder.encode_texts(texts))

    def outcomes(self, collection: str, look: Look = _same) -> list[Outcome]:
        """Every map, fitted on the train pictures and tried on the pictures of the split."""
        train = _part(self.encoder, collection, "train", look)
        test = self._tested(collection, look)
        tried = []
        with TemporaryDirectory() as home:
            for method in self.methods:
                tried.append(
                    try_map(
                        Path(home),
                        method,
                        fit(train, self.memory, method),
                        test,
                        self.memory,
                        self.encoder,
                        self.generator,
                        self.options,
                    )
                )
        return tried

    def _tested(self, collection: str, look: Look) -> Part:
        if self.scenes:
            return _drawn_part(self.encoder, self.scenes, _LOOK_OF[collection])
        return _part(self.encoder, collection, self.split, look)

    def retrieved(self, collection: str) -> list[tuple[Meaning, list[str]]]:
        """What each tested picture holds, and the captions that the program's map finds for it."""
        alignment = fit(_part(self.encoder, collection, "train", _same), self.memory, "auto")
        test = self._tested(collection, _same)
        with (
            TemporaryDirectory() as home,
            fill_store(Path(home), "tasks", self.memory, alignment, self.encoder) as store,
        ):
            queries, k = alignment.map_images(test.images), self.options.k
            found = Retriever([store], alignment).nearest(queries, "mapped", k, per_image=k)
        texts = ([hit.text for hit in hits] for hits in found)
        return list(zip(test.meanings, texts, strict=True))

    def words(self, collection: str, words: Sequence[tuple[str, str]]) -> Outcomes:
        """Whether the nearest picture of the collection holds the thing, by (word, thing).

        By vectors alone, with the program's map, among all pictures that the pack has of it.
        """
        parts = [_part(self.encoder, collection, split, _same) for split in SPLITS]
        alignment = fit(parts[0], self.memory, "auto")
        images = alignment.map_images(np.concatenate([part.images for part in parts]))
        queries = alignment.map_texts(self.encoder.encode_texts([word for word, _ in words]))
        meanings = [meaning for part in parts for meaning in part.meanings]
        nearest = (queries @ images.T).argmax(axis=1)
        hits = [thing in meanings[at].names for (_, thing), at in zip(words, nearest, strict=True)]
        return np.array(hits, np.float64)

    def milliseconds(self, pictures: int = 50) -> dict[str, float]:
        """The median time of one description on one core, by stage and altogether."""
        torch.set_num_threads(1)
        alignment = fit(_part(self.encoder, "plain", "train", _same), self.memory, "shrink")
        rows = read_rows("plain", "val")[:pictures]
        spent: dict[str, list[float]] = {}
        with (
            TemporaryDirectory() as home,
            fill_store(Path(home), "speed", self.memory, alignment, self.encoder) as store,
        ):
            retriever = Retriever([store], alignment)
            captioner = Captioner(self.encoder, alignment, retriever, self.generator, self.options)
            for row in rows:
                started = perf_counter()
                (result,) = captioner.describe([read_picture("plain", row)])
                whole = 1000 * (perf_counter() - started)
                for stage, took in {**result.timings_ms, "altogether": whole}.items():
                    spent.setdefault(stage, []).append(took)
        return {stage: median(times) for stage, times in spent.items()}


def tasks(bench: Bench) -> Iterator[str]:
    """How the T5 judges and answers, as lines of Markdown."""
    reader = Reader.load(PACK / "t5")
    scenes = bench.scenes or [one for one in pack_scenes()["plain"] if one.split == bench.split]
    yield "| task | right |\n| --- | --- |"
    yield f"| yes or no: does a caption fit a query | {_share(pointwise_right(reader, scenes))} |"
    yield f"| of ten captions, one that fits | {_share(listwise_right(reader, scenes))} |"
    for collection in COLLECTIONS:
        for told, words in WORDS.items():
            hits = bench.words(collection, words)
            yield f"| {collection}, nearest to {told} | {hits.sum():.0f} of {len(hits)} |"
        for kind, flags in answers_right(reader, bench.retrieved(collection)):
            yield f"| {collection}, a picture: {kind} | {_share(flags)} |"
    for collection, told, hits in searched():
        yield f"| {collection}, first found for {told} | {hits.sum():.0f} of {len(hits)} |"


def report(bench: Bench, looks: bool) -> Iterator[str]:
    """All that was measured, as lines of Markdown."""
    if looks:
        for name, look in LOOKS.items():
            yield f"\n### plain pictures, {name}\n"
            yield from table(bench.outcomes("plain", look))
        return
    for collection in COLLECTIONS:
        yield f"\n### {collection}\n"
        yield from table(bench.outcomes(collection))
    times = (f"{stage} {took:.1f} ms" for stage, took in bench.milliseconds().items())
    yield "\nOne picture described on one core, median: " + ", ".join(times) + "."


def main() -> None:
    """Measure from the command line."""
    parser = argparse.ArgumentParser(description="Measure the sample pack on its test pictures.")
    parser.add_argument("--looks", action="store_true", help="the four unseen looks instead")
    parser.add_argument("--tasks", action="store_true", help="judging and answering instead")
    parser.add_argument("--split", default="test", choices=("val", "test", "dev"))
    parser.add_argument("--fresh", type=int, default=0, help="so many pictures, drawn now")
    parser.add_argument("--seed", type=int, default=1, help="what the fresh pictures are drawn by")
    parser.add_argument("--maps", nargs="+", default=METHODS, choices=METHODS)
    parser.add_argument("--k", type=int, default=DescribeOptions.k)
    parser.add_argument("--candidates", type=int, default=DescribeOptions.candidates)
    args = parser.parse_args()
    logging.disable(logging.WARNING)
    drawn = fresh_scenes(args.fresh, args.seed) if args.fresh else ()
    scenes = dev_scenes() if args.split == "dev" else drawn
    options = DescribeOptions(k=args.k, candidates=args.candidates)
    bench = Bench(options, args.split, scenes, args.maps)
    for line in tasks(bench) if args.tasks else report(bench, args.looks):
        print(line, flush=True)


if __name__ == "__main__":
    main()
