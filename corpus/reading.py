"""Reads from the shards what is measured on: nothing is encoded again, and no index is opened."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from corpus.captions import CaptionTable
from corpus.examples import Examples
from corpus.ledger import Ledger
from corpus.lock import writing
from corpus.refined import RefinedReader, Standing
from corpus.shards import (
    Entry,
    Halves,
    Shard,
    ShardReader,
    read_contents,
    read_shard,
    shard_path,
)
from engine.collection import CollectionFolder
from engine.errors import InvalidInput
from engine.sampling import name_hash
from engine.store import caption_id
from engine.types import Vectors
from engine.vectors import unit


class _Place(NamedTuple):
    image_id: str
    shard: int
    row: int


class _Found(NamedTuple):
    text: str
    vector: Halves
    image_id: str
    split: str


def read_examples(
    folder: CollectionFolder,
    splits: Collection[str] | None = None,
    *,
    limit: int | None = None,
    seed: int = 0,
) -> Examples:
    """The captioned pictures of these splits (None: of all), with their vectors as stored.

    With a `limit` below their number, a sample that depends on the seed and the picture ids
    alone. Raises InvalidInput, with the splits that there are, where no picture is left.
    """
    with writing(folder), Ledger.open(folder) as ledger:
        found = list(_live(folder, ledger))
        chosen = [at for at, entry in found if splits is None or entry.split in splits]
        captioned = {at for at, entry in found if entry.captions}
        places = [at for at in chosen if at in captioned]
        if not places:
            raise InvalidInput(_nothing(folder.name, splits, [entry for _, entry in found]))
        left_out = len(chosen) - len(places)
        if limit is not None and limit < len(places):
            places = sorted(places, key=lambda at: name_hash(at.image_id, salt=f"{seed}:"))[:limit]
        return _read(folder, sorted(places), left_out)


def captioned_splits(folder: CollectionFolder) -> dict[str, int]:
    """How many captioned pictures each split has, by name; "" is a source without splits."""
    with writing(folder), Ledger.open(folder) as ledger:
        return _captioned(entry for _, entry in _live(folder, ledger))


def read_captions(folder: CollectionFolder, splits: Collection[str] | None = None) -> CaptionTable:
    """All captions that descriptions may borrow: those by people, of pictures or alone, and those
    that refinement rounds added. `splits`: only of these; None: of all."""
    found: dict[str, _Found] = {}
    parts: list[Halves] = []
    with writing(folder), Ledger.open(folder) as ledger:
        dim = folder.read_card().dim
        refined = RefinedReader(folder.rounds)
        for number in ledger.shards():
            shard = read_shard(shard_path(folder.embeddings, number))
            added = refined.by_picture(ledger.refined.standing_in(number))
            for one in _captions(shard, ledger.live_rows(number), added):
                if splits is not None and one.split not in splits:
                    continue
                point = caption_id(one.image_id, one.text, "human")
                if point not in found:
                    found[point] = one
                    parts.append(one.vector[None])
    vectors = unit(np.concatenate(parts)) if parts else np.empty((0, dim), np.float32)
    captions = found.values()
    return CaptionTable(
        tuple(one.text for one in captions),
        vectors,
        tuple(one.image_id for one in captions),
        tuple(one.split for one in captions),
    )


def _captions(
    shard: Shard, live: Sequence[int], added: Mapping[int, Sequence[tuple[Standing, Halves]]]
) -> Iterator[_Found]:
    """The captions that are still there, and those `added` to pictures, by row."""
    contents = shard.contents
    for picture in live:
        entry, span = contents.entries[picture], contents.spans[picture]
        for text, vector in zip(entry.captions, shard.captions[span], strict=True):
            yield _Found(text, vector, entry.image_id, entry.split)
        for standing, vector in added.get(picture, ()):
            yield _Found(standing.text, vector, entry.image_id, entry.split)
    alone = zip(contents.loose, shard.captions[contents.loose_span], strict=True)
    for loose, vector in alone:
        yield _Found(loose.text, vector, loose.image_id, loose.split)


def _live(folder: CollectionFolder, ledger: Ledger) -> Iterator[tuple[_Place, Entry]]:
    for number in ledger.shards():
        contents = read_contents(shard_path(folder.embeddings, number))
        for row in ledger.live_rows(number):
            entry = contents.entries[row]
            yield _Place(entry.image_id, number, row), entry


def _read(folder: CollectionFolder, places: Sequence[_Place], left_out: int) -> Examples:
    """The examples in the order of `places`, reading each shard once."""
    entries: list[Entry | None] = [None] * len(places)
    images: list[Vectors] = [np.empty(0, np.float32)] * len(places)
    captions: list[Vectors] = list(images)
    reader = ShardReader(folder.embeddings)
    for at in sorted(range(len(places)), key=lambda at: places[at][1:]):
        _, number, row = places[at]
        shard = reader.read(number)
        entries[at] = shard.contents.entries[row]
        images[at] = unit(shard.images[row : row + 1])
        captions[at] = unit(shard.captions[shard.contents.spans[row]])
    read = [entry for entry in entries if entry is not None]
    return Examples(
        tuple(entry.image_id for entry in read),
        tuple(entry.uri for entry in read),
        tuple(entry.split for entry in read),
        tuple(entry.captions for entry in read),
        np.concatenate(images),
        np.concatenate(captions),
        np.repeat(np.arange(len(read), dtype=np.int64), [len(entry.captions) for entry in read]),
        left_out,
    )


def _captioned(entries: Iterable[Entry]) -> dict[str, int]:
    return dict(sorted(Counter(entry.split for entry in entries if entry.captions).items()))


def _nothing(name: str, splits: Collection[str] | None, entries: Sequence[Entry]) -> str:
    captioned = _captioned(entries)
    there = ", ".join(f"{split!r} ({count:,})" for split, count in captioned.items())
    if not there:
        return (
            f"collection {name!r} has no picture with captions, so there is nothing to measure "
            f"against; ingest a source that has both: mrag ingest CAPTIONS.json --collection {name}"
        )
    asked = ", ".join(repr(split) for split in sorted(splits or ()))
    return (
        f"collection {name!r} has no captioned picture in split {asked}; its captioned pictures "
        f"are in: {there}; name one with --split ('' is a source without splits)"
    )
