"""What it costs to give many pictures many labels: time and memory of each step.

    OMP_NUM_THREADS=1 python -m benchmarks.tagging
    OMP_NUM_THREADS=1 python -m benchmarks.tagging --pictures 20000 --labels 200

Pictures of one to three made-up things, with a caption that names them, 512-d; as many labels as
there are things. The encoder is a table of words, so what a real one needs for three sentences a
label comes on top. Each step is a process of its own; `before` is what it takes before it begins,
with the program loaded. No graph is built: labels need none.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from time import perf_counter

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.scale.child import Clock, peak_mb
from benchmarks.scale.made_up import BLOCK, DIM, Block, MadeUp
from benchmarks.scale.new import New
from benchmarks.sync import OneEncoder
from engine.app import Engine
from engine.settings import Settings
from engine.types import Vectors
from engine.vectors import unit
from ingest import push as pushing
from ingest.fit import fit
from mrag_client.models import MOST_LABELLED, LabelledOptions, TagOptions
from service.answering import LocalAnswers

NAME, _STEPS = "scale", 7
NOISE = 0.05


class Words:
    """An encoder in whose space each word has a direction, and a sentence the sum of its words."""

    id, dim = "made up", DIM

    def encode_texts(self, texts: list[str]) -> Vectors:
        """The sums of the words' directions."""
        return _sums([[_word(one) for one in text.strip(".").split()] for text in texts])

    def encode_images(self, images: list[Image.Image]) -> Vectors:
        """Pictures come with their vectors."""
        raise NotImplementedError(f"{len(images)} pictures have no vectors here")


def _word(text: str) -> NDArray[np.float64]:
    return np.random.default_rng(list(text.encode())).normal(size=DIM)


def _sums(rows: list[list[NDArray[np.float64]]]) -> Vectors:
    return np.asarray(unit(np.array([np.sum(row, axis=0) for row in rows])), np.float32)


def things(count: int) -> list[str]:
    """The names of so many things."""
    return [f"thing{number}" for number in range(count)]


def blocks(count: int, labels: list[str]) -> Iterator[Block]:
    """Pictures of one to three things, by the block."""
    words = {name: _word(name) for name in (*labels, "a", "and")}
    for start in range(0, count, BLOCK):
        rng = np.random.default_rng(start)
        has = [
            [labels[at] for at in rng.integers(len(labels), size=rng.integers(1, 4))]
            for _ in range(min(BLOCK, count - start))
        ]
        seen = _sums([[words[one] for one in of] for of in has])
        images = unit(seen + NOISE * rng.normal(size=seen.shape) + 0.02)
        said = [f"a {' and a '.join(of)}" for of in has]
        texts = _sums([[words[one] for one in text.split()] for text in said])
        pictures = [_picture(rng, start + at, text) for at, text in enumerate(said)]
        yield Block(pictures, np.asarray(images, np.float32), texts)


def _picture(rng: np.random.Generator, number: int, said: str) -> MadeUp:
    name = f"{number:07d}.jpg"
    sha256 = rng.bytes(32).hex()
    return MadeUp(name, f"/srv/{name}", 1, number, sha256, 1, 1, None, (said,), "train")


# Each step, in a process of its own.


def fill(engine: Engine, pictures: int, labels: list[str]) -> str:
    """Write the collection, its map and its index."""
    New().write(engine.settings.home, blocks(pictures, labels), Clock())
    opened = engine.open(NAME)
    fit(opened.folder, opened.card, method="centred")
    return push_all(engine)


def tag(engine: Engine, labels: list[str], **options: float | bool) -> str:
    """Give labels, to the index too, or only try them."""
    asked = TagOptions.model_validate({"labels": "\n".join(labels), "k": 0, **options})
    told = LocalAnswers(engine).tag(asked, collection=NAME)
    count = sum(one.pictures for one in told.labels)
    return f"{count:,} labels for {told.labelled:,} of {told.pictures:,} pictures"


def table(engine: Engine) -> str:
    """Read all that was given, page by page."""
    options, found = LabelledOptions(k=MOST_LABELLED), 0
    answers = LocalAnswers(engine)
    while True:
        page = answers.labelled(options, collection=NAME)
        found += len(page.pictures)
        if not page.next:
            return f"{found:,} pictures"
        options = options.model_copy(update={"after": page.next})


def push_all(engine: Engine) -> str:
    """Write the index anew, with the labels."""
    opened = engine.open(NAME)
    report = pushing.push(opened.folder, opened.card, engine.settings, rebuild=True)
    return f"{report.points:,} points"


def untag(engine: Engine) -> str:
    """Take them back."""
    LocalAnswers(engine).untag("labels", collection=NAME)
    return ""


def steps(engine: Engine, pictures: int, count: int) -> dict[str, Callable[[], str]]:
    """What is measured, in that order."""
    labels = things(count)
    return {
        "fill the collection": partial(fill, engine, pictures, labels),
        "say what they would get": partial(tag, engine, labels, dry_run=True),
        "give them": partial(tag, engine, labels),
        "read all that was given": partial(table, engine),
        "give others in their place": partial(tag, engine, labels, least=0.7),
        "write the index anew": partial(push_all, engine),
        "take them back": partial(untag, engine),
    }


def measured(home: Path, pictures: int, labels: int, at: int) -> str:
    """A step as a row: seconds, memory before and at most in MB, and what came of it."""
    settings = Settings(home=home, generator="consensus", qdrant_url="", workers=1)
    pushing.OPTIMIZE_FROM = 10 * pictures  # graphs are for searches, and take their own time
    with closing(Engine(settings)) as engine:
        engine.models = OneEncoder(settings, Words())
        name, step = list(steps(engine, pictures, labels).items())[at]
        before, started = peak_mb(), perf_counter()
        told = step()
        seconds = perf_counter() - started
    return f"| {name} | {seconds:.1f} | {before:.0f} | {peak_mb():.0f} | {told} |"


def main() -> None:
    """Measure each step, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--pictures", type=int, default=100_000)
    parser.add_argument("--labels", type=int, default=1_000)
    asked = parser.parse_args()
    print("| step | seconds | MB before | MB at most | what came of it |")
    print("| --- | --- | --- | --- | --- |", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for at in range(_STEPS):
            with get_context("spawn").Pool(1) as pool:
                args = (Path(folder), asked.pictures, asked.labels, at)
                print(pool.apply(measured, args), flush=True)


if __name__ == "__main__":
    main()
