"""One pass over the embeddings: everything that a map is fitted on, in memory of O(dim^2)."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from corpus.ledger import Ledger
from corpus.lock import writing
from corpus.refined import RefinedReader
from corpus.shards import Halves, Shard, read_shard, shard_path
from engine.alignment.alignment import Fold, PairMoments
from engine.alignment.distractors import Distractors
from engine.collection import CollectionFolder
from engine.progress import OnProgress, Progress, check_cancelled
from engine.sampling import HashSample, name_hashes
from engine.tensorfile import Matrix
from engine.types import TRAINING_SPLITS, Vectors
from engine.vectors import unit

FOLDS = 5
SAMPLE = 1000
"""Held-out pairs kept of each fold."""


@dataclass
class Mean:
    """A running mean of unit rows."""

    total: Matrix
    n: int = 0

    def update(self, rows: Vectors) -> None:
        """Add rows (n, dim)."""
        self.total += rows.sum(axis=0, dtype=np.float64)
        self.n += len(rows)

    @property
    def value(self) -> Matrix:
        """The mean, (dim,) float64; zeros before the first row."""
        return self.total / max(1, self.n)


class Gathered:
    """Moments and a sample of each fold's pairs, and the means of all pictures and captions.

    `distractors` are a sample of the captions of no picture; `pictures` counts the pictures
    that have captions. Training splits only.
    """

    def __init__(self, dim: int) -> None:
        self.moments = [PairMoments(dim) for _ in range(FOLDS)]
        self.samples = [HashSample(SAMPLE, dim, dim) for _ in range(FOLDS)]
        self.distractors = Distractors(dim)
        self.images = Mean(np.zeros(dim))
        self.captions = Mean(np.zeros(dim))
        self.pictures = 0

    def total(self) -> PairMoments:
        """The moments of all pairs."""
        return sum(self.moments[1:], self.moments[0])

    def folds(self) -> list[Fold]:
        """The folds for cross-validation."""
        parts = zip(self.moments, self.samples, strict=True)
        return [Fold(moments, *sample.columns) for moments, sample in parts]

    def add(
        self, shard: Shard, live: list[int], refined: Mapping[int, Halves] | None = None
    ) -> None:
        """Add the living rows of a shard; `refined` has captions (k, dim) by picture row.

        Pictures with captions of their own only have refined ones. Held-out samples are of what
        people wrote.
        """
        contents = shard.contents
        images, captions = unit(shard.images), unit(shard.captions)
        rows = [row for row in live if contents.entries[row].split in TRAINING_SPLITS]
        self.images.update(images[rows])
        texts, loose = _loose(shard)
        self.captions.update(loose)
        self.distractors.update(texts, loose)
        paired = [row for row in rows if contents.entries[row].captions]
        spans = [contents.spans[row] for row in paired]
        told = [captions[span] for span in spans]
        for at, row in enumerate(paired):
            if refined and row in refined:
                told[at] = np.concatenate([told[at], unit(refined[row])])
            self.captions.update(told[at])
        hashes = name_hashes(contents.entries[row].image_id for row in paired)
        if paired:
            means = np.stack([rows.mean(axis=0) for rows in told])
            firsts = captions[[span.start for span in spans]]
            counts = np.array([len(rows) for rows in told])
            self._add_pairs(hashes, images[paired], means, firsts, counts)

    def _add_pairs(
        self,
        hashes: NDArray[np.uint64],
        images: Vectors,
        means: Vectors,
        firsts: Vectors,
        counts: NDArray[np.int64],
    ) -> None:
        self.pictures += len(images)
        folds = hashes % FOLDS
        for fold in range(FOLDS):
            of_fold = np.flatnonzero(folds == fold)
            self.moments[fold].update(images[of_fold], means[of_fold], counts[of_fold])
            self.samples[fold].update(hashes[of_fold], images[of_fold], firsts[of_fold])


def gather(
    folder: CollectionFolder,
    ledger: Ledger,
    dim: int,
    on_progress: OnProgress,
    without: Container[str] = (),
) -> Gathered:
    """Read every shard once; pictures whose ids are in `without` are passed over."""
    gathered = Gathered(dim)
    shards, reader = ledger.shards(), RefinedReader(folder.rounds)
    for done, number in enumerate(shards):
        check_cancelled()
        on_progress(Progress("fit", done, len(shards)))
        shard = read_shard(shard_path(folder.embeddings, number))
        refined = {
            row: np.stack([vector for _, vector in captions])
            for row, captions in reader.by_picture(ledger.refined.standing_in(number)).items()
        }
        entries, live = shard.contents.entries, ledger.live_rows(number)
        gathered.add(shard, [r for r in live if entries[r].image_id not in without], refined)
    on_progress(Progress("fit", len(shards), len(shards)))
    return gathered


def read_distractors(folder: CollectionFolder) -> Vectors:
    """The captions of no picture that `gather` would judge maps among, (p, dim)."""
    distractors = Distractors(folder.read_card().dim)
    with writing(folder), Ledger.open(folder) as ledger:
        for number in ledger.shards():
            distractors.update(*_loose(read_shard(shard_path(folder.embeddings, number))))
    return distractors.captions


def _loose(shard: Shard) -> tuple[list[str], Vectors]:
    """The captions of a shard that belong to no picture, of the training splits."""
    loose, start = shard.contents.loose, shard.contents.loose_span.start
    kept = [i for i, caption in enumerate(loose) if caption.split in TRAINING_SPLITS]
    return [loose[i].text for i in kept], unit(shard.captions[[start + i for i in kept]])
