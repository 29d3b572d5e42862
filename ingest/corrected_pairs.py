"""The moments of a collection's pairs after corrections: those of its map, and what has changed."""

from __future__ import annotations

import numpy as np

from corpus.corrected import history
from corpus.corrections import Correction, CorrectionReader, joined, stands
from corpus.ledger import Ledger
from corpus.parquet import Halves
from corpus.refined import RefinedReader
from corpus.shards import Shard
from engine.alignment.alignment import Alignment
from engine.alignment.moments import PairMoments
from engine.collection import CollectionFolder
from engine.errors import AlignmentError
from engine.files import write_whole
from engine.identity import content_number
from engine.types import TRAINING_SPLITS
from engine.vectors import unit


class PairsChanged(Exception):
    """More than corrections has come since the map was chosen: all pairs are to be read."""


def changed_pairs(folder: CollectionFolder, ledger: Ledger, known: Alignment) -> PairMoments:
    """The moments that the map was chosen on, with each corrected picture as it is told now.

    These are kept as they were, and what the corrections add and take away is made anew from the
    records each time: so nothing is counted twice after a kill, and where all is undone the
    moments are those of before, bit for bit. Raises PairsChanged.
    """
    state = known.fitted_on
    if state.get("rounds") != ledger.refined.rounds() or "commit" not in state:
        raise PairsChanged
    moments = _kept(folder, known)
    added, taken = PairMoments(known.dim), PairMoments(known.dim)
    of = _Pairs(folder, ledger)
    for sha256, since in ledger.corrected.changed_pictures(state["commit"]):
        if since > state["commit"]:
            raise PairsChanged
        before, now = of.standing(sha256, state["commit"]), of.standing(sha256)
        if (before and before.text) != (now and now.text):
            of.add(taken, sha256, before)
            of.add(added, sha256, now)
    if not (added.n or taken.n):
        return moments
    return moments - taken + added


def _kept(folder: CollectionFolder, known: Alignment) -> PairMoments:
    """The moments that the map was chosen on, which are put aside when they first change."""
    aside = folder.corrections / "chosen_on.safetensors"
    try:
        if "learned" not in known.fitted_on:
            folder.corrections.mkdir(parents=True, exist_ok=True)
            write_whole(aside, folder.moments.read_bytes())
        return PairMoments.load(aside)
    except (AlignmentError, OSError) as error:
        raise PairsChanged from error


class _Pairs:
    """The pairs of single pictures."""

    def __init__(self, folder: CollectionFolder, ledger: Ledger) -> None:
        self._ledger = ledger
        self._reader: CorrectionReader = ledger.corrections()
        self._refined = RefinedReader(folder.rounds)

    def standing(self, sha256: str, until: int | None = None) -> Correction | None:
        """The correction that stands of a picture, or stood at a commit."""
        return stands(history(self._ledger.corrected, self._reader, sha256, until))

    def add(self, moments: PairMoments, sha256: str, correction: Correction | None) -> None:
        """Add the pairs that a picture has where this correction of it stands."""
        found = self._ledger.picture(sha256)
        if found is None:
            raise PairsChanged
        shard = Shard(self._ledger.shard(found.shard))
        if shard.splits[found.row] not in TRAINING_SPLITS:
            return
        vectors = self._captions(shard, found.shard, found.row, sha256, correction)
        if not len(vectors):
            return
        mean = unit(vectors).mean(axis=0, dtype=np.float64).astype(np.float32)
        numbers = np.array([content_number(sha256)], np.uint64)
        image = shard.images[found.row][None]
        moments.update(image, mean[None], np.array([len(vectors)]), pictures=numbers)

    def _captions(
        self, shard: Shard, number: int, row: int, sha256: str, correction: Correction | None
    ) -> Halves:
        said, vectors = shard.texts[row], shard.captions[shard.span(row)]
        if correction is None or correction.text in said:
            standing = [one for one in self._ledger.refined.scored_in(number) if one.row == row]
            more = self._refined.by_picture(standing).get(row, ())
            return np.concatenate([vectors, *(vector[None] for _, _, vector in more)])
        places = self._ledger.corrected.of(sha256)
        rows = {self._reader.correction(*place).id: place for place in places}
        told = self._reader.caption(*rows[correction.id])
        return joined(said, vectors, told)[1]
