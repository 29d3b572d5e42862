"""Taggings of a collection: tried on its pictures, kept and taken back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from heapq import heappush, heappushpop
from pathlib import Path
from typing import NamedTuple

from corpus.ledger import Ledger
from corpus.said import Said, SaidReader
from corpus.shards import Shard
from engine.collection import CollectionFolder
from engine.disk import refused
from engine.errors import InvalidInput
from engine.files import remove_partials, sync_folder
from engine.folder_lock import alone
from engine.progress import OnProgress, Progress, check_cancelled, silent
from engine.store import picture_id
from engine.tags.tagger import ROWS, Given, Tagger
from engine.tags.tagging import Tagging, keep_tagging, tagging_names, tagging_path
from engine.vectors import unit


class Place(NamedTuple):
    """Where a picture is on disk."""

    shard: int
    row: int


class Labelled(NamedTuple):
    """A picture and what it gets."""

    id: str
    uri: str
    caption: str
    given: tuple[Given, ...]


class Looked(NamedTuple):
    """What a tagger gives a collection: how many of its pictures get any label, and each label.

    `shown` are some of those that do, drawn by hash.
    """

    pictures: int
    labelled: int
    counts: tuple[int, ...]
    shown: tuple[Labelled, ...]


def look(
    folder: CollectionFolder, tagger: Tagger, shown: int, on_progress: OnProgress = silent
) -> Looked:
    """Try a tagger on all pictures, in parts, so that memory stays flat; nothing is written."""
    counts: Counter[int] = Counter()
    pictures = labelled = 0
    drawn: list[tuple[int, int, int, tuple[Given, ...]]] = []
    with Ledger.read(folder) as ledger:
        total = ledger.pictures()
        for number, row, sha256, given in _given(ledger, tagger):
            if not pictures % ROWS:
                on_progress(Progress("tag", pictures, total))
            pictures += 1
            counts.update(one.label for one in given)
            labelled += bool(given)
            if given and shown:
                # The smallest hashes, by their negatives: the heap gives up its smallest.
                one = (-int.from_bytes(sha256[:8]), number, row, given)
                heappush(drawn, one) if len(drawn) < shown else heappushpop(drawn, one)
        on_progress(Progress("tag", pictures, total))
        reader = SaidReader(ledger)
        told = tuple(
            _labelled(reader.of(Shard(ledger.shard(number)), [row])[0], given)
            for _, number, row, given in sorted(drawn, reverse=True)
        )
    every = tuple(counts[at] for at in range(len(tagger.labels)))
    return Looked(pictures, labelled, every, told)


class Page(NamedTuple):
    """Pictures that get labels, in the order of the shards; `after` is the last looked at.

    It is None where no picture comes after.
    """

    pictures: tuple[Labelled, ...]
    after: Place | None


def page(folder: CollectionFolder, tagger: Tagger, after: Place | None, count: int) -> Page:
    """What a tagger gives the next `count` pictures."""
    found: list[Labelled] = []
    with Ledger.read(folder) as ledger:
        reader = SaidReader(ledger)
        for file in ledger.shards():
            rows = _rows_after(ledger, file.number, after)[:count]
            if not len(rows):
                continue
            found += _labelled_in(Shard(file), rows, reader, tagger)
            count -= len(rows)
            if not count:
                last = Place(file.number, rows[-1])
                return Page(tuple(found), last if _goes_on(ledger, last) else None)
    return Page(tuple(found), None)


def _rows_after(ledger: Ledger, number: int, after: Place | None) -> Sequence[int]:
    """The pictures of a shard that come after a place."""
    if after is not None and number < after.shard:
        return []
    rows = ledger.live(number).pictures
    if after is None or number > after.shard:
        return rows
    return [row for row in rows if row > after.row]


def _goes_on(ledger: Ledger, last: Place) -> bool:
    return any(len(_rows_after(ledger, file.number, last)) for file in ledger.shards())


def _labelled_in(
    shard: Shard, rows: Sequence[int], reader: SaidReader, tagger: Tagger
) -> list[Labelled]:
    check_cancelled()
    found = reader.of(shard, rows)
    given = tagger.give(unit(shard.images[rows]), [one.captions for one in found])
    return [_labelled(one, own) for one, own in zip(found, given, strict=True) if own]


def keep(folder: CollectionFolder, tagging: Tagging) -> None:
    """Keep a tagging, in place of one of its name: the next push has the index show its labels.

    Who writes the collection meanwhile is not waited for: no push looks at a tagging twice.
    """
    try:
        folder.tags.mkdir(parents=True, exist_ok=True)
        with alone(folder.tags):
            remove_partials(folder.tags)
            keep_tagging(folder.tags, tagging)
    except OSError as error:
        raise refused(folder.tags, error) from error


def take_back(folder: CollectionFolder, name: str) -> None:
    """Remove a tagging: the next push takes from the index the labels that no other one gives.

    Raises InvalidInput where there is none of that name.
    """
    try:
        with alone(folder.tags):
            standing(folder, name).unlink()
            sync_folder(folder.tags)
    except OSError as error:
        raise refused(folder.tags, error) from error


def standing(folder: CollectionFolder, name: str) -> Path:
    """The file of a tagging; raises InvalidInput where there is none of that name."""
    path = tagging_path(folder.tags, name)
    if not path.is_file():
        there = ", ".join(tagging_names(folder.tags)) or "none"
        raise InvalidInput(f"collection {folder.name!r} has no tagging {name!r}; there is: {there}")
    return path


def _given(ledger: Ledger, tagger: Tagger) -> Iterator[tuple[int, int, bytes, tuple[Given, ...]]]:
    """Each picture's shard, row, sha256 and labels."""
    reader = SaidReader(ledger)
    for file in ledger.shards():
        rows = ledger.live(file.number).pictures
        if not rows:
            continue
        shard = Shard(file)
        images, sha256s = shard.images, shard.sha256s
        for start in range(0, len(rows), ROWS):
            check_cancelled()
            part = rows[start : start + ROWS]
            said = [one.captions for one in reader.of(shard, part)]
            for row, given in zip(part, tagger.give(unit(images[part]), said), strict=True):
                yield file.number, row, sha256s[row], given


def _labelled(said: Said, given: tuple[Given, ...]) -> Labelled:
    caption = next(iter(said.captions), "")
    return Labelled(picture_id(said.entry.sha256), said.entry.uri, caption, given)
