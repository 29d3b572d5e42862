"""Encodes in batches and writes shards; a vector never leaves the record it was made from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import TypeVar

import numpy as np
from PIL.Image import Image

from corpus.entry import Entry
from corpus.known import Known
from corpus.ledger import Ledger
from corpus.records import CaptionRecord
from corpus.shards import Contents, Halves, Shard, Withdrawn, write_shard
from engine.collection import CollectionFolder
from engine.errors import InvalidInput
from engine.images import image_bytes
from engine.models.encoder import TEXTS_PER_PICTURE
from engine.types import Encoder, Vectors
from engine.vectors import unit

T = TypeVar("T")

BATCH_BYTES = 5 * 2**26
"""Decoded pictures of a batch take no more than this, one excepted."""

SHARD_SECONDS = 60.0
"""A shard is closed after this time even if it is small: what a kill can cost."""


@dataclass
class Item:
    """A picture on its way into a shard: pixels or a usable vector, captions with or without.

    Of several `images`, which are frames of a shot, it gets the unit mean of their vectors.
    `since`: the commit in which what an index shows of it last changed; None: the next one.
    """

    entry: Entry
    images: tuple[Image, ...] = ()
    vector: Halves | None = None
    captions: Halves | None = None
    since: int | None = None


class StoredPictures:
    """Reads pictures back from the shards they lie in; the last shard stays open."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._shard: Shard | None = None

    def item(self, known: Known) -> Item:
        """A picture as it lies in its shard; raises DamagedShard."""
        shard = self._shard
        if shard is None or shard.number != known.shard:
            shard = self._shard = Shard(self._ledger.shard(known.shard))
        captions = shard.captions[shard.span(known.row)]
        return Item(shard.entry(known.row), (), shard.images[known.row], captions, known.since)


class _Items(dict[str, Item]):
    """Pictures by their sha256, and what they come to: asked for at each picture, so counted.

    An item is not changed while it is in here.
    """

    def __init__(self) -> None:
        super().__init__()
        self.images = 0
        self.image_bytes = 0
        self.captions = 0
        self.captions_to_encode = 0

    def put(self, item: Item) -> None:
        """Take a picture in place of what there is of the same content."""
        self.drop(item.entry.sha256)
        self[item.entry.sha256] = item
        self._count(item, 1)

    def drop(self, sha256: str) -> None:
        """Give up a picture, if it is there."""
        item = self.pop(sha256, None)
        if item is not None:
            self._count(item, -1)

    def _count(self, item: Item, sign: int) -> None:
        captions = sign * len(item.entry.captions)
        self.captions += captions
        if item.captions is None:
            self.captions_to_encode += captions
        self.images += sign * len(item.images)
        self.image_bytes += sign * sum(map(image_bytes, item.images))


@dataclass
class _Draft:
    """Encoded rows of the shard that is being filled."""

    items: _Items = field(default_factory=_Items)
    loose: list[CaptionRecord] = field(default_factory=list)
    loose_vectors: list[Halves] = field(default_factory=list)
    withdrawn: dict[str, None] = field(default_factory=dict)
    unsaid: list[CaptionRecord] = field(default_factory=list)
    started: float = field(default_factory=monotonic)

    def is_empty(self) -> bool:
        return not (self.items or self.loose or self.withdrawn or self.unsaid)

    def vectors(self) -> int:
        return len(self.loose) + len(self.items) + self.items.captions


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
        self._waiting = _Items()
        self._waiting_loose: list[CaptionRecord] = []
        self._draft = _Draft()
        self._pending_loose: set[tuple[str, str]] = set()
        self.pictures_encoded = 0
        self.captions_encoded = 0

    def pending(self, sha256: str) -> Item | None:
        """The picture of that content that is on its way into the next shard."""
        return self._waiting.get(sha256) or self._draft.items.get(sha256)

    def pending_loose(self, caption: CaptionRecord) -> bool:
        """Whether that caption is on its way into the next shard."""
        return (caption.image_id, caption.text) in self._pending_loose

    def add(self, item: Item) -> None:
        """Take a picture, in place of what is on its way of the same content."""
        sha256 = item.entry.sha256
        self._draft.items.drop(sha256)
        self._draft.withdrawn.pop(sha256, None)
        self._waiting.put(item)
        self._work()

    def add_loose(self, caption: CaptionRecord, vector: Halves | None = None) -> None:
        """Take a caption that stands alone, with its vector (dim,) if it has one."""
        if vector is None:
            self._waiting_loose.append(caption)
        else:
            self._draft.loose.append(caption)
            self._draft.loose_vectors.append(vector[None])
        self._pending_loose.add((caption.image_id, caption.text))
        self._work()

    def withdraw(self, sha256: str) -> None:
        """Note that a picture is there no longer."""
        self._waiting.drop(sha256)
        self._draft.items.drop(sha256)
        self._draft.withdrawn[sha256] = None

    def unsay(self, caption: CaptionRecord) -> None:
        """Note that a caption that stood alone is there no longer."""
        self._draft.unsaid.append(caption)

    def is_withdrawn(self, sha256: str) -> bool:
        """Whether that picture is being withdrawn."""
        return sha256 in self._draft.withdrawn

    def finish(self) -> None:
        """Encode and commit what is left."""
        self._encode()
        self._commit()

    def _work(self) -> None:
        waiting = self._waiting
        full = waiting.images >= self._batch_size or waiting.image_bytes >= BATCH_BYTES
        texts = len(self._waiting_loose) + waiting.captions_to_encode
        full = full or texts + len(waiting) >= self._batch_size * TEXTS_PER_PICTURE
        if full or monotonic() - self._draft.started > SHARD_SECONDS:
            self._encode()
        if self._is_full():
            self._commit()

    def _is_full(self) -> bool:
        draft = self._draft
        if draft.is_empty():
            return False
        return (
            len(draft.items) >= self._shard_size
            or len(draft.loose) + len(draft.items) >= self._shard_size * TEXTS_PER_PICTURE
            or draft.vectors() >= self._shard_size * TEXTS_PER_PICTURE
            or monotonic() - draft.started > SHARD_SECONDS
        )

    def _encode(self) -> None:
        """Give every waiting picture and caption its vector and move them to the draft."""
        waiting, self._waiting = self._waiting, _Items()
        self._encode_pictures([item for item in waiting.values() if item.images])
        self._encode_captions([item for item in waiting.values() if item.captions is None])
        for item in waiting.values():
            if item.vector is None or item.captions is None:
                self._on_bad(item.entry.uri)
            else:
                self._draft.items.put(item)

    def _encode_pictures(self, items: Sequence[Item]) -> None:
        images = [image for item in items for image in item.images]
        if not images:
            return
        vectors, start = self._vectors(self._encoder.encode_images, images), 0
        for item in items:
            end = start + len(item.images)
            item.vector, item.images, start = _mean(vectors[start:end]), (), end
        self.pictures_encoded += len(items)

    def _encode_captions(self, items: Sequence[Item]) -> None:
        texts = [text for item in items for text in item.entry.captions]
        texts += [caption.text for caption in self._waiting_loose]
        vectors = self._vectors(self._encoder.encode_texts, texts)
        finite = _finite(vectors)
        start = 0
        for item in items:
            end = start + len(item.entry.captions)
            item.captions = vectors[start:end] if all(finite[start:end]) else None
            start = end
        self._take_loose(vectors[start:])
        self.captions_encoded += len(texts)

    def _take_loose(self, vectors: Halves) -> None:
        """Move the waiting captions that stand alone to the draft, with these vectors."""
        usable = _finite(vectors)
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
        items = draft.items.values()
        empty = np.empty((0, self._encoder.dim), np.float16)
        images = [item.vector[None] for item in items if item.vector is not None]
        captions = [item.captions for item in items if item.captions is not None]
        contents = Contents(
            [item.entry for item in items],
            draft.loose,
            [
                *(Withdrawn(sha256) for sha256 in draft.withdrawn),
                *(Withdrawn("", caption=caption) for caption in draft.unsaid),
            ],
            np.concatenate([empty, *images]),
            np.concatenate([empty, *captions, *draft.loose_vectors]),
            [item.since for item in items],
        )
        commit = self._ledger.next_commit()
        file = write_shard(
            self._folder,
            self._ledger.next_shard(),
            contents,
            commit=commit,
            encoder_id=self._encoder.id,
        )
        self._ledger.add(file, contents, commit)
        self._pending_loose = {(c.image_id, c.text) for c in self._waiting_loose}


def _checked(vectors: Vectors, rows: int, encoder: Encoder) -> Halves:
    if vectors.shape != (rows, encoder.dim):
        raise InvalidInput(
            f"encoder {encoder.id} gave vectors of shape {vectors.shape} for {rows} inputs, not "
            f"({rows}, {encoder.dim}); it cannot be used"
        )
    return np.asarray(vectors, dtype=np.float16)


def _mean(frames: Halves) -> Halves | None:
    """The vector of a picture by those of its frames (n, dim); None without a usable one."""
    usable = frames[_finite(frames)]
    if len(usable) < 2:
        return usable[0] if len(usable) else None
    mean = unit(usable).mean(axis=0)
    norm = float(np.linalg.norm(mean))
    return np.asarray(mean / norm, np.float16) if norm else None


def _finite(vectors: Halves) -> list[bool]:
    """Of each row whether all its numbers are finite: others are of no use."""
    finite: list[bool] = np.asarray(np.isfinite(vectors).all(axis=1)).tolist()
    return finite
