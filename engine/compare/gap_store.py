"""Samples a collection to measure its modality gap, and keeps on disk what was measured."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from engine.alignment.alignment import Alignment
from engine.compare.gap import Gap, GapSample, Side, measure
from engine.errors import AlignmentError, CollectionMissing
from engine.identity import content_number, identity_of
from engine.store import CaptionStore, ImageStore, caption_id
from engine.tensorfile import read_tensors, write_tensors
from engine.types import SPACES, TRAINING_SPLITS, CaptionHit, Filters, ImageHit, Space, Vectors
from engine.vectors import unit

PAIRS = 2000
"""Pairs of a picture and a caption that are measured, about, and as many other captions."""

HELD_OUT = 30
"""With fewer pictures that no map was fitted on, all pictures are taken."""

SCANNED = 20_000
"""Pictures that are looked through for some with captions."""

_HUMAN = frozenset(("human",))
_KIND = "mrag-gap/3"
_READ = 500
_TENSORS = ("images", "captions", "centre", "axes", "matched_shares", "unmatched_shares")
_NUMBERS = ("distance", "matched", "unmatched", "own_first")
_COUNTS = ("pictures", "own", "others", "fitted", "judged", "raw_wins", "mapped_wins")


class GapKeeper:
    """Measures the gap of an index when it is first asked for; threads may share it.

    It is measured anew when the number of pictures or captions has changed.
    """

    def __init__(self, path: Path, name: str, alignment: Alignment) -> None:
        """Keep it in that file, of an index that was written with that map."""
        self._path = path
        self._name = name
        self._alignment = alignment
        self._lock = Lock()
        self._kept: tuple[list[int], Gap] | None = None

    def gap(self, images: ImageStore, captions: Sequence[CaptionStore]) -> Gap:
        """The gap under the map; the first of `captions` are the collection's own.

        Raises CollectionMissing where there are no pictures or no captions.
        """
        with self._lock:
            counts = [images.count(), *(store.count() for store in captions)]
            if self._kept is not None and self._kept[0] == counts:
                return self._kept[1]
            key = json.dumps(counts)
            gap = _read(self._path, key)
            if gap is None:
                gap = measure(self._sample(images, captions), self._alignment)
                self._write(key, gap)
            self._kept = (counts, gap)
            return gap

    def _write(self, key: str, gap: Gap) -> None:
        # What cannot be kept costs time alone, and a collection deleted meanwhile stays deleted.
        if self._path.parent.is_dir():
            with suppress(OSError):
                _write(self._path, key, gap)

    def _sample(self, images: ImageStore, captions: Sequence[CaptionStore]) -> GapSample:
        paired, fitted = _paired(images)
        pictures = paired.pictures or list(_pictures(images, Filters(), PAIRS))
        others = _others(captions, {key for hit in pictures for key in identity_of(hit).keys})
        own = captions[0].get(list(paired.owners), with_vectors=True)
        if not pictures or not (own or others):
            raise CollectionMissing(
                f"collection {self._name!r} has no pictures or no captions to show a gap between; "
                f"add some with: mrag ingest SOURCE --collection {self._name}"
            )
        owners = [paired.owners[hit.id] for hit in own] + [-1] * len(others)
        return GapSample(
            _raw(pictures),
            _raw([*own, *others]),
            np.array(owners, np.int64),
            bool(own) and fitted,
            [hit.id for hit in pictures],
            np.array([content_number(hit.payload["sha256"]) for hit in pictures], np.uint64),
        )


@dataclass(frozen=True)
class _Pairs:
    """Pictures, and for the id of each of their captions the row of its picture."""

    pictures: list[ImageHit]
    owners: dict[str, int]


def _paired(images: ImageStore) -> tuple[_Pairs, bool]:
    """Pictures that people described, held-out ones if there are enough, and if any is not."""
    held_out = _pairs(images, Filters(sources=_HUMAN, not_splits=TRAINING_SPLITS))
    if len(held_out.pictures) >= HELD_OUT:
        return held_out, False
    return _pairs(images, Filters(sources=_HUMAN)), True


def _pairs(images: ImageStore, filters: Filters) -> _Pairs:
    pairs = _Pairs([], {})
    for hit in _pictures(images, filters, SCANNED):
        if not hit.captions:
            continue
        row = len(pairs.pictures)
        pairs.pictures.append(hit)
        key = identity_of(hit).key
        pairs.owners.update((caption_id(key, text, "human"), row) for text in hit.captions)
        if len(pairs.owners) >= PAIRS:
            break
    return pairs


def _pictures(images: ImageStore, filters: Filters, limit: int) -> Iterator[ImageHit]:
    ids = islice(images.ids(filters), limit)
    while batch := list(islice(ids, _READ)):
        yield from images.get(batch, with_vectors=True)


def _others(stores: Sequence[CaptionStore], taken: set[str]) -> list[CaptionHit]:
    """Captions of none of the taken pictures; ids are hashes, so the first are a sample."""
    hits = [
        hit
        for store in stores
        for hit in store.get(list(islice(store.ids(), PAIRS // len(stores))), with_vectors=True)
    ]
    return [hit for hit in hits if hit.source == "human" and hit.picture not in taken]


def _raw(hits: Sequence[ImageHit | CaptionHit]) -> Vectors:
    return unit(np.stack([hit.vector for hit in hits if hit.vector is not None]))


def _write(path: Path, key: str, gap: Gap) -> None:
    sides = {space: gap.side(space) for space in SPACES}
    tensors = {
        f"{space}.{name}": np.ascontiguousarray(getattr(side, name), np.float64)
        for space, side in sides.items()
        for name in _TENSORS
    }
    numbers: dict[str, Any] = {
        space: {name: getattr(side, name) for name in _NUMBERS} for space, side in sides.items()
    }
    numbers["counts"] = {name: getattr(gap, name) for name in _COUNTS}
    metadata = {
        "key": key,
        "numbers": json.dumps(numbers),
        "telling": json.dumps(gap.telling),
    }
    write_tensors(path, _KIND, tensors | {"edges": gap.edges}, metadata)


def _read(path: Path, key: str) -> Gap | None:
    """What was kept under the key; None where that is nothing, or cannot be read."""
    try:
        tensors, metadata = read_tensors(path, _KIND, "it is measured again")
        if metadata.get("key") != key:
            return None
        numbers = json.loads(metadata["numbers"])
        sides: dict[Space, Side] = {}
        for space in SPACES:
            values: dict[str, Any] = {name: tensors[f"{space}.{name}"] for name in _TENSORS}
            sides[space] = Side(**values, **numbers[space])
        telling = tuple(json.loads(metadata["telling"]))
        edges = tensors["edges"]
        return Gap(sides["raw"], sides["mapped"], edges, **numbers["counts"], telling=telling)
    except (AlignmentError, KeyError, ValueError, TypeError):
        return None
