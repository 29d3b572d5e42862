"""A collection as another encoder sees it: its pictures and captions embedded once more."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

from corpus.ledger import Ledger
from corpus.records import ImageRecord, Record
from corpus.said import SaidReader
from corpus.shards import Shard
from engine.collection import CollectionFolder
from engine.progress import OnProgress, silent
from engine.settings import Settings
from engine.types import Encoder
from engine.video.address import file_at
from ingest.embed import EmbedOptions, embed


def embed_by(
    folder: CollectionFolder,
    spec: str,
    encoder: Encoder,
    settings: Settings,
    on_progress: OnProgress = silent,
) -> CollectionFolder:
    """Embed a collection by another encoder, once, into a folder inside its own."""
    name = f"encoder-{sha256(encoder.id.encode()).hexdigest()[:16]}"
    target = CollectionFolder(folder.path / "ablation", name)
    card = replace(
        folder.read_card(), name=name, encoder=spec, encoder_id=encoder.id, dim=encoder.dim
    )
    with Ledger.read(folder) as ledger:
        target.write_card(card)
        embed(
            _records(ledger),
            encoder,
            target,
            EmbedOptions(settings.limits, settings.batch_size, settings.workers),
            on_progress=on_progress,
        )
    return target


def _records(ledger: Ledger) -> Iterator[Record]:
    """The pictures and captions that a collection was made from."""
    reader = SaidReader(ledger)
    for file in ledger.shards():
        live = ledger.live(file.number)
        if not (live.pictures or live.loose):
            continue
        shard = Shard(file)
        for entry, captions in reader.of(shard, live.pictures):
            paths = [Path(name.path) for name in entry.names]
            path = next((path for path in paths if file_at(path).exists()), paths[0])
            yield ImageRecord(entry.image_id, entry.uri, path, captions, entry.split, entry.tags)
        yield from shard.loose_captions(live.loose)
