"""The tasks on the program as it is now."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from benchmarks.scale.child import Clock, ReadyEncoder, main
from benchmarks.scale.made_up import DIM, Block, MadeUp
from corpus.compaction import compact
from corpus.entry import Entry, Name
from corpus.ledger import Ledger, forget_ledger
from corpus.pairs import gather
from corpus.reading import read_examples
from corpus.shards import Shard
from engine.collection import CollectionCard, CollectionFolder
from engine.settings import Settings
from engine.types import TRAINING_SPLITS
from engine.vectors import unit
from ingest.building import Item, ShardBuilder
from ingest.fit import fit
from ingest.push import push


class New:
    """Shards of columns."""

    def write(self, home: Path, some: Iterator[Block], clock: Clock) -> None:
        """As `embed` does, without files to open."""
        folder, encoder, image = _folder(home), ReadyEncoder(), Image.new("RGB", (1, 1))
        if not folder.exists():
            folder.write_card(CollectionCard("scale", "spec", encoder.id, DIM, "consensus"))
        with clock.running():
            ledger = Ledger.open(folder)
            builder = ShardBuilder(
                encoder, folder, ledger, batch_size=32, shard_size=1024, on_bad=_refuse
            )
        for block in some:
            encoder.feed(block)
            with clock.running():
                for picture in block.pictures:
                    builder.add(Item(_entry(picture), images=(image,)))
        with clock.running():
            builder.finish()
            ledger.close()

    def open(self, home: Path) -> None:
        """Open the ledger to write."""
        Ledger.open(_folder(home)).close()

    def rebuild(self, home: Path) -> None:
        """Delete the ledger and make it anew."""
        forget_ledger(_folder(home))
        self.open(home)

    def split(self, home: Path, name: str) -> int:
        """What evaluate reads."""
        return len(read_examples(_folder(home), {name}))

    def pairs(self, home: Path) -> int:
        """What `gather` reads, without the moments."""
        found = 0
        with Ledger.read(_folder(home)) as ledger:
            for file in ledger.shards():
                shard, live = Shard(file), ledger.live(file.number)
                unit(shard.images)
                unit(shard.captions)
                rows = (row for row in live.pictures if shard.splits[row] in TRAINING_SPLITS)
                found += sum(shard.offsets[row + 1] > shard.offsets[row] for row in rows)
        return int(found)

    def gather(self, home: Path) -> int:
        """The fit's pass."""
        folder = _folder(home)
        with Ledger.read(folder) as ledger:
            return gather(folder, ledger, DIM).pictures

    def push(self, home: Path) -> int:
        """Fit what needs no pairs, then push."""
        folder = _folder(home)
        card = folder.read_card()
        if not folder.alignment.is_file():
            fit(folder, card, method="raw")
        return push(folder, card, Settings(home=home, qdrant_url="")).points

    def compact(self, home: Path) -> None:
        """Write the living rows anew."""
        folder = _folder(home)
        with Ledger.read(folder) as ledger:
            pushed = ledger.last_commit()
        compact(folder, pushed=pushed)


def _folder(home: Path) -> CollectionFolder:
    return CollectionFolder(home, "scale")


def _entry(picture: MadeUp) -> Entry:
    name = Name(
        image_id=picture.image_id,
        uri=picture.image_id,
        path=picture.path,
        size=picture.size,
        mtime_ns=picture.mtime_ns,
        captions=picture.captions,
        split=picture.split,
    )
    return Entry(picture.sha256, picture.width, picture.height, (name,), picture.taken_at)


def _refuse(uri: str) -> None:
    raise ValueError(f"{uri} has no usable vector")


if __name__ == "__main__":
    main(New())
