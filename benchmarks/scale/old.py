"""The tasks on the program as it was at 8b99010, which must come first on the path."""
# mypy: ignore-errors

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from benchmarks.scale.child import Clock, ReadyEncoder, main
from benchmarks.scale.made_up import DIM, Block, MadeUp
from engine.collection import CollectionCard, CollectionFolder
from engine.settings import Settings
from engine.types import TRAINING_SPLITS
from ingest.building import Item, ShardBuilder
from ingest.examples import read_examples
from ingest.ledger import Ledger
from ingest.pairs import gather
from ingest.progress import silent
from ingest.shards import Entry, read_shard, shard_path, unit


class Old:
    """Shards of safetensors with JSON headers."""

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
                    builder.add(Item(_entry(picture), image=image))
        with clock.running():
            builder.finish()
            ledger.close()

    def open(self, home: Path) -> None:
        """Open the ledger."""
        Ledger.open(_folder(home)).close()

    def rebuild(self, home: Path) -> None:
        """Delete the ledger and make it anew."""
        for path in _folder(home).embeddings.glob("ledger.sqlite*"):
            path.unlink()
        self.open(home)

    def split(self, home: Path, name: str) -> int:
        """What evaluate reads."""
        return len(read_examples(_folder(home), {name}))

    def pairs(self, home: Path) -> int:
        """What `gather` reads, without the moments."""
        folder, found = _folder(home), 0
        with Ledger.open(folder) as ledger:
            for number in ledger.shards():
                shard = read_shard(shard_path(folder.embeddings, number))
                live, entries = ledger.live_rows(number), shard.contents.entries
                rows = [row for row in live if entries[row].split in TRAINING_SPLITS]
                unit(shard.images)
                unit(shard.captions)
                found += sum(bool(entries[row].captions) for row in rows)
        return found

    def gather(self, home: Path) -> int:
        """The fit's pass."""
        folder = _folder(home)
        with Ledger.open(folder) as ledger:
            return gather(folder, ledger, DIM, silent).pictures

    def push(self, home: Path) -> int:
        """Fit what needs no pairs, then push without the graph."""
        from ingest.fit import fit
        from ingest.push import push

        folder = _folder(home)
        card = folder.read_card()
        if not folder.alignment.is_file():
            fit(folder, card, method="raw")
        settings = Settings(home=home, qdrant_url="")
        return push(folder, card, settings, optimize=False).points

    def compact(self, home: Path) -> None:
        """There was no such thing."""


def _folder(home: Path) -> CollectionFolder:
    return CollectionFolder(home, "scale")


def _entry(picture: MadeUp) -> Entry:
    return Entry(
        image_id=picture.image_id,
        uri=picture.image_id,
        path=picture.path,
        size=picture.size,
        mtime_ns=picture.mtime_ns,
        sha256=picture.sha256,
        width=picture.width,
        height=picture.height,
        taken_at=picture.taken_at,
        captions=picture.captions,
        split=picture.split,
        tags=(),
    )


def _refuse(uri: str) -> None:
    raise ValueError(f"{uri} has no usable vector")


if __name__ == "__main__":
    main(Old())
