"""Captions written for pictures that have captions of their own, to be judged against these."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Protocol

from corpus.entry import Entry
from corpus.ledger import Ledger
from corpus.said import SaidReader
from corpus.shards import Shard
from engine.files import write_whole
from engine.identity import PictureIdentity
from engine.progress import OnProgress, Progress, silent
from engine.types import CaptionResult, Vectors
from engine.vectors import unit

BATCH = 32


class Writer(Protocol):
    """Describes pictures by their vectors, as `engine.describe.captioner.Captioner` does."""

    def describe_vectors(
        self, raw: Vectors, *, exclude: Sequence[PictureIdentity] | None = None
    ) -> list[CaptionResult]:
        """Describe pictures by raw vectors; `exclude` says which picture each is."""


@dataclass(frozen=True)
class Draft:
    """A caption written for a picture, and the captions that people wrote of it."""

    sha256: str
    image_id: str
    references: tuple[str, ...]
    text: str


def write_drafts(
    ledger: Ledger,
    splits: Collection[str],
    make_writer: Callable[[], Writer],
    path: Path,
    *,
    stage: str = "describe",
    on_progress: OnProgress = silent,
) -> list[Draft]:
    """Write a caption for every picture of these splits that people have captioned.

    A picture's own captions, and those that rounds added to it, are never borrowed from. What is
    written goes to `path` batch by batch, and what is there already is not written again: a
    run that was killed goes on. `make_writer` is called only if something is to be written.
    Pictures of which nothing can be said are left out.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    known = _read(path)
    pictures = list(_pictures(ledger, splits))
    missing = [at for at in pictures if at.entry.sha256 not in known]
    if missing:
        writer = make_writer()
        with path.open("a", encoding="utf-8") as lines:
            for entries, images in _batches(ledger, missing):
                on_progress(Progress(stage, len(known), len(pictures)))
                texts = _written(writer, entries, images)
                known |= texts
                lines.writelines(json.dumps(pair) + "\n" for pair in texts.items())
                lines.flush()
    on_progress(Progress(stage, len(pictures), len(pictures)))
    return [
        Draft(at.entry.sha256, at.entry.image_id, at.captions, text)
        for at in pictures
        if (text := known[at.entry.sha256])
    ]


def _written(writer: Writer, entries: Sequence[Entry], images: Vectors) -> dict[str, str]:
    """What is said of each picture, by its sha256."""
    own = [entry.identity for entry in entries]
    results = writer.describe_vectors(images, exclude=own)
    texts = (" ".join(result.caption.split()) for result in results)
    return {entry.sha256: text for entry, text in zip(entries, texts, strict=True)}


@dataclass(frozen=True)
class _Picture:
    """A picture with captions of its own, and where its vector lies."""

    entry: Entry
    captions: tuple[str, ...]
    shard: int
    row: int


def _pictures(ledger: Ledger, splits: Collection[str]) -> Iterator[_Picture]:
    reader = SaidReader(ledger)
    for number, rows in ledger.in_splits(splits):
        found = reader.of(Shard(ledger.shard(number)), rows)
        for row, (entry, captions) in zip(rows, found, strict=True):
            yield _Picture(entry, captions, number, row)


def _batches(ledger: Ledger, pictures: Sequence[_Picture]) -> Iterator[tuple[list[Entry], Vectors]]:
    """The pictures' entries and raw vectors, by the batch; a batch lies in one shard."""
    for number, group in groupby(pictures, key=lambda at: at.shard):
        of_shard = list(group)
        images = Shard(ledger.shard(number)).images
        for start in range(0, len(of_shard), BATCH):
            part = of_shard[start : start + BATCH]
            yield [at.entry for at in part], unit(images[[at.row for at in part]])


def _read(path: Path) -> dict[str, str]:
    """What was written before; a line that was cut short is left out."""
    if not path.is_file():
        return {}
    lines = path.read_text(encoding="utf-8").split("\n")
    if lines[-1]:  # cut short: what follows shall begin on a line of its own
        write_whole(path, "\n".join(lines[:-1]) + "\n" if len(lines) > 1 else "")
    return dict(json.loads(line) for line in lines[:-1])
