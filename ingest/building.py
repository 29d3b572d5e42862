"""Encodes in batches and writes shards; a vector never leaves the record it was made from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import TypeVar

import numpy as np
from PIL.Image import Image

from corpus.ledger import Known, Ledger
from corpus.records import CaptionRecord
from corpus.shards import Contents, Entry, Halves, Shard, Withdrawn, shard_path, write_shard
from engine.collection import CollectionFolder
from engine.errors import InvalidInput
from engine.models.encoder import TEXTS_PER_PICTURE
from engine.types import Encoder, Vectors

T = TypeVar("T")

BATCH_BYTES = 2**29
"""Decoded pictures of a batch take no more than this, one excepted."""

SHARD_SECONDS = 60.0
"""A shard is closed after this time even if it is small: what a kill can cost."""


@dataclass
class Item:
    """A picture on its way into a shard: pixels or a vector, captions with or without theirs."""

    entry: Entry
    image: Image | None = None
    vector: Halves | None = None
    captions: Halves | None = None


@dataclass
class _Draft:
    """Encoded rows of the shard that is being filled."""

    items: list[Item] = field(default_factory=list)
    loose: list[CaptionRecord] = field(default_factory=list)
    loose_vectors: list[Halves] = field(default_factory=list)
    withdrawn: list[Withdrawn] = field(default_factory=list)
    started: float = field(default_factory=monotonic)

    def is_empty(self) -> bool:
        return not (self.items or self.loose or self.withdrawn)

    def vectors(self) -> int:
        return len(self.loose) + sum(1 + len(item.entry.captions) for item in self.items)


class ShardBuilder:
    """Takes pictures and captions in any order, encodes them in batches, commits whole shards."""

    def __init__(
        self,
        encoder: Encoder,
        folder: CollectionFolder,
        ledger: Ledger,
        *,
        batch_size: int,
        shard_size: int,
        on_bad: Callable[[str], None],
    ) -> None:
        """`on_bad` is told the uri or the text of what the encoder has no usable vector for."""
        self._encoder = encoder
        self._folder = folder.embeddings
        self._ledger = ledger
        self._batch_size = batch_size
        self._shard_size = shard_size
        self._on_bad = on_bad
        self._waiting: list[Item] = []
        self._waiting_loose: list[CaptionRecord] = []
        self._draft = _Draft()
        self._pending: dict[str, Entry] = {}
        self._pending_loose: set[tuple[str, str]] = set()
        self.pictures_encoded = 0
        self.captions_encoded = 0

    def pending(self, sha256: str) -> Entry | None:
        """The picture of that content that is on its way into the next shard."""
        return self._pending.get(sha256)

    def pending_loose(self, caption: CaptionRecord) -> bool:
        """Whether that caption is on its way into the next shard."""
        return (caption.image_id, caption.text) in self._pending_loose

    def add(self, item: Item) -> None:
        """Take a picture."""
        self._waiting.append(item)
        self._pending[item.entry.sha256] = item.entry
        self._work()

    def add_loose(self, caption: CaptionRecord) -> None:
        """Take a caption that stands alone."""
        self._waiting_loose.append(caption)
        self._pending_loose.add((caption.image_id, caption.text))
        self._work()

    def withdraw(self, picture: Known) -> None:
        """Note that a picture is there no longer, unless the same shard brings it anew."""
        self._draft.withdrawn.append(Withdrawn(picture.image_id, picture.sha256))

    def finish(self) -> None:
        """Encode and commit what is left."""
        self._encode()
        self._commit()

    def _work(self) -> None:
        images = [item.image for item in self._waiting if item.image is not None]
        size = sum(3 * image.width * image.height for image in images)
        texts = len(self._waiting_loose) + sum(
            len(item.entry.captions) for item in self._waiting if item.captions is None
        )
        full = len(images) >= self._batch_size or size >= BATCH_BYTES
        if full or texts + len(self._waiting) >= self._batch_size * TEXTS_PER_PICTURE:
            self._encode()
        if self._is_full():
            self._commit()

    def _is_full(self) -> bool:
        draft = self._draft
        if draft.is_empty():
            return False
        return (
            len(draft.items) >= self._shard_size
            or draft.vectors() >= self._shard_size * TEXTS_PER_PICTURE
            or monotonic() - draft.started > SHARD_SECONDS
        )

    def _encode(self) -> None:
        """Give every waiting picture and caption its vector and move them to the draft."""
        self._encode_pictures([item for item in self._waiting if item.image is not None])
        self._encode_captions([item for item in self._waiting if item.captions is None])
        for item in self._waiting:
            if _usable(item):
                self._draft.items.append(item)
            else:
                self._pending.pop(item.entry.sha256, None)
                self._on_bad(item.entry.uri)
        self._waiting = []

    def _encode_pictures(self, items: Sequence[Item]) -> None:
        images = [item.image for item in items if item.image is not None]
        if not images:
            return
        vectors = self._vectors(self._encoder.encode_images, images)
        for item, vector in zip(items, vectors, strict=True):
            item.vector, item.image = vector, None
        self.pictures_encoded += len(images)

    def _encode_captions(self, items: Sequence[Item]) -> None:
        texts = [text for item in items for text in item.entry.captions]
        texts += [caption.text for caption in self._waiting_loose]
        vectors = self._vectors(self._encoder.encode_texts, texts)
        start = 0
        for item in items:
            end = start + len(item.entry.captions)
            item.captions, start = vectors[start:end], end
        self._take_loose(vectors[start:])
        self.captions_encoded += len(texts)

    def _take_loose(self, vectors: Halves) -> None:
        """Move the waiting captions that stand alone to the draft, with these vectors."""
        usable = np.asarray(np.isfinite(vectors).all(axis=1))
        for caption, good in zip(self._waiting_loose, usable, strict=True):
            if good:
                self._draft.loose.append(caption)
            else:
                self._pending_loose.discard((caption.image_id, caption.text))
                self._on_bad(caption.text)
        self._draft.loose_vectors.append(vectors[usable])
        self._waiting_loose = []

    def _vectors(self, encode: Callable[[list[T]], Vectors], inputs: list[T]) -> Halves:
        """Vectors (n, dim) of the inputs; an encoder that refuses a batch may refuse one of it."""
        if not inputs:
            return np.empty((0, self._encoder.dim), np.float16)
        try:
            vectors = encode(inputs)
        except InvalidInput:
            if len(inputs) == 1:
                return np.full((1, self._encoder.dim), np.nan, np.float16)
            return np.concatenate([self._vectors(encode, [one]) for one in inputs])
        return _checked(vectors, len(inputs), self._encoder)

    def _commit(self) -> None:
        draft, self._draft = self._draft, _Draft()
        if draft.is_empty():
            return
        contents = Contents(
            tuple(item.entry for item in draft.items), tuple(draft.loose), tuple(draft.withdrawn)
        )
        empty = np.empty((0, self._encoder.dim), np.float16)
        images = [item.vector[None] for item in draft.items if item.vector is not None]
        captions = [item.captions for item in draft.items if item.captions is not None]
        shard = Shard(
            contents,
            np.concatenate([empty, *images]),
            np.concatenate([empty, *captions, *draft.loose_vectors]),
        )
        number = self._ledger.next_shard()
        path = shard_path(self._folder, number)
        write_shard(path, shard, self._encoder.id)
        self._ledger.add(number, contents, path.stat().st_size)
        self._pending = {item.entry.sha256: item.entry for item in self._waiting}
        self._pending_loose = {(c.image_id, c.text) for c in self._waiting_loose}


def _checked(vectors: Vectors, rows: int, encoder: Encoder) -> Halves:
    if vectors.shape != (rows, encoder.dim):
        raise InvalidInput(
            f"encoder {encoder.id} gave vectors of shape {vectors.shape} for {rows} inputs, not "
            f"({rows}, {encoder.dim}); it cannot be used"
        )
    return np.asarray(vectors, dtype=np.float16)


def _usable(item: Item) -> bool:
    return all(
        rows is not None and bool(np.isfinite(rows).all()) for rows in (item.vector, item.captions)
    )
