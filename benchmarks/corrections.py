"""What corrections do for the other pictures of the postcards world, as the program learns.

    python -m benchmarks.corrections
    python -m benchmarks.corrections --seeds 2 --counts 0,20,100

A collection of 300 postcards without captions describes from 18,000 captions of no picture: its
own, or a memory's. Its owner corrects some of them, each by one true caption. Then 150 other
postcards are described: by the map of before, and by the one that the program fits now. What is
right is told by the scenes: things, their counts, and the place. Intervals (95 %) are over
pictures, whose outcomes are averaged over the seeds; `stored` are corrections that the map is not
fitted on, whose captions can be borrowed all the same.

With `--refit` the time of a refit instead, with `--real FOLDER` the same choice on real CLIP
vectors: image_features.npy and text_features.npy there.
"""

from __future__ import annotations

import argparse
import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from time import process_time

import numpy as np
from numpy.typing import NDArray

from corpus.captions import CaptionTable
from corpus.corrections import correction_of
from corpus.ledger import Ledger
from corpus.reading import read_captions
from corpus.records import CaptionRecord, ImageRecord, Record
from engine.alignment.alignment import Alignment
from engine.alignment.moments import PairMoments
from engine.alignment.towards import move, moved
from engine.app import Engine, build_engine
from engine.collection import CollectionFolder
from engine.describe.captioner import Captioner
from engine.describe.retriever import Retriever
from engine.settings import Settings
from engine.types import CaptionResult, Decoding, Encoder, Generator, Vectors
from engine.vectors import unit
from evaluation.matrix_captions import MatrixCaptions
from evaluation.metrics.intervals import bootstrap
from ingest.corrections import note_correction, take_in
from ingest.fit import fit
from ingest.pipeline import embed_only
from sample.measure import read_picture, read_rows
from sample.world.reading import check_caption, read_truth
from sample.world.scenes import Meaning
from sample.write_pack import PACK

COUNTS = (0, 5, 10, 20, 50, 100)
_NAME, _MEMORY = "postcards", "words"
Outcomes = NDArray[np.float64]


class Remembering:
    """A generator that writes nothing twice: where nothing was learned the prompts are the same."""

    def __init__(self, plain: Generator) -> None:
        self._plain, self._written = plain, dict[str, list[str]]()
        self.id, self.max_input_tokens = plain.id, plain.max_input_tokens
        self.count_tokens = plain.count_tokens

    def generate(self, prompts: list[str], n: int, decoding: Decoding) -> list[list[str]]:
        """Write up to `n` candidates for each prompt, as many as ever."""
        new = [prompt for prompt in dict.fromkeys(prompts) if prompt not in self._written]
        if new:
            told = self._plain.generate(new, n, decoding)
            self._written |= dict(zip(new, told, strict=True))
        return [self._written[prompt] for prompt in prompts]


class World:
    """The postcards, and the models of the sample, loaded once."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.settings = Settings(home=home, profile="sample", device="cpu")
        self.engine: Engine = build_engine(self.settings)
        encoder, generator = self.settings.models()
        self.encoder: Encoder = self.engine.models.encoder(encoder)
        loaded = self.engine.models.generator(generator)
        if loaded is None:
            raise TypeError("the sample profile names no generator")
        self.generator: Generator = Remembering(loaded)
        self.rows = read_rows(_NAME, "train")
        tests = read_rows(_NAME, "test")
        pictures = [read_picture(_NAME, row) for row in tests]
        self.images: Vectors = self.encoder.encode_images(pictures)
        self.truths = [read_truth(row["truth"]) for row in tests]

    def fill(self, *, memory: bool) -> None:
        """The collection before any correction."""
        words = [CaptionRecord(text) for text in (PACK / "memory.txt").read_text().splitlines()]
        pictures = [
            ImageRecord(row["image"], row["image"], PACK / _NAME / row["image"])
            for row in self.rows
        ]
        if memory:
            self._embed(_MEMORY, words)
            fit(self._folder(_MEMORY), self._folder(_MEMORY).read_card())
            self._embed(_NAME, pictures, memory=_MEMORY)
        else:
            self._embed(_NAME, [*words, *pictures])

    def _embed(self, name: str, records: Sequence[Record], memory: str = "") -> None:
        encoder, generator = self.settings.models()
        embed_only(
            records,
            name=name,
            encoder=self.encoder,
            encoder_spec=encoder,
            generator_spec=generator,
            settings=self.settings,
            memory=memory,
        )

    def _folder(self, name: str) -> CollectionFolder:
        return CollectionFolder(self.home, name)

    @property
    def folder(self) -> CollectionFolder:
        """The collection that is corrected."""
        return self._folder(_NAME)

    def correct(self, rows: Sequence[int]) -> None:
        """Say what these pictures show."""
        with Ledger.read(self.folder) as ledger:
            known = [ledger.named(self.rows[row]["image"])[0].sha256 for row in rows]
        for row, sha256 in zip(rows, known, strict=True):
            text = self.rows[row]["captions"][0]
            made = correction_of(sha256, "edited", text, replaced="", who="benchmark")
            note_correction(self.folder, made)
        take_in(self.folder, self.encoder)

    def map(self) -> Alignment:
        """The map that the program fits now."""
        return fit(self.folder, self.folder.read_card())

    def right(self, alignment: Alignment) -> Outcomes:
        """Which of the test pictures are described rightly under a map, (150,)."""
        own = read_captions(self.folder)
        table = own if not self.folder.read_card().memory else self._lent() + own
        # Hub correction is measured elsewhere: what is looked at here is the map.
        store = MatrixCaptions(table, alignment)
        retriever = Retriever([store], replace(alignment, hub_strength=0.0))
        captioner = Captioner(self.encoder, alignment, retriever, self.generator)
        told = captioner.describe_vectors(self.images)
        return np.array([self._is_right(*pair) for pair in zip(told, self.truths, strict=True)])

    def _lent(self) -> CaptionTable:
        return _captions_of(self._folder(_MEMORY))

    @staticmethod
    def _is_right(result: CaptionResult, truth: Meaning) -> float:
        return float(check_caption(result.caption, truth).all)


@cache
def _captions_of(folder: CollectionFolder) -> CaptionTable:
    return read_captions(folder)


def curve(counts: Sequence[int], seeds: int, *, memory: bool) -> Iterator[str]:
    """A table: the share described rightly after so many corrections."""
    with tempfile.TemporaryDirectory() as home:
        world = World(Path(home))
        world.fill(memory=memory)
        begun = world.folder.path
        before = world.map()
        nothing = world.right(before)
        stored: dict[int, list[Outcomes]] = {count: [] for count in counts}
        learned: dict[int, list[Outcomes]] = {count: [] for count in counts}
        methods: dict[int, list[str]] = {count: [] for count in counts}
        shutil.copytree(begun, Path(home) / "begun")
        for seed in range(seeds):
            shutil.rmtree(begun)
            shutil.copytree(Path(home) / "begun", begun)
            order = np.random.default_rng(seed).permutation(len(world.rows)).tolist()
            done = 0
            for count in counts:
                world.correct(order[done:count])
                done = count
                now = world.map()
                told = f"{now.method} {now.strength or ''}".strip()
                methods[count].append(told)
                stored[count].append(world.right(before) if count else nothing)
                is_same = now.fingerprint == before.fingerprint
                learned[count].append(stored[count][-1] if is_same else world.right(now))
            so_far = [float(np.mean(learned[count])) for count in counts]
            print(f"after {seed + 1} seeds:", np.round(so_far, 3), file=sys.stderr, flush=True)
    yield "| corrections | stored | learned from | gain | maps |"
    yield "| --- | --- | --- | --- | --- |"
    for count in counts:
        kept, gained = np.mean(stored[count], axis=0), np.mean(learned[count], axis=0)
        low, high = bootstrap(gained - kept, seed=0)
        gain = f"{(gained - kept).mean():+.3f} ({low:+.3f} to {high:+.3f})" if count else ""
        maps = ", ".join(sorted(set(methods[count])))
        yield f"| {count} | {kept.mean():.3f} | {gained.mean():.3f} | {gain} | {maps} |"


def real(folder: Path, seeds: int) -> Iterator[str]:
    """A table: what moving a map towards few pairs does on real vectors, on 300 other pairs."""
    images = unit(np.load(folder / "image_features.npy").astype(np.float32))
    captions = unit(np.load(folder / "text_features.npy").astype(np.float32))
    there, pool = slice(200, 500), np.arange(200)
    known = Alignment.from_means(
        images.mean(0), captions.mean(0), n_images=len(images), n_captions=len(captions)
    )
    yield "| pairs | the map at hand | strength 30 | as the program chooses | stayed |"
    yield "| --- | --- | --- | --- | --- |"
    for count in (5, 10, 20):
        found = []
        for seed in range(seeds):
            rows = np.random.default_rng(seed).permutation(pool)[:count]
            pairs = PairMoments(images.shape[1])
            pairs.update(images[rows], captions[rows])
            tried = (
                known,
                move(known, pairs, 30.0) or known,
                moved(known, images[rows], captions[rows], captions[200:350]),
            )
            kept = float(tried[2].maps_like(known))
            found.append([*(_first(one, images[there], captions[there]) for one in tried), kept])
        shares = np.mean(found, axis=0)
        told = " | ".join(f"{share:.3f}" for share in shares[:3])
        yield f"| {count} | {told} | {shares[3]:.0%} |"


def _first(alignment: Alignment, images: Vectors, captions: Vectors) -> float:
    """R@1, picture to caption."""
    cosines = alignment.map_images(images) @ alignment.map_texts(captions).T
    return float((cosines.argmax(axis=1) == np.arange(len(images))).mean())


def refit_seconds(dim: int, pairs: int) -> Iterator[str]:
    """How long it takes to take a pair into a map's moments and to refit it."""
    rng = np.random.default_rng(0)
    images = unit(rng.standard_normal((pairs, dim)).astype(np.float32))
    captions = unit(images + rng.standard_normal((pairs, dim)).astype(np.float32) / 8)
    moments, more = PairMoments(dim), PairMoments(dim)
    moments.update(images, captions)
    more.update(images[:1], captions[1:2])
    times = []
    for _ in range(3):
        started = process_time()
        Alignment.fit(moments + more, "shrink", strength=1.0)
        times.append(process_time() - started)
    yield f"{dim} dimensions, {pairs:,} pairs: {np.median(times):.2f} s of one core"


def main() -> None:
    """Measure from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--counts", default=",".join(map(str, COUNTS)))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--of", default="both", choices=("own", "memory", "both"))
    parser.add_argument("--refit", action="store_true", help="the time of a refit instead")
    parser.add_argument("--real", type=Path, help="a folder of real vectors to try it on instead")
    args = parser.parse_args()
    logging.disable(logging.WARNING)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    if args.real:
        for line in real(args.real, args.seeds):
            print(line, flush=True)
        return
    if args.refit:
        for line in refit_seconds(1024, 5_000):
            print(line, flush=True)
        return
    counts = [int(count) for count in args.counts.split(",")]
    for memory in (False, True):
        if args.of not in {"both", "memory" if memory else "own"}:
            continue
        print(f"\n### described from {'a memory' if memory else 'captions of its own'}\n")
        for line in curve(counts, args.seeds, memory=memory):
            print(line, flush=True)


if __name__ == "__main__":
    main()
