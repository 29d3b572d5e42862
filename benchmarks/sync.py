"""How long a sync takes that finds nothing, beside a walk that looks at each file once.

    python -m benchmarks.sync --dir /a/folder/with/room --files 10000 50000

The pictures are one small PNG with a number behind its end, in folders of 500; the encoder gives
made-up vectors, as only what a sync does beside it is timed. Then two of the folders are moved, and
a table of the same pictures is read too. Medians of `--runs` in one process, one after the other,
in seconds of a processor: what else the machine does makes no difference.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from statistics import median
from time import process_time

import numpy as np
from PIL import Image

from engine.app import Engine
from engine.models.loaded import Models
from engine.settings import Settings
from engine.types import Encoder, Vectors
from ingest.filling import fill
from ingest.sources import Source
from ingest.sync import sync

NAME, IN_A_FOLDER, DIM = "files", 500, 64


class MadeUp:
    """An encoder whose vectors mean nothing, and that counts what it encodes."""

    id, dim = "made up", DIM

    def __init__(self) -> None:
        self.encoded = 0
        self._random = np.random.default_rng(0)

    def encode_images(self, images: list[Image.Image]) -> Vectors:
        """Made-up vectors, which are counted."""
        self.encoded += len(images)
        return self._rows(len(images))

    def encode_texts(self, texts: list[str]) -> Vectors:
        """Made-up vectors."""
        return self._rows(len(texts))

    def _rows(self, count: int) -> Vectors:
        rows = self._random.normal(size=(count, DIM)).astype(np.float32)
        return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


class OneEncoder(Models):
    """Knows one encoder, whatever is asked for."""

    def __init__(self, settings: Settings, encoder: Encoder) -> None:
        super().__init__(settings)
        self._encoder = encoder

    def encoder(self, spec: str) -> Encoder:
        """The one."""
        del spec
        return self._encoder


def main() -> None:
    """Measure each size, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dir", type=Path, default=None)
    parser.add_argument("--files", type=int, nargs="+", default=[10_000, 50_000])
    parser.add_argument("--runs", type=int, default=5)
    asked = parser.parse_args()
    print("| files | walk and stat | sync, nothing new | 1,000 moved | nothing new, with a table |")
    print("| --- | --- | --- | --- | --- |")
    for count in asked.files:
        with tempfile.TemporaryDirectory(dir=asked.dir) as base:
            print(f"| {count:,} | {' | '.join(measured(Path(base), count, asked.runs))} |")


def measured(base: Path, count: int, runs: int) -> list[str]:
    """The times of one size."""
    photos = base / "photos"
    make(photos, count)
    settings = Settings(home=base / "home", generator="consensus", qdrant_url="", workers=1)
    engine, encoder = Engine(settings), MadeUp()
    engine.models = OneEncoder(settings, encoder)
    ingest(engine, photos)

    def nothing() -> None:
        report = sync(engine, NAME)
        if report.done is not None or report.found.changes:
            raise AssertionError(report.text)

    walked, synced = timed(lambda: walk(photos), runs), timed(nothing, runs)
    before = encoder.encoded
    (photos / "elsewhere").mkdir()
    for folder in sorted(photos.iterdir())[:2]:
        folder.rename(photos / "elsewhere" / folder.name)
    moved = timed(lambda: sync(engine, NAME), 1)
    if encoder.encoded != before:
        raise AssertionError(f"{encoder.encoded - before} pictures were encoded again")
    table = base / "table.csv"
    rows = (f"{path},picture {path.stem}" for path in sorted(photos.rglob("*.png")))
    table.write_text("image,caption\n" + "\n".join(rows))
    ingest(engine, table)
    with_table = timed(nothing, runs)
    engine.close()
    return [f"{seconds:.2f} s" for seconds in (walked, synced, moved, with_table)]


def make(photos: Path, count: int) -> None:
    """So many pictures of which no two have the same bytes."""
    buffer = BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "png")
    for number in range(count):
        folder = photos / f"{number // IN_A_FOLDER:04}"
        if number % IN_A_FOLDER == 0:
            folder.mkdir(parents=True)
        (folder / f"{number:06}.png").write_bytes(buffer.getvalue() + str(number).encode())


def ingest(engine: Engine, path: Path) -> None:
    """Fill the collection from a source, which it knows from then on."""
    source = Source(str(path))
    fill(engine, source.records(), NAME, models=("spec", "consensus"), source=source)


def walk(folder: Path) -> int:
    """A plain look at each file."""
    return sum(
        os.stat(f"{place}/{name}").st_size  # noqa: PTH116 (a path of its own takes as long again)
        for place, _, names in os.walk(folder)
        for name in names
    )


def timed(work: Callable[[], object], runs: int) -> float:
    """The median of the seconds of a processor that it takes."""
    taken = []
    for _ in range(runs):
        began = process_time()
        work()
        taken.append(process_time() - began)
    return median(taken)


if __name__ == "__main__":
    main()
