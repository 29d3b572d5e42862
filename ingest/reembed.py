"""A collection as another encoder sees it: its pictures and captions embedded once more."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

from corpus.ledger import Ledger
from corpus.lock import writing
from corpus.records import ImageRecord, Record
from corpus.shards import read_contents, shard_path
from engine.collection import CollectionFolder
from engine.progress import OnProgress, silent
from engine.settings import Settings
from engine.types import Encoder
from ingest.embed import embed


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
    with writing(folder), Ledger.open(folder) as ledger:
        target.write_card(card)
        embed(
            _records(folder, ledger),
            encoder,
            target,
            limits=settings.limits,
            batch_size=settings.batch_size,
            workers=settings.workers,
            on_progress=on_progress,
        )
    return target


def _records(folder: CollectionFolder, ledger: Ledger) -> Iterator[Record]:
    """The pictures and captions that a collection was made from."""
    for number in ledger.shards():
        contents = read_contents(shard_path(folder.embeddings, number))
        for row in ledger.live_rows(number):
            entry = contents.entries[row]
            path = Path(entry.path)
            captions, split = entry.captions, entry.split
            yield ImageRecord(entry.image_id, entry.uri, path, captions, split, entry.tags)
        yield from contents.loose
