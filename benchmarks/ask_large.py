"""What questions take over a large collection, and whether their numbers are right.

    python -m benchmarks.ask_large              100,000 pictures of 512 dimensions
    python -m benchmarks.ask_large --n 20000

Each picture has two captions, drawn from a few things, numbers of them, colours and places, so that
the right number of each question is known, and dates over ten years; a tenth have none. Vectors
are those of `benchmarks.store`, a question's is drawn at random: what looks likely is judged as for
any search, and seldom found. The store is searched exactly. Times are of the processor, all
threads together, so that other work on the machine does not count; the first question of all, which
also learns which words captions use alike, stands apart.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import cast

import numpy as np
from PIL.Image import Image

from benchmarks.store import CENTRES, around
from engine.alignment.alignment import Alignment
from engine.ask.answering import Answering, Asker
from engine.ask.finding import Finder, Question
from engine.ask.known import KnownHere
from engine.ask.rules import read_question
from engine.ask.wordings import Wordings, reworded, wordings_of
from engine.collection import CollectionCard
from engine.describe.retriever import Retriever
from engine.search.gallery import Gallery
from engine.search.language import read_search
from engine.search.relevance import Relevance
from engine.search.relevance_sample import PICTURES, QUERIES, Sample
from engine.store import ImageStore, picture_id
from engine.store.embedded import EdgeIndex
from engine.store.image_store import image_spec
from engine.types import ImagePoint, Vectors
from engine.vectors import unit

TODAY = date(2026, 11, 30)
FIRST_DAY = datetime(2015, 1, 1)
THINGS = ("dog", "cat", "horse", "bus", "boat", "tree", "child", "bird", "kite", "car")
PLACES = ("on the beach", "in the snow", "on the street", "in a room", "in a meadow")
NUMBERS = ("a", "two", "three")
TIMES = 5


@dataclass(frozen=True)
class Seen:
    """What a picture shows, and when it was taken; without a thing nobody described it."""

    thing: str
    number: int
    other: str
    place: str
    year: int

    @property
    def captions(self) -> tuple[str, ...]:
        """Two captions of it."""
        if not self.thing:
            return ()
        many = "children" if self.thing == "child" else f"{self.thing}s"
        many = "buses" if self.thing == "bus" else many
        first = f"a {self.thing}" if self.number == 1 else f"{NUMBERS[self.number - 1]} {many}"
        return (f"{first} {self.place}", f"{first} and a {self.other}")

    def shows(self, *things: str) -> bool:
        """Whether captions name all of these."""
        return bool(self.thing) and {*things} <= {self.thing, self.other}


Fits = Callable[[Seen], bool]

QUESTIONS: dict[str, Fits] = {
    "how many pictures show a dog?": lambda one: one.shows("dog"),
    "how many pictures show two dogs on the beach?": lambda one: (
        one.thing == "dog" and one.number == 2 and one.place == PLACES[0]
    ),
    "how many pictures show a dog or a cat?": lambda one: one.shows("dog") or one.shows("cat"),
    "which pictures show a horse and a kite in the snow?": lambda one: (
        one.shows("horse", "kite") and one.place == PLACES[1]
    ),
    "how many pictures have no dog?": lambda one: not one.shows("dog"),
    "which pictures show a bus but no car in 2019?": lambda one: (
        one.shows("bus") and not one.shows("car") and one.year == 2019
    ),
    "how many pictures were taken in 2020 or 2021?": lambda one: one.year in {2020, 2021},
    "is there a unicorn?": lambda _: False,
    "are there more pictures of dogs than of cats?": lambda one: one.shows("dog"),
    "where are most pictures of children taken?": lambda one: one.shows("child"),
    "what did we photograph in the snow?": lambda one: one.place == PLACES[1],
}
"""Each with the pictures that it counts; of a comparison those of its first side."""


class _RandomEncoder:
    """Texts anywhere; pictures are never asked for."""

    id = "random"

    def __init__(self, dim: int) -> None:
        self.dim = dim
        self._chance = np.random.default_rng(7)

    def encode_images(self, images: list[Image]) -> Vectors:
        """No vector for no picture."""
        return np.empty((len(images), self.dim), np.float32)

    def encode_texts(self, texts: list[str]) -> Vectors:
        """A random direction each."""
        return unit(self._chance.standard_normal((len(texts), self.dim)).astype(np.float32))


def fill(store: ImageStore, raw: Vectors, chance: np.random.Generator) -> list[Seen]:
    """Write the pictures; what they show."""
    seen = []
    for start in range(0, len(raw), 1000):
        points = []
        for at in range(start, min(start + 1000, len(raw))):
            thing, other = chance.choice(len(THINGS), 2, replace=False)
            number, place, day = (int(chance.integers(most)) for most in (3, len(PLACES), 3650))
            taken = FIRST_DAY + timedelta(days=day)
            bare = at % 10 == 0
            here = "" if bare else PLACES[place]
            name = "" if bare else THINGS[thing]
            seen.append(Seen(name, number + 1, THINGS[other], here, taken.year))
            points.append(_point(at, raw[at], seen[-1].captions, taken))
        store.upsert(points)
    return seen


def _point(at: int, raw: Vectors, captions: tuple[str, ...], taken: datetime) -> ImagePoint:
    sha256 = f"{at:064x}"
    key = picture_id(sha256)
    return ImagePoint(
        key, str(at), f"{at}.jpg", sha256, 1, 1, raw, raw, captions=captions, taken_at=taken
    )


def relevance(raw: Vectors, alignment: Alignment, chance: np.random.Generator) -> Relevance:
    """What is likely, by texts near pictures of a sample."""
    pictures = raw[:PICTURES]
    rows = np.arange(min(QUERIES, len(pictures)), dtype=np.uint64)
    noise = chance.standard_normal((len(rows), raw.shape[1])) / raw.shape[1] ** 0.5
    texts = unit((pictures[: len(rows)] + noise).astype(np.float32))
    pairs = np.stack([rows, rows], 1)
    owners = np.arange(len(pictures), dtype=np.uint64)
    return Relevance(alignment, Sample(pictures, texts, pairs, pairs, owners))


def asked(asker: Asker, store: ImageStore, question: str, wordings: Wordings) -> tuple[int, str]:
    """How many pictures were counted by captions, and the answer."""
    read = reworded(read_question(question, today=TODAY, known=KnownHere(store)), wordings)
    searches = tuple(map(read_search, read.searches))
    one = Question(read, searches, tuple(search.filters for search in searches))
    (answer,) = asker.ask([one])
    return one.counts[0].said, answer.answered.text


def measured(asker: Asker, store: ImageStore, seen: Sequence[Seen]) -> None:
    """Print a row for each question."""
    started = time.process_time()
    wordings = wordings_of([store])
    print(f"learned in {time.process_time() - started:.2f} s, once, which words are used alike")
    print("| question | counted | right | ms, median | answer |")
    print("| --- | --- | --- | --- | --- |")
    for question, fits in QUESTIONS.items():
        taken = []
        for _ in range(TIMES):
            started = time.process_time()
            counted, answer = asked(asker, store, question, wordings)
            taken.append((time.process_time() - started) * 1000)
        right = sum(map(fits, seen))
        ms = float(np.median(taken))
        print(f"| {question} | {counted:,} | {right:,} | {ms:.0f} | {answer[:60]} |", flush=True)


def main() -> None:
    """Fill a store and ask it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--n", type=int, default=100_000, help="pictures")
    parser.add_argument("--dim", type=int, default=512, help="dimensions")
    given = parser.parse_args()
    chance = np.random.default_rng(0)
    centres = chance.standard_normal((CENTRES, given.dim)).astype(np.float32)
    raw = around(centres, given.n, chance)
    zero = np.zeros(given.dim, np.float32)
    alignment = Alignment.from_means(zero, zero, n_images=1, n_captions=1)
    card = CollectionCard("bench", "-", "bench", given.dim, "-")
    with tempfile.TemporaryDirectory() as folder:
        index = EdgeIndex.open_or_make(Path(folder, "images"), image_spec(card))
        with ImageStore(index) as store:
            seen = fill(store, raw, chance)
            judge = relevance(raw, alignment, chance)
            gallery = Gallery(_RandomEncoder(given.dim), alignment, store, lambda: judge)
            finder = Finder(gallery, cast(Retriever, None), lambda: "mapped")
            answering = Answering(lambda: None, lambda _: None)
            measured(Asker(finder, answering), store, seen)


if __name__ == "__main__":
    main()
