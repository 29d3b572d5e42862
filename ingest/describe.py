"""Describes pictures that nobody has captioned, so that they can be searched by caption too."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Protocol

import numpy as np

from corpus.described import Described, write_described
from corpus.entry import Entry
from corpus.ledger import Ledger
from corpus.lock import writing
from corpus.records import Skipped
from corpus.shards import Halves, Shard
from engine.collection import CollectionFolder
from engine.describe.captioner import each_described
from engine.errors import MragError
from engine.progress import OnProgress, Progress, check_cancelled, silent
from engine.types import CaptionResult, Encoder, Vectors
from engine.vectors import unit

BATCH = 32
SHARD_SIZE = 256
"""Pictures described before they are written down: what a kill can cost."""

_EXAMPLES = 10


class Describer(Protocol):
    """Describes pictures by their vectors, as `engine.describe.captioner.Captioner` does."""

    def describe_vectors(self, raw: Vectors) -> list[CaptionResult]:
        """Describe pictures by their raw vectors, (n, dim) unit rows."""


@dataclass(frozen=True)
class DescribeReport:
    """How many pictures were described; those for which nothing could be generated."""

    described: int
    failed: int
    examples: tuple[Skipped, ...]
    seconds: float


def describe(
    folder: CollectionFolder,
    encoder: Encoder,
    make_captioner: Callable[[], Describer],
    *,
    again: Collection[str] = (),
    batch_size: int = BATCH,
    shard_size: int = SHARD_SIZE,
    on_progress: OnProgress = silent,
) -> DescribeReport:
    """Generate a caption for every picture that has none and write them to shards.

    `make_captioner` is called only if there is such a picture. A picture is described once,
    until its file changes, and once more if its sha256 is in `again`; what people wrote stays.
    Killed and run again, it repeats at most one shard. Push afterwards.
    """
    with writing(folder), Ledger.open(folder) as ledger:
        wanted = _wanted(ledger, again)
        total = sum(map(len, wanted.values()))
        run = _Run(folder, ledger, encoder, shard_size)
        started = monotonic()
        if total:
            on_progress(Progress("load what describes", 0))
            captioner = make_captioner()
            on_progress(Progress("describe", 0, total))
            for entries, images in _batches(ledger, wanted, batch_size):
                check_cancelled()
                run.describe(captioner, entries, images)
                on_progress(Progress("describe", run.seen, total))
            run.commit()
        return DescribeReport(
            run.described, run.seen - run.described, tuple(run.examples), monotonic() - started
        )


class _Run:
    """Describes batch by batch and commits shard by shard."""

    def __init__(
        self, folder: CollectionFolder, ledger: Ledger, encoder: Encoder, shard_size: int
    ) -> None:
        self._folder = folder.generated
        self._ledger = ledger
        self._encoder = encoder
        self._shard_size = shard_size
        self._described: list[Described] = []
        self._vectors: list[Halves] = []
        self.seen = self.described = 0
        self.examples: list[Skipped] = []

    def describe(self, captioner: Describer, entries: list[Entry], images: Vectors) -> None:
        """Describe a batch: the pictures of `entries` by their raw vectors."""
        self.seen += len(entries)
        said = self._said(captioner, entries, images)
        if said:
            vectors = self._encoder.encode_texts([described.text for described in said])
            self._described += said
            self._vectors.append(np.asarray(vectors, np.float16))
            self.described += len(said)
        if len(self._described) >= self._shard_size:
            self.commit()

    def commit(self) -> None:
        """Write down what has been described."""
        if not self._described:
            return
        described, self._described = self._described, []
        vectors, self._vectors = self._vectors, []
        commit = self._ledger.next_commit()
        file = write_described(
            self._folder,
            self._ledger.next_described_shard(),
            described,
            np.concatenate(vectors),
            commit=commit,
            encoder_id=self._encoder.id,
        )
        self._ledger.add_described(file, described, commit)

    def _said(self, captioner: Describer, entries: list[Entry], images: Vectors) -> list[Described]:
        """The descriptions of the pictures; those without one are noted."""
        answers = each_described(
            lambda part: captioner.describe_vectors(images[part]), len(entries)
        )
        said = []
        for entry, answer in zip(entries, answers, strict=True):
            if isinstance(answer, MragError):
                self._note(entry, str(answer))
            elif text := " ".join(answer.caption.split()):
                said.append(Described(entry.sha256, text, answer.made_with))
            else:
                self._note(entry, "the generator wrote nothing")
        return said

    def _note(self, entry: Entry, reason: str) -> None:
        if len(self.examples) < _EXAMPLES:
            self.examples.append(Skipped(entry.uri, reason))


def _wanted(ledger: Ledger, again: Collection[str]) -> dict[int, list[int]]:
    """By shard the rows of pictures without captions, and of those to be described again."""
    repeated = ledger.uncaptioned(again)
    rows = {
        file.number: {*ledger.undescribed_in(file.number), *repeated.get(file.number, ())}
        for file in ledger.shards()
    }
    return {number: sorted(found) for number, found in rows.items() if found}


def _batches(
    ledger: Ledger, wanted: Mapping[int, Sequence[int]], size: int
) -> Iterator[tuple[list[Entry], Vectors]]:
    """The pictures of these rows and their raw vectors, shard by shard."""
    for number, rows in wanted.items():
        shard = Shard(ledger.shard(number))
        for start in range(0, len(rows), size):
            part = rows[start : start + size]
            yield shard.entries(part), unit(shard.images[part])
