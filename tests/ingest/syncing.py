"""A collection over sources that change, for the tests of syncing it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from zlib import crc32

from corpus.ledger import Ledger
from corpus.records import Leaving, Record
from corpus.shards import Shard
from engine.app import Engine
from engine.collection import CollectionFolder
from engine.settings import Settings
from ingest.embed import EmbedOptions, embed
from ingest.filling import fill
from ingest.pipeline import IngestReport, embed_only
from ingest.sources import Source, Sources
from ingest.sync import Allowed, SyncReport, brought_level, preview, sync
from tests.worlds import OneEncoder, PixelEncoder, paint

NAME = "album"


class Album:
    """An engine with a fake encoder, and a collection that knows sources.

    Without an index it is embedded alone, which is much quicker.
    """

    def __init__(self, base: Path, *, has_index: bool = False) -> None:
        self.base, self.has_index = base, has_index
        self.settings = Settings(
            home=base / "home", generator="consensus", batch_size=8, workers=1, qdrant_url=""
        )
        self.encoder = PixelEncoder()
        self.engine = Engine(self.settings)
        self.engine.models = OneEncoder(self.settings, self.encoder)
        self.clock = 10**18

    @property
    def folder(self) -> CollectionFolder:
        return self.engine.folder(NAME)

    def ingest(self, path: Path, **options: Any) -> IngestReport:
        source = Source(str(path), **options)
        if not self.has_index:
            return self.embed(source.records(), source=source)
        return fill(
            self.engine, source.records(), NAME, models=("spec", "consensus"), source=source
        )

    def sync(self, allowed: Allowed = "little") -> SyncReport:
        if not self.has_index:
            return brought_level(self.folder, self.embed, allowed=allowed)
        return sync(self.engine, NAME, allowed=allowed)

    def embed(
        self,
        records: Iterable[Record],
        leaving: Leaving | None = None,
        source: Source | None = None,
    ) -> IngestReport:
        """Embed alone."""
        report = embed_only(
            records,
            name=NAME,
            encoder=self.encoder,
            encoder_spec="spec",
            generator_spec="consensus",
            settings=self.settings,
            leaving=leaving,
            source=source,
        )
        return IngestReport(report, 0, 0, 0)

    def preview(self) -> SyncReport:
        return preview(self.engine, NAME)

    def holds(self, folder: CollectionFolder | None = None) -> dict[str, Any]:
        """Each picture with its files and what is said of it, and the captions that stand alone."""
        found: dict[str, Any] = {}
        with Ledger.open(folder or self.folder) as ledger:
            for file in ledger.shards():
                shard, live = Shard(file), ledger.live(file.number)
                for entry in shard.entries(live.pictures):
                    names = {(name.path, name.image_id, name.captions) for name in entry.names}
                    found[entry.sha256] = (names, set(entry.captions), entry.split)
                for caption in shard.loose_captions(live.loose):
                    found.setdefault("alone", set()).add((caption.text, caption.image_id))
        return found

    def afresh(self) -> dict[str, Any]:
        """What an ingest of the same sources would hold in a collection that is new."""
        folder = CollectionFolder(self.base / "fresh" / os.urandom(4).hex(), NAME)
        folder.path.mkdir(parents=True)
        for source in Sources(self.folder).known():
            embed(source.records(), PixelEncoder(), folder, EmbedOptions(batch_size=8))
        return self.holds(folder)

    def indexed(self) -> tuple[int, int]:
        """Pictures and captions that the index holds."""
        opened = self.engine.open(NAME)
        return opened.images.count(), opened.captions.count()

    def paint(self, *names: str, folder: str = "photos") -> list[Path]:
        """Pictures of which each name gives another one, with times of their own."""
        made = []
        for name in names:
            path = self.base / folder / name
            paint(path, crc32(name.encode()))
            self.touch(path)
            made.append(path)
        return made

    def write(self, name: str, *lines: str) -> Path:
        """A file of these lines, with a time of its own."""
        path = self.base / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        self.touch(path)
        return path

    def touch(self, path: Path) -> None:
        # Times of their own: a clock may be too coarse to tell two writes apart.
        self.clock += 10**9
        os.utime(path, ns=(self.clock, self.clock))
