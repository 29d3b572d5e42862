"""An ingest to be killed: `killable.py HOME SOURCE SECONDS_A_BATCH` says "ready" and begins."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from PIL import Image

from corpus.records import CaptionRecord, Record
from engine.settings import Settings
from engine.types import Encoder, Vectors
from ingest import building, describe, push
from ingest.pipeline import ingest
from ingest.readers import open_source
from tests.worlds import PixelEncoder, PlainDescriber


class SlowEncoder:
    """Takes its time, so that a kill can come anywhere."""

    def __init__(self, plain: Encoder, seconds: float) -> None:
        self._plain = plain
        self._seconds = seconds
        self.id, self.dim = plain.id, plain.dim

    def encode_images(self, images: list[Image.Image]) -> Vectors:
        time.sleep(self._seconds)
        return self._plain.encode_images(images)

    def encode_texts(self, texts: list[str]) -> Vectors:
        return self._plain.encode_texts(texts)


def run(home: Path, source: Path, seconds: float) -> None:
    # Many small shards, flushes and batches: many moments at which something can go wrong.
    building.SHARD_SECONDS = 0.05
    push.FLUSH_POINTS = 30
    describe.SHARD_SIZE = 5
    records: list[Record] = [*open_source(source)]
    records += [CaptionRecord(f"loose {i}", split="train") for i in range(50)]
    settings = Settings(home=home, batch_size=4, workers=2, qdrant_url="")
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    ingest(
        records,
        name="killed",
        encoder=SlowEncoder(PixelEncoder(), seconds),
        encoder_spec="spec",
        generator_spec="consensus",
        settings=settings,
        captioner_factory=PlainDescriber,
    )


if __name__ == "__main__":
    run(Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3]))
