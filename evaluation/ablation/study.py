"""What an ablation works on: training pairs, the captions that are found, and the examples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from corpus.captions import CaptionTable
from corpus.examples import Examples, fingerprint
from engine.alignment.alignment import Alignment, Fold, GapMap, PairMoments
from engine.errors import InvalidInput
from engine.sampling import name_hashes
from engine.types import Vectors
from evaluation.ablation.clusters import LocalMaps, cluster_centres, nearest_centre
from evaluation.ablation.grid import MapChoice

FOLDS = 5
SAMPLE = 1000
"""Held-out pairs of a fold that `auto` ranks."""


@dataclass(frozen=True, eq=False)
class Study:
    """A collection as one encoder sees it; `examples` are the pictures that are described.

    `distractors`: the captions of no picture that `auto` judges maps among, None for none.
    """

    name: str
    encoder: str
    encoder_id: str
    training: Examples = field(repr=False)
    index: CaptionTable = field(repr=False)
    examples: Examples = field(repr=False)
    distractors: Vectors | None = field(default=None, repr=False)

    @cached_property
    def fingerprint(self) -> str:
        """32 hex digits of all that is in it."""
        parts = (self.index, self.training, self.examples)
        texts = (self.encoder_id, *(part.fingerprint for part in parts))
        others = () if self.distractors is None else (self.distractors,)
        return fingerprint(texts, *others)


def in_common(studies: Mapping[str, Study]) -> dict[str, Study]:
    """The studies of one collection by several encoders, each with the pictures that all have.

    Pictures are told by what they are and come in the order of the first study: what the
    encoders see at one place is one picture. Captions of pictures that some encoder lacks are
    left out too, and those of no picture stay.
    """
    parts = list(studies.values())
    training = _shared([study.training for study in parts])
    examples = _shared([study.examples for study in parts])
    filed = set.intersection(*(set(study.index.pictures) for study in parts))
    result: dict[str, Study] = {}
    for at, (name, study) in enumerate(studies.items()):
        kept = [picture in filed for picture in study.index.pictures]
        index = study.index if all(kept) else study.index.take(kept)
        result[name] = replace(
            study,
            training=study.training.take(training[at]),
            examples=study.examples.take(examples[at]),
            index=index,
        )
    return result


def _shared(parts: Sequence[Examples]) -> list[list[int]]:
    """For each part the rows of the pictures that all have, in the order of the first."""
    rows = [{one.key: row for row, one in enumerate(part.pictures)} for part in parts]
    keys = [key for key in rows[0] if all(key in of_part for of_part in rows)]
    if not keys:
        raise InvalidInput(
            "the other encoder's embedding has none of these pictures; remove the folder "
            "'ablation' of the collection, see that the pictures' files are there, and try again"
        )
    return [[of_part[key] for key in keys] for of_part in rows]


def fit_map(training: Examples, choice: MapChoice, distractors: Vectors | None = None) -> GapMap:
    """Fit as `mrag fit` does, on a share of the pictures that depends on their names alone.

    `distractors` are captions of no picture, the same for every share. Smaller shares are
    parts of larger ones. Raises AlignmentError where it cannot be fitted.
    """
    part = _share(training, choice.share)
    folds = [_moments(part, rows) for rows in _folds(part)]
    if not choice.centring:
        folds = [_uncentred(moments) for moments in folds]
    total = sum(folds[1:], folds[0])
    samples = [_sample(part, rows[:SAMPLE]) for rows in _folds(part)]
    whole = Alignment.fit(
        total,
        choice.method,
        folds=[Fold(moments, *sample) for moments, sample in zip(folds, samples, strict=True)],
        distractors=distractors,
    )
    if not choice.clusters:
        return whole
    centres = cluster_centres(part.images, choice.clusters)
    own = nearest_centre(part.images, centres)
    parts = [_moments(part, np.flatnonzero(own == c)) for c in range(choice.clusters)]
    return LocalMaps.fit(whole, parts, centres, prior=choice.prior * total.n)


def orthogonality(alignment: GapMap) -> float | None:
    """|W'W - I| (Frobenius) of a map that is one matrix; 0 without a matrix."""
    if not isinstance(alignment, Alignment):
        return None
    if alignment.matrix is None:
        return 0.0
    gram = alignment.matrix.T @ alignment.matrix
    return float(np.linalg.norm(gram - np.eye(alignment.dim)))


def _share(training: Examples, share: float) -> Examples:
    if not 0 < share <= 1:
        raise InvalidInput(f"the share of the pairs is {share}; it must be above 0, up to 1")
    if share == 1:
        return training
    count = max(2, round(share * len(training)))
    drawn = np.argsort(name_hashes(training.image_ids, salt="share"), kind="stable")
    return training.take(np.sort(drawn[:count]))


def _folds(part: Examples) -> list[NDArray[np.int64]]:
    """The rows of each fold, in an order that has nothing to do with what they hold."""
    hashes = name_hashes(part.image_ids)
    ordered = np.argsort(hashes, kind="stable")
    folds = hashes[ordered] % FOLDS
    return [ordered[folds == fold] for fold in range(FOLDS)]


def _moments(part: Examples, rows: NDArray[np.int64]) -> PairMoments:
    moments = PairMoments(part.images.shape[1])
    if len(rows):
        taken = part.take(rows)
        counts = np.bincount(taken.owners, minlength=len(taken))
        sums = np.zeros(taken.images.shape)
        np.add.at(sums, taken.owners, taken.captions)
        moments.update(taken.images, sums / counts[:, None], counts)
    return moments


def _sample(part: Examples, rows: NDArray[np.int64]) -> tuple[NDArray[np.float32], ...]:
    """Pictures, and the first caption of each."""
    taken = part.take(rows)
    return taken.images, taken.captions[np.searchsorted(taken.owners, np.arange(len(taken)))]


def _uncentred(moments: PairMoments) -> PairMoments:
    """Moments as if both means were zero: what is fitted on them centres nothing."""
    result = moments + PairMoments(moments.dim)
    result.image_sum = np.zeros(moments.dim)
    result.text_sum = np.zeros(moments.dim)
    return result
