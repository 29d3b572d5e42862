"""Runs one task of one side in this process, and tells its time and its memory."""

from __future__ import annotations

import argparse
import json
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import Protocol

import numpy as np
from PIL import Image

from benchmarks.scale.made_up import DIM, Block, blocks
from engine.types import Vectors

TOUCHES = 10


class Side(Protocol):
    """A program whose collections are measured; each task takes the collection's home."""

    def write(self, home: Path, some: Iterator[Block], clock: Clock) -> None:
        """Write pictures and their captions to a collection, which is made if need be."""

    def open(self, home: Path) -> None:
        """Open the ledger."""

    def rebuild(self, home: Path) -> None:
        """Delete the ledger and make it anew."""

    def split(self, home: Path, name: str) -> int:
        """Read the captioned pictures of a split with vectors; gives their number."""

    def pairs(self, home: Path) -> int:
        """Read every living picture that has captions, as the fit does; gives their number."""

    def gather(self, home: Path) -> int:
        """The fit's whole pass, moments included; gives the number of pictures."""

    def push(self, home: Path) -> int:
        """Write the index; gives the number of points."""

    def compact(self, home: Path) -> None:
        """Write the living rows anew, if the side can."""


class Clock:
    """Counts the time within its blocks."""

    def __init__(self) -> None:
        self.seconds = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        """Count the time of this block."""
        started = perf_counter()
        yield
        self.seconds += perf_counter() - started


class ReadyEncoder:
    """Gives vectors that are there already, in order: an encoder that takes no time."""

    id = "made up"
    dim = DIM

    def __init__(self) -> None:
        self._images: list[Vectors] = []
        self._texts: list[Vectors] = []

    def feed(self, block: Block) -> None:
        """What is to be given next."""
        self._images.append(block.images)
        self._texts.append(block.texts)

    def encode_images(self, images: list[Image.Image]) -> Vectors:
        """The next vectors of pictures."""
        return _taken(self._images, len(images))

    def encode_texts(self, texts: list[str]) -> Vectors:
        """The next vectors of captions."""
        return _taken(self._texts, len(texts))


def _taken(waiting: list[Vectors], count: int) -> Vectors:
    parts = []
    while count:
        part, rest = waiting[0][:count], waiting[0][count:]
        parts.append(part)
        count -= len(part)
        waiting[0] = rest
        if not len(rest):
            del waiting[0]
    return np.concatenate(parts) if parts else np.empty((0, DIM), np.float32)


def peak_mb() -> float:
    """The peak resident memory of this process in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def main(side: Side) -> None:
    """Read the command line, run the task, print a line of JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("task")
    parser.add_argument("home", type=Path)
    parser.add_argument("count", type=int)
    parser.add_argument("captions", type=int)
    args = parser.parse_args()
    home, count, captions = args.home, args.count, args.captions
    clock = Clock()
    writes: dict[str, Callable[[], None]] = {
        "write": lambda: side.write(home, blocks(count, captions), clock),
        "add": lambda: side.write(home, blocks(max(1, count // 100), captions, count), clock),
        "touch": lambda: _touch(side, home, count, captions, clock),
    }
    tasks: dict[str, Callable[[], int | None]] = {
        "open": lambda: side.open(home),
        "rebuild": lambda: side.rebuild(home),
        "split": lambda: side.split(home, "val"),
        "pairs": lambda: side.pairs(home),
        "gather": lambda: side.gather(home),
        "push": lambda: side.push(home),
        "compact": lambda: side.compact(home),
    }
    before, found = peak_mb(), None
    if args.task in writes:
        writes[args.task]()
    else:
        with clock.running():
            found = tasks[args.task]()
    told = {"seconds": clock.seconds, "before_mb": before, "peak_mb": peak_mb(), "found": found}
    print(json.dumps(told))


def _touch(side: Side, home: Path, count: int, captions: int, clock: Clock) -> None:
    for touched in range(1, TOUCHES + 1):
        side.write(home, blocks(count, captions, touched=touched), clock)
