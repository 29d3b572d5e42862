"""Tells an index what has changed in the corpus since it was last told."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from corpus.described import DescribedShard
from corpus.ledger import Ledger, Live
from corpus.parquet import Halves
from corpus.refined import RefinedReader
from corpus.said import SaidReader
from corpus.shards import Shard
from engine.alignment.alignment import Alignment
from engine.collection import CollectionFolder
from engine.identity import content_key
from engine.store import CaptionStore, ImageStore, picture_id
from engine.store.ids import caption_id
from engine.types import CaptionPoint
from ingest.labels import Labels
from ingest.points import Caption, points_of

_BATCH = 256
_LABELLED = 1_000


@dataclass
class Written:
    """How many points were written and deleted, and how many pictures have other labels alone."""

    images: int = 0
    captions: int = 0
    deleted: int = 0
    labelled: int = 0


class Changes:
    """What has changed after a commit, and in the rounds, as points of two stores.

    Doing it twice is doing it once: points are named by what they are, and of a picture that has
    changed whatever the index has and the corpus has not is deleted. So a kill costs only time.
    """

    def __init__(
        self,
        folder: CollectionFolder,
        ledger: Ledger,
        alignment: Alignment,
        images: ImageStore,
        captions: CaptionStore,
        written: Written,
        labels: Labels,
    ) -> None:
        """What is written is counted in `written`."""
        self._ledger = ledger
        self._alignment = alignment
        self._images, self._captions = images, captions
        self._described: dict[int, DescribedShard] = {}
        self._refined = RefinedReader(folder.rounds)
        self._corrections = ledger.corrections()
        self._said = SaidReader(ledger)
        self._written = written
        self._labels = labels

    def any_gone(self, after: int, rounds: Collection[int]) -> bool:
        """Whether there is anything to delete."""
        ledger = self._ledger
        return bool(ledger.gone(after) or ledger.unsaid(after) or self._withdrawn(rounds))

    def _withdrawn(self, rounds: Collection[int]) -> list[int]:
        return sorted(set(rounds) - set(self._ledger.refined.rounds()))

    def delete(self, after: int, rounds: Collection[int]) -> None:
        """Delete what went after a commit, and captions of `rounds` that are no more."""
        for part in _batches(self._ledger.gone(after)):
            self._images.delete([picture_id(sha256) for sha256 in part])
            self._delete_captions(list(self._captions_of(part)))
            self._written.deleted += len(part)
        unsaid = self._ledger.unsaid(after)
        self._delete_captions([caption_id(one.picture, one.text, "human") for one in unsaid])
        for number in self._withdrawn(rounds):
            self._delete_captions(list(self._captions.ids_of_round(number)))

    def shards(self, after: int) -> list[tuple[int, Live]]:
        """By shard the rows that have changed after a commit."""
        return list(self._ledger.changed(after))

    def write(self, number: int, live: Live, *, fresh: bool) -> int:
        """Write the points of rows of a shard; how many these were.

        `fresh`: the index has nothing of them yet, so that nothing can have to go.
        """
        shard = Shard(self._ledger.shard(number))
        generated = {
            found.row: Caption(*self._description(found.shard, found.described_row))
            for found in self._ledger.generated_in(number)
        }
        standing = self._refined.by_picture(self._ledger.refined.standing_in(number))
        refined = {
            row: [Caption(text, vector, one.round) for one, text, vector in captions]
            for row, captions in standing.items()
        }
        corrected = self._corrections.by_picture(self._ledger.corrected.standing_in(number))
        images, captions = points_of(shard, live, generated, self._alignment, refined, corrected)
        said = [one.captions if one.source == "human" else () for one in images]
        given = self._labels.of(shard.images[live.pictures], said)
        images = [replace(one, labels=own) for one, own in zip(images, given, strict=True)]
        if not fresh:
            self._delete_stale([image.sha256 for image in images], captions)
        self._images.upsert(images)
        self._captions.upsert(captions)
        self._written.images += len(images)
        self._written.captions += len(captions)
        return len(images) + len(captions)

    def label(self, number: int) -> int:
        """Bring the labels of a shard's pictures level with the taggings; how many differed."""
        rows = self._ledger.live(number).pictures
        shard = Shard(self._ledger.shard(number))
        changed = 0
        for start in range(0, len(rows), _LABELLED):
            part = rows[start : start + _LABELLED]
            said = [one.captions for one in self._said.of(shard, part)]
            given = self._labels.of(shard.images[part], said)
            ids = [picture_id(shard.sha256s[row].hex()) for row in part]
            wanted = dict(zip(ids, given, strict=True))
            there = {hit.id: tuple(hit.payload["labels"]) for hit in self._images.get(ids)}
            differing = {key: wanted[key] for key, old in there.items() if old != wanted[key]}
            if differing:
                self._images.set_labels(differing)
            changed += len(differing)
        self._written.labelled += changed
        return changed

    def _delete_stale(self, pictures: Sequence[str], captions: Iterable[CaptionPoint]) -> None:
        """Delete what the index has of these pictures beside the captions."""
        current = {point.id for point in captions}
        for part in _batches(pictures):
            self._delete_captions([key for key in self._captions_of(part) if key not in current])

    def _captions_of(self, pictures: Iterable[str]) -> Iterator[str]:
        """The ids of all captions in the index of the pictures with these sha256."""
        return self._captions.ids_of(map(content_key, pictures))

    def _delete_captions(self, ids: Iterable[str]) -> None:
        for part in _batches(ids):
            self._captions.delete(part)
            self._written.deleted += len(part)

    def _description(self, number: int, row: int) -> tuple[str, Halves]:
        if number not in self._described:
            self._described = {number: DescribedShard(self._ledger.described_shard(number))}
        return self._described[number].caption(row)


def _batches(items: Iterable[str]) -> Iterator[list[str]]:
    rest = iter(items)
    while part := list(islice(rest, _BATCH)):
        yield part
