"""Peak memory of each stage of an ingest, as the source grows.

    python -m benchmarks.ingest_memory [--sizes 10000 50000] [--dim 512]

For each size and stage a process of its own: `embed` takes so many captions from a stream (with
an encoder that costs nothing), `ledger` is made anew from shards of so many pictures with a
caption each, `fit` fits a map on them, `push` writes both indexes. What the embedded store
itself keeps in memory is part of the last, and grows.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import numpy as np
from PIL.Image import Image

from corpus.ledger import Ledger
from corpus.records import CaptionRecord
from corpus.shards import Contents, Entry, Shard, shard_path, write_shard
from engine.collection import CollectionCard, CollectionFolder
from engine.settings import Settings
from engine.types import Vectors
from ingest.embed import embed
from ingest.fit import fit
from ingest.push import push

STAGES = ("embed", "ledger", "fit", "push")
SHARD = 1024


class NoiseEncoder:
    """Random vectors at no cost."""

    id = "noise"

    def __init__(self, dim: int) -> None:
        self.dim = dim
        self._rng = np.random.default_rng(0)

    def encode_images(self, images: list[Image]) -> Vectors:
        """Random unit rows."""
        return self._rows(len(images))

    def encode_texts(self, texts: list[str]) -> Vectors:
        """Random unit rows."""
        return self._rows(len(texts))

    def _rows(self, n: int) -> Vectors:
        rows = self._rng.normal(size=(n, self.dim)).astype(np.float32)
        return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))


def main() -> None:
    """Run every stage for every size and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 50_000])
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--stage", choices=STAGES, help=argparse.SUPPRESS)
    parser.add_argument("--home", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.stage:
        run_stage(given.stage, given.home, given.sizes[0], given.dim)
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
        return
    print(f"Peak memory in MiB, {given.dim}-d")
    print("| records | " + " | ".join(STAGES) + " |")
    print("| --- " * (1 + len(STAGES)) + "|")
    for size in given.sizes:
        with tempfile.TemporaryDirectory() as home:
            write_pictures(CollectionFolder(Path(home), "pictures"), size, given.dim)
            peaks = [measured(stage, home, size, given.dim) for stage in STAGES]
        print(f"| {size:,} | " + " | ".join(f"{peak:.0f}" for peak in peaks) + " |")


def measured(stage: str, home: str, size: int, dim: int) -> float:
    """Peak MiB of a stage in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.ingest_memory", "--stage", stage, "--home", home]
    command += ["--sizes", str(size), "--dim", str(dim)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(done.stdout.splitlines()[-1])


def run_stage(stage: str, home: Path, size: int, dim: int) -> None:
    """Do one stage."""
    pictures = CollectionFolder(home, "pictures")
    card = CollectionCard("pictures", "noise", "noise", dim, "consensus")
    if stage == "embed":
        folder = CollectionFolder(home, "captions")
        folder.path.mkdir(parents=True)
        embed(captions(size), NoiseEncoder(dim), folder)
    elif stage == "ledger":
        Ledger.open(pictures).close()
    elif stage == "fit":
        fit(pictures, card, method="shrink")
    else:
        push(pictures, card, Settings(home=home, qdrant_url=""))


def captions(size: int) -> Iterator[CaptionRecord]:
    """A stream of captions that all differ."""
    return (CaptionRecord(f"two dogs play with ball number {i} on a beach") for i in range(size))


def write_pictures(folder: CollectionFolder, size: int, dim: int) -> None:
    """Shards of pictures with random vectors and a caption each."""
    encoder = NoiseEncoder(dim)
    for number, start in enumerate(range(0, size, SHARD)):
        names = [f"{i:08d}.jpg" for i in range(start, min(start + SHARD, size))]
        contents = Contents(tuple(entry(name) for name in names), ())
        images = encoder.encode_texts(names).astype(np.float16)
        texts = encoder.encode_texts(names).astype(np.float16)
        write_shard(shard_path(folder.embeddings, number), Shard(contents, images, texts), "noise")


def entry(name: str) -> Entry:
    """A picture that has been embedded."""
    return Entry(
        image_id=name,
        uri=f"/photos/{name}",
        path=f"/photos/{name}",
        size=1,
        mtime_ns=1,
        sha256=sha256(name.encode()).hexdigest(),
        width=640,
        height=480,
        taken_at=None,
        captions=(f"a picture that is named {name}",),
        split="train",
        tags=(),
    )


if __name__ == "__main__":
    main()
