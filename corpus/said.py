"""What people say of pictures: a correction before what was said where they came from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from corpus.corrections import joined_texts
from corpus.entry import Entry
from corpus.ledger import Ledger
from corpus.shards import Shard


class Said(NamedTuple):
    """A picture, and its captions that people wrote, each once."""

    entry: Entry
    captions: tuple[str, ...]


class SaidReader:
    """Reads pictures with what people say of them, each shard of corrections once."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._reader = ledger.corrections()

    def of(self, shard: Shard, rows: Sequence[int]) -> list[Said]:
        """The pictures in these rows of a shard, in the order given."""
        corrected = self._reader.by_picture(self._ledger.corrected.standing_in(shard.number))
        texts = {row: text for row, (text, _) in corrected.items()}
        return [
            Said(entry, joined_texts(entry.captions, texts.get(row)))
            for row, entry in zip(rows, shard.entries(rows), strict=True)
        ]
