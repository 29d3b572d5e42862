"""One pass over the embeddings: everything that a map is fitted on, in memory of O(dim^2)."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from corpus.ledger import Ledger, Live
from corpus.refined import RefinedReader
from corpus.shards import Halves, Shard
from engine.alignment.alignment import Fold, PairMoments
from engine.alignment.distractors import Distractors
from engine.alignment.hubs import BANK, Bank
from engine.collection import CollectionFolder
from engine.identity import PictureIdentity, content_number
from engine.progress import OnProgress, Progress, check_cancelled, silent
from engine.sampling import HashSample, name_hashes
from engine.tensorfile import Matrix
from engine.types import TRAINING_SPLITS, Vectors
from engine.vectors import unit

FOLDS = 5
SAMPLE = 1000
"""Held-out pairs kept of each fold."""

_PORTION = 1024
"""Pairs of a fold that are added at once: to add few costs as much as to add many."""


@dataclass
class Mean:
    """A running mean of unit rows."""

    total: Matrix
    n: int = 0

    def update(self, rows: Vectors) -> None:
        """Add rows (n, dim)."""
        self.total += rows.sum(axis=0, dtype=np.float64)
        self.n += len(rows)

    def add(self, sums: Matrix, counts: NDArray[np.int64]) -> None:
        """Add sums (n, dim) of so many rows each."""
        self.total += sums.sum(axis=0)
        self.n += int(counts.sum())

    @property
    def value(self) -> Matrix:
        """The mean, (dim,) float64; zeros before the first row."""
        return self.total / max(1, self.n)


class _Waiting:
    """Pairs that wait to be added to the moments of a fold."""

    def __init__(self) -> None:
        self._parts: list[tuple[Halves, Vectors, NDArray[np.int64], NDArray[np.uint64]]] = []
        self._rows = 0

    def add_to(
        self,
        moments: PairMoments,
        images: Halves,
        means: Vectors,
        counts: NDArray[np.int64],
        numbers: NDArray[np.uint64],
    ) -> None:
        """Take pairs, which are added once there are enough; see `PairMoments.update`."""
        if len(images):
            self._parts.append((images, means, counts, numbers))
            self._rows += len(images)
        if self._rows >= _PORTION:
            self.flush(moments)

    def flush(self, moments: PairMoments) -> None:
        """Add what waits."""
        parts, self._parts, self._rows = self._parts, [], 0
        if parts:
            images, means, counts, numbers = (
                np.concatenate(column) for column in zip(*parts, strict=True)
            )
            moments.update(images, means, counts, pictures=numbers)


class Gathered:
    """Moments and a sample of each fold's pairs, and the means of all pictures and captions.

    `distractors` are a sample of the captions of no picture, `bank` one of all pictures and of
    what people say, the first caption of each picture; `pictures` counts the pictures
    that have captions, `passed_over` those of them that were not to be looked at. Training splits
    only.
    """

    def __init__(self, dim: int) -> None:
        self._moments = [PairMoments(dim) for _ in range(FOLDS)]
        self._waiting = [_Waiting() for _ in range(FOLDS)]
        self.samples = [HashSample(SAMPLE, dim, dim) for _ in range(FOLDS)]
        self.distractors = Distractors(dim)
        self._bank = HashSample(BANK, dim), HashSample(BANK, dim)
        self.images = Mean(np.zeros(dim))
        self.captions = Mean(np.zeros(dim))
        self.pictures = 0
        self.passed_over = 0

    @property
    def moments(self) -> list[PairMoments]:
        """The moments of each fold."""
        for moments, waiting in zip(self._moments, self._waiting, strict=True):
            waiting.flush(moments)
        return self._moments

    def total(self) -> PairMoments:
        """The moments of all pairs."""
        moments = self.moments
        return sum(moments[1:], moments[0])

    def folds(self) -> list[Fold]:
        """The folds for cross-validation."""
        parts = zip(self.moments, self.samples, strict=True)
        return [Fold(moments, *sample.columns) for moments, sample in parts]

    @property
    def bank(self) -> Bank:
        """What tells which captions and pictures are near to everything."""
        pictures, captions = self._bank
        (seen,), (said,) = pictures.columns, captions.columns
        return Bank(
            seen.astype(np.float16), pictures.hashes, said.astype(np.float16), captions.hashes
        )

    def add(
        self,
        shard: Shard,
        live: Live,
        refined: Mapping[int, Halves] | None = None,
        corrections: Mapping[int, tuple[str, Halves]] | None = None,
    ) -> None:
        """Add the living rows of a shard, of which by picture row `refined` has more captions
        (k, dim), and `corrections` the one by the collection's owner.

        Pictures with captions of their own only have refined ones. Held-out samples are of what
        people wrote.
        """
        images, captions = unit(shard.images), unit(shard.captions)
        rows = _training(shard, live.pictures)
        self.images.update(images[rows])
        contents = shard.sha256s
        numbers = np.array(
            [content_number(contents[row].hex()) for row in rows.tolist()], np.uint64
        )
        self._bank[0].update(numbers, images[rows])
        texts, loose = _loose(shard, live, captions)
        self.captions.update(loose)
        self.distractors.update(texts, loose)
        self._bank[1].update(name_hashes(texts), loose)
        told = np.diff(shard.offsets)
        corrections = corrections or {}
        paired = np.array([row for row in rows if told[row] or row in corrections], np.int64)
        if not len(paired):
            return
        sums, counts = _sums(captions, shard.offsets, paired), told[paired]
        firsts = np.empty((len(paired), captions.shape[1]), np.float32)
        human = np.flatnonzero(told[paired])
        firsts[human] = captions[shard.offsets[paired[human]]]
        for at, row in enumerate(paired.tolist()):
            if refined and row in refined:
                sums[at] += unit(refined[row]).sum(axis=0)
                counts[at] += len(refined[row])
            if row in corrections:
                text, vector = corrections[row]
                firsts[at] = unit(vector[None])[0]
                if text not in shard.texts[row]:
                    sums[at] += firsts[at]
                    counts[at] += 1
        self.captions.add(sums, counts)
        ids = shard.image_ids
        drawn = name_hashes(ids[row] for row in paired.tolist())
        pictures = numbers[np.isin(rows, paired)]
        self._bank[1].update(pictures, firsts)
        means = (sums / counts[:, None]).astype(np.float32)
        self._add_pairs(
            drawn,
            pictures,
            shard.images[paired],
            images[paired],
            means,
            firsts,
            counts,
        )

    def _add_pairs(
        self,
        drawn: NDArray[np.uint64],
        pictures: NDArray[np.uint64],
        stored: Halves,
        images: Vectors,
        means: Vectors,
        firsts: Vectors,
        counts: NDArray[np.int64],
    ) -> None:
        self.pictures += len(images)
        folds = drawn % FOLDS
        for fold in range(FOLDS):
            of_fold = np.flatnonzero(folds == fold)
            self._waiting[fold].add_to(
                self._moments[fold],
                stored[of_fold],
                means[of_fold],
                counts[of_fold],
                pictures[of_fold],
            )
            self.samples[fold].update(drawn[of_fold], images[of_fold], firsts[of_fold])


def gather(
    folder: CollectionFolder,
    ledger: Ledger,
    dim: int,
    on_progress: OnProgress = silent,
    without: Container[PictureIdentity] = (),
) -> Gathered:
    """Read every shard once; the pictures in `without` are passed over."""
    gathered = Gathered(dim)
    files, reader = ledger.shards(), RefinedReader(folder.rounds)
    corrections = ledger.corrections()
    for done, file in enumerate(files):
        check_cancelled()
        on_progress(Progress("fit", done, len(files)))
        live = ledger.live(file.number)
        if not (live.pictures or live.loose):
            continue
        shard = Shard(file)
        refined = {
            row: np.stack([vector for _, _, vector in captions])
            for row, captions in reader.by_picture(ledger.refined.standing_in(file.number)).items()
        }
        standing = corrections.by_picture(ledger.corrected.standing_in(file.number))
        if without != ():
            rows = _others(shard, live.pictures, without)
            passed_over = _training(shard, sorted(set(live.pictures) - set(rows)))
            told = np.diff(shard.offsets)[passed_over] > 0
            corrected = [row in standing for row in passed_over.tolist()]
            gathered.passed_over += int((told | np.array(corrected, bool)).sum())
            live = live._replace(pictures=rows)
        gathered.add(shard, live, refined, standing)
    on_progress(Progress("fit", len(files), len(files)))
    return gathered


def read_distractors(folder: CollectionFolder) -> Vectors:
    """The captions of no picture that `gather` would judge maps among, (p, dim)."""
    distractors = Distractors(folder.read_card().dim)
    with Ledger.read(folder) as ledger:
        for file in ledger.shards():
            live = ledger.live(file.number)
            if live.loose:
                shard = Shard(file)
                distractors.update(*_loose(shard, live, unit(shard.captions)))
    return distractors.captions


def _others(shard: Shard, rows: Sequence[int], without: Container[PictureIdentity]) -> list[int]:
    """The rows whose pictures are none of those."""
    pairs = zip(rows, shard.entries(rows), strict=True)
    return [row for row, entry in pairs if entry.identity not in without]


def _training(shard: Shard, rows: Sequence[int]) -> NDArray[np.int64]:
    """The rows that are of training splits."""
    return np.array([row for row in rows if shard.splits[row] in TRAINING_SPLITS], np.int64)


def _sums(
    captions: Vectors, offsets: NDArray[np.int64], rows: NDArray[np.int64]
) -> NDArray[np.float64]:
    """The sum of the captions of each of these rows: (n, dim)."""
    starts, counts = offsets[rows], offsets[rows + 1] - offsets[rows]
    sums = np.zeros((len(rows), captions.shape[1]))
    for nth in range(int(counts.max())):
        those = np.flatnonzero(counts > nth)
        sums[those] += captions[starts[those] + nth]
    return sums


def _loose(shard: Shard, live: Live, captions: Vectors) -> tuple[list[str], Vectors]:
    """The captions of a shard that belong to no picture, of the training splits."""
    kept = _training(shard, live.loose)
    return [shard.texts[row][0] for row in kept.tolist()], captions[shard.offsets[kept]]
