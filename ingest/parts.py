"""Parts: several processes or machines embed one source at once, each a share into its own folder.

A part is a small collection inside the collection's folder (`parts/collections/3-of-8`), with a
writer's lock, shards and a ledger of its own, so that who writes one waits for nobody. Which part
a record is of follows from what the source calls it. The owner of the collection adopts parts that
are finished, one after the other, under the collection's lock.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import Self

import numpy as np
from PIL.Image import Image

from corpus.entry import Entry, Name
from corpus.ledger import Ledger, Live
from corpus.lock import writing
from corpus.parquet import DamagedShard, Halves
from corpus.records import CaptionRecord, ImageRecord, NextSource, Record, Skipped, WholeFolder
from corpus.shards import Shard
from corpus.sights import Sights
from corpus.videos import Videos
from engine.collection import CollectionCard, CollectionFolder
from engine.errors import IncompatibleIndex, InvalidInput, StoreLocked
from engine.files import write_whole
from engine.progress import OnProgress, Progress, silent
from engine.sampling import name_hash
from engine.types import Encoder, Vectors
from ingest.building import Item, ShardBuilder, StoredPictures
from ingest.embed import EmbedOptions, EmbedReport, embed

_PART = re.compile(r"(\d{1,4})/(\d{1,4})")
_NAME = re.compile(r"(\d+)-of-(\d+)")
_FINISHED = "finished.json"


@dataclass(frozen=True)
class Part:
    """One of `of` shares of a source, counted from 1."""

    number: int
    of: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `3/8`; raises InvalidInput."""
        match = _PART.fullmatch(text.strip())
        if match is None or not 1 <= int(match[1]) <= int(match[2]):
            raise InvalidInput(
                f"part {text!r} is none; give the number of this part and how many there are, "
                "like 3/8"
            )
        return cls(int(match[1]), int(match[2]))

    @property
    def name(self) -> str:
        """The name of its folder."""
        return f"{self.number}-of-{self.of}"

    def records(self, records: Iterable[Record]) -> Iterator[Record]:
        """Its share of a source.

        What the source cannot read is the first part's to report. That a folder was read whole is
        said by nobody: who sees a share cannot tell what has gone.
        """
        for record in records:
            if isinstance(record, WholeFolder | NextSource):
                continue
            if isinstance(record, Skipped):
                if self.number == 1:
                    yield record
            elif name_hash(_said(record), salt="part") % self.of == self.number - 1:
                yield record


@dataclass(frozen=True)
class AdoptReport:
    """What came of adopting parts: their names, their pictures and captions; and those left.

    `pictures` that were new, `joined` whose picture was there already. `left`: parts that are not
    finished, or being written. `damaged` shards of parts were left out: what was in them is new to
    the next ingest of its source.
    """

    adopted: tuple[str, ...] = ()
    pictures: int = 0
    joined: int = 0
    captions: int = 0
    left: tuple[str, ...] = ()
    damaged: tuple[Path, ...] = ()


def embed_part(
    records: Iterable[Record],
    part: Part,
    encoder: Encoder,
    folder: CollectionFolder,
    card: CollectionCard,
    options: EmbedOptions | None = None,
    *,
    on_progress: OnProgress = silent,
) -> EmbedReport:
    """Embed a share of a source into a part of the collection; nobody else is waited for.

    Pictures that the collection has already, by an unchanged file, are not embedded again.
    Killed at any moment and run again, it goes on. Raises StoreLocked where this very part is
    being written, and as `embed`.
    """
    place = _place(folder, part.name)
    with writing(place):
        place.write_card(replace(card, name=part.name))
        (place.path / _FINISHED).unlink(missing_ok=True)
        share = part.records(records)
        report = embed(share, encoder, place, options, beside=folder, on_progress=on_progress)
        write_whole(place.path / _FINISHED, json.dumps({"read": report.read}) + "\n")
        return report


def adopt_parts(folder: CollectionFolder, on_progress: OnProgress = silent) -> AdoptReport:
    """Take finished parts into the collection; the same pictures are joined as copies are.

    Killed at any moment and run again, it goes on: what has been taken in is known by its content.
    Raises IncompatibleIndex for a part of another encoder.
    """
    done = AdoptReport()
    _sweep(folder)
    names = _names(folder)
    own = folder.read_card() if names else None
    for name in names:
        place = _place(folder, name)
        try:
            with writing(place):
                if not (place.path / _FINISHED).is_file():
                    done = replace(done, left=(*done.left, name))
                    continue
                card = place.read_card()
                if own is None or card.encoder_id != own.encoder_id:
                    raise IncompatibleIndex(
                        f"part {name} of collection {folder.name!r} was embedded with "
                        f"{card.encoder_id}, not with the collection's encoder; embed it again "
                        f"with that, or delete {place.path}"
                    )
                with (
                    writing(folder),
                    Ledger.open(folder) as ledger,
                    Ledger.open(place) as theirs,
                ):
                    done = _Adoption(folder, ledger, card, done).all(theirs, on_progress)
                with Sights.open(folder.sights) as sights, Sights.open(place.sights) as seen:
                    sights.take(seen)
                with Videos.open(folder.videos) as videos, Videos.open(place.videos) as watched:
                    videos.take(watched)
            _remove(place)
        except StoreLocked:
            done = replace(done, left=(*done.left, name))
    _sweep(folder)
    return done


@dataclass(frozen=True)
class _NoEncoder:
    """Stands for the encoder where nothing is to be encoded, as every row has its vector."""

    id: str
    dim: int

    def encode_images(self, images: list[Image]) -> Vectors:
        raise RuntimeError(f"{len(images)} pictures of a part have no vectors")

    def encode_texts(self, texts: list[str]) -> Vectors:
        raise RuntimeError(f"{len(texts)} captions of a part have no vectors")


class _Adoption:
    """Takes one part into the collection."""

    def __init__(
        self,
        folder: CollectionFolder,
        ledger: Ledger,
        card: CollectionCard,
        before: AdoptReport,
    ) -> None:
        self._ledger = ledger
        self._stored = StoredPictures(ledger)
        self._builder = ShardBuilder(
            _NoEncoder(card.encoder_id, card.dim),
            folder,
            ledger,
            batch_size=256,
            shard_size=1024,
            on_bad=lambda _: None,
        )
        self._dim = card.dim
        self._name = card.name
        self._report = replace(before, adopted=(*before.adopted, card.name))

    def all(self, theirs: Ledger, on_progress: OnProgress) -> AdoptReport:
        """Take what lives in the part."""
        self._leave_out(*(error.path for error in theirs.damaged))
        files = theirs.shards()
        for done, file in enumerate(files):
            on_progress(Progress(f"adopt {self._name}", done, len(files)))
            try:
                self._take_shard(Shard(file), theirs.live(file.number))
            except DamagedShard as error:
                if error.path != file.path:
                    raise  # it is one of the collection's own
                self._leave_out(file.path)
        self._builder.finish()
        on_progress(Progress(f"adopt {self._name}", len(files), len(files)))
        return self._report

    def _leave_out(self, *damaged: Path) -> None:
        self._report = replace(self._report, damaged=(*self._report.damaged, *damaged))

    def _take_shard(self, shard: Shard, live: Live) -> None:
        for row, entry in zip(live.pictures, shard.entries(live.pictures), strict=True):
            vectors = shard.captions[shard.span(row)]
            self._let_go(entry)
            self._take(Item(entry, (), shard.images[row], vectors))
        self._take_loose(shard, live.loose)

    def _let_go(self, entry: Entry) -> None:
        """Take their names from pictures whose files hold this one now."""
        paths = {name.path for name in entry.names}
        for path in paths:
            there = self._ledger.file_at(Path(path))
            if there is None or self._builder.is_withdrawn(there.picture.sha256):
                continue
            if (sha256 := there.picture.sha256) != entry.sha256:
                other = self._builder.pending(sha256) or self._stored.item(there.picture)
                kept = [name for name in other.entry.names if name.path not in paths]
                if not kept:
                    self._builder.withdraw(sha256)
                elif len(kept) < len(other.entry.names):
                    self._add_named(kept, other)

    def _add_named(self, names: Sequence[Name], *items: Item) -> None:
        """Write a picture under these names, with vectors from where it has them."""
        first, vectors = items[0], _vectors_of(items)
        entry = first.entry.named(names)
        while any(text not in vectors for text in entry.captions):
            # Words of another split until now, whose vectors nobody has: left to the next ingest
            # of their source, to which this name says less than it does.
            entry = entry.named(_only(name, vectors, entry.split) for name in entry.names)
        if entry != first.entry:
            rows = [vectors[text][None] for text in entry.captions]
            captions = np.concatenate([np.empty((0, self._dim), np.float16), *rows])
            self._builder.add(Item(entry, first.images, first.vector, captions))

    def _take(self, item: Item) -> None:
        sha256 = item.entry.sha256
        known = self._builder.pending(sha256)
        if known is None and (found := self._ledger.picture(sha256)) is not None:
            known = None if self._builder.is_withdrawn(sha256) else self._stored.item(found)
        if known is None:
            self._builder.add(item)
            self._report = replace(
                self._report,
                pictures=self._report.pictures + 1,
                captions=self._report.captions + len(item.entry.captions),
            )
            return
        self._report = replace(self._report, joined=self._report.joined + 1)
        self._add_named(_joined(known.entry, item.entry), known, item)

    def _take_loose(self, shard: Shard, rows: list[int]) -> None:
        for row, caption in zip(rows, shard.loose_captions(rows), strict=True):
            if not (self._ledger.has_loose(caption) or self._builder.pending_loose(caption)):
                self._builder.add_loose(caption, shard.captions[shard.offsets[row]])
                self._report = replace(self._report, captions=self._report.captions + 1)


def _joined(own: Entry, other: Entry) -> list[Name]:
    """The names of both, those of the same file as the other has them.

    In the order in which one process would have read them, whichever part comes first; but
    another split's captions never come before those that decide the picture's.
    """
    theirs = {name.path: name for name in other.names}
    names = [theirs.pop(name.path, name) for name in own.names]

    def place(name: Name) -> tuple[bool, list[tuple[bool, str]]]:
        is_conflict = bool(own.captions and name.captions) and name.split != own.split
        return is_conflict, _as_read(name.path)

    return sorted([*names, *theirs.values()], key=place)


def _as_read(path: str) -> list[tuple[bool, str]]:
    """Sorts files as a folder is read: its pictures by name, then its folders by name."""
    *folders, name = PurePath(path).parts
    return [*((True, folder) for folder in folders), (False, name)]


def _only(name: Name, texts: Collection[str], split: str) -> Name:
    """A name; if it is of that split, with those of its captions that are among these texts."""
    if name.split != split:
        return name
    return replace(name, captions=tuple(text for text in name.captions if text in texts))


def _vectors_of(items: Iterable[Item]) -> dict[str, Halves]:
    """The vectors of the captions of a picture that comes from several places."""
    vectors: dict[str, Halves] = {}
    for item in items:
        if item.captions is not None:
            vectors |= dict(zip(item.entry.captions, item.captions, strict=True))
    return vectors


def _said(record: ImageRecord | CaptionRecord) -> str:
    if isinstance(record, ImageRecord):
        return f"{record.image_id}\0{record.path}"
    return f"{record.image_id}\0{record.text}"


def _place(folder: CollectionFolder, name: str) -> CollectionFolder:
    return CollectionFolder(folder.path / "parts", name)


def _names(folder: CollectionFolder) -> list[str]:
    """The parts of a collection, in order."""
    found = (folder.path / "parts" / "collections").glob("*-of-*")
    matches = [match for path in found if (match := _NAME.fullmatch(path.name))]
    return [m[0] for m in sorted(matches, key=lambda m: (int(m[2]), int(m[1])))]


def _sweep(folder: CollectionFolder) -> None:
    """Remove what a kill has left of parts that were being removed, and folders without any."""
    parts = folder.path / "parts"
    for gone in (parts / "collections").glob(".*.gone"):
        shutil.rmtree(gone, ignore_errors=True)
    for empty in (parts / "collections", parts):
        with suppress(OSError):
            empty.rmdir()


def _remove(place: CollectionFolder) -> None:
    """Remove a part that has been adopted: at once, so that no half of it is adopted again."""
    gone = place.path.with_name(f".{place.name}.gone")
    place.path.rename(gone)
    shutil.rmtree(gone, ignore_errors=True)
