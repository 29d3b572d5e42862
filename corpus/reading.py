"""Reads from the shards what is measured on: nothing is encoded again, and no index is opened.

Nobody waits for a writer here: what is read is the collection as it was when reading began.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from heapq import nsmallest
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from corpus.captions import CaptionTable
from corpus.corrections import joined
from corpus.examples import Examples
from corpus.ledger import Ledger, Live
from corpus.refined import RefinedReader, Standing
from corpus.said import SaidReader
from corpus.shards import Halves, Shard
from engine.collection import CollectionFolder
from engine.errors import InvalidInput
from engine.sampling import name_hash
from engine.store import caption_id
from engine.types import Vectors
from engine.vectors import unit

Places = Sequence[tuple[int, list[int]]]
"""By shard, rows of pictures."""


class _Found(NamedTuple):
    text: str
    vector: Halves
    picture: str
    split: str


def read_examples(
    folder: CollectionFolder,
    splits: Collection[str] | None = None,
    *,
    limit: int | None = None,
    seed: int = 0,
) -> Examples:
    """The captioned pictures of these splits (None: of all), with their vectors as stored.

    With a `limit` below their number, a sample that depends on the seed and on their names alone.
    Raises InvalidInput, with the splits that there are, where no picture is left.
    """
    with Ledger.read(folder) as ledger:
        counts = ledger.split_counts()
        places: Places = list(ledger.in_splits(splits))
        if not places:
            raise InvalidInput(_nothing(folder.name, splits, _captioned(counts)))
        total = sum(len(rows) for _, rows in places)
        asked = [of for split, of in counts.items() if splits is None or split in splits]
        left_out = sum(pictures for pictures, _ in asked) - total
        if limit is not None and limit < total:
            places = _drawn(ledger, places, limit, seed)
        return _read(ledger, places, left_out)


def captioned_splits(folder: CollectionFolder) -> dict[str, int]:
    """How many captioned pictures each split has, by name; "" is a source without splits."""
    with Ledger.read(folder) as ledger:
        return _captioned(ledger.split_counts())


def read_captions(folder: CollectionFolder, splits: Collection[str] | None = None) -> CaptionTable:
    """All captions that descriptions may borrow: those by people, of pictures or alone, and those
    that refinement rounds added. `splits`: only of these; None: of all."""
    found: dict[str, _Found] = {}
    parts: list[Halves] = []
    dim = folder.read_card().dim
    with Ledger.read(folder) as ledger:
        refined, corrections = RefinedReader(folder.rounds), ledger.corrections()
        for file in ledger.shards():
            live = ledger.live(file.number)
            if not (live.pictures or live.loose):
                continue
            added = refined.by_picture(ledger.refined.standing_in(file.number))
            corrected = corrections.by_picture(ledger.corrected.standing_in(file.number))
            for one in _captions(Shard(file), live, added, corrected):
                if splits is not None and one.split not in splits:
                    continue
                point = caption_id(one.picture, one.text, "human")
                if point not in found:
                    found[point] = one
                    parts.append(one.vector[None])
    vectors = unit(np.concatenate(parts)) if parts else np.empty((0, dim), np.float32)
    captions = found.values()
    return CaptionTable(
        tuple(one.text for one in captions),
        vectors,
        tuple(one.picture for one in captions),
        tuple(one.split for one in captions),
    )


def _captions(
    shard: Shard,
    live: Live,
    added: Mapping[int, Sequence[tuple[Standing, str, Halves]]],
    corrected: Mapping[int, tuple[str, Halves]],
) -> Iterator[_Found]:
    """The captions that are still there, and those `added` to pictures, by row."""
    vectors = shard.captions
    for row, entry in zip(live.pictures, shard.entries(live.pictures), strict=True):
        said = joined(entry.captions, vectors[shard.span(row)], corrected.get(row))
        for text, vector in zip(*said, strict=True):
            yield _Found(text, vector, entry.identity.key, entry.split)
        for _, text, vector in added.get(row, ()):
            yield _Found(text, vector, entry.identity.key, entry.split)
    for row, loose in zip(live.loose, shard.loose_captions(live.loose), strict=True):
        yield _Found(loose.text, vectors[shard.offsets[row]], loose.picture, loose.split)


def _drawn(ledger: Ledger, places: Places, limit: int, seed: int) -> Places:
    """The rows whose pictures have the smallest hashes."""

    def hashes() -> Iterator[tuple[int, int, int]]:
        for number, rows in places:
            ids = Shard(ledger.shard(number)).image_ids
            for row in rows:
                yield name_hash(ids[row], salt=f"{seed}:"), number, row

    chosen: dict[int, list[int]] = {}
    for number, row in sorted(place[1:] for place in nsmallest(limit, hashes())):
        chosen.setdefault(number, []).append(row)
    return list(chosen.items())


def _read(ledger: Ledger, places: Places, left_out: int) -> Examples:
    """The examples, ascending by their ids: first what is said of them, then their vectors, each
    put where it belongs, so that nothing is held twice."""
    reader = SaidReader(ledger)
    found = [one for number, rows in places for one in reader.of(Shard(ledger.shard(number)), rows)]
    entries = [one.entry for one in found]
    order = sorted(range(len(entries)), key=lambda at: (entries[at].image_id, entries[at].sha256))
    read = [entries[at] for at in order]
    counts = np.array([len(found[at].captions) for at in order], np.int64)
    place_of = np.empty(len(order), np.int64)
    place_of[order] = np.arange(len(order))
    images, captions = _vectors(ledger, places, place_of, counts)
    return Examples(
        tuple(entry.identity for entry in read),
        tuple(entry.image_id for entry in read),
        tuple(entry.uri for entry in read),
        tuple(entry.split for entry in read),
        tuple(found[at].captions for at in order),
        images,
        captions,
        np.repeat(np.arange(len(read), dtype=np.int64), counts),
        left_out,
    )


def _vectors(
    ledger: Ledger, places: Places, place_of: NDArray[np.int64], counts: NDArray[np.int64]
) -> tuple[Vectors, Vectors]:
    """The vectors of pictures and captions as unit rows.

    `place_of` says at which place each picture in `places` comes, `counts` how many captions the
    picture at each place has.
    """
    starts = np.concatenate([[0], np.cumsum(counts)])
    dim = Shard(ledger.shard(places[0][0])).columns.dim
    images = np.empty((len(counts), dim), np.float32)
    captions = np.empty((int(starts[-1]), dim), np.float32)
    first, reader = 0, ledger.corrections()
    for number, rows in places:
        shard, own = Shard(ledger.shard(number)), place_of[first : first + len(rows)]
        first += len(rows)
        images[own] = unit(shard.images[rows])
        corrected = reader.by_picture(ledger.corrected.standing_in(number))
        pairs = [one for one in zip(rows, own.tolist(), strict=True) if one[0] not in corrected]
        stored = [np.arange(*shard.offsets[[row, row + 1]]) for row, _ in pairs]
        wanted = [np.arange(*starts[[at, at + 1]]) for _, at in pairs]
        if pairs:
            captions[np.concatenate(wanted)] = unit(shard.captions[np.concatenate(stored)])
        for row, at in zip(rows, own.tolist(), strict=True):
            if row in corrected:
                told = shard.captions[shard.span(row)]
                _, told = joined(shard.texts[row], told, corrected[row])
                captions[starts[at] : starts[at + 1]] = unit(told)
    return images, captions


def _captioned(counts: Mapping[str, tuple[int, int]]) -> dict[str, int]:
    return {split: captioned for split, (_, captioned) in counts.items() if captioned}


def _nothing(name: str, splits: Collection[str] | None, captioned: Mapping[str, int]) -> str:
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
