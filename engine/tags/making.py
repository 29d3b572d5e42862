"""Makes a tagger of what a collection knows: its map, its captions, some of its pictures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, islice

import numpy as np

from engine.alignment.alignment import Alignment
from engine.alignment.moments import PairMoments
from engine.errors import InvalidInput
from engine.progress import check_cancelled
from engine.search.relevance_sample import ENOUGH, PICTURES
from engine.store import CaptionStore, ImageStore
from engine.tags.calibration import USUAL_SHARE, Calibration
from engine.tags.directions import Flags
from engine.tags.labels import Label
from engine.tags.prototypes import General, Prototypes, prototypes
from engine.tags.tagger import LEAST, Scorer, Tagger
from engine.tags.zero_shot import CAPTIONS, TEMPLATES, beside_everyday, naming, told_by, zero_shot
from engine.types import CaptionHit, Encoder, ImageHit, Vectors

EXAMPLES_COUNT = 4
"""So many examples of a label count as much as its sentences."""

_SCORES = 1_000_000
"""Scores of labels and pictures that a calibration is measured on, about."""

_FEWEST = 500
_BATCH = 1_000


@dataclass(frozen=True, eq=False)
class Examples:
    """Raw vectors of example pictures (n, dim), and which labels each has, (n, labels)."""

    pictures: Vectors
    holds: Flags


@dataclass(frozen=True, eq=False)
class Known:
    """What a collection knows: raw `pictures` (n, dim), what people said of each, and captions.

    `moments`: of the pairs that its map was fitted on, None where there are none.
    """

    alignment: Alignment
    pictures: Vectors
    said: Sequence[tuple[str, ...]]
    captions: Sequence[CaptionHit]
    moments: PairMoments | None = None


def known_of(
    alignment: Alignment,
    images: ImageStore,
    captions: Sequence[CaptionStore],
    moments: PairMoments | None = None,
) -> Known:
    """What the stores of a collection, and captions that are lent to it, know.

    Raises InvalidInput where there is no picture.
    """
    hits = _with_vectors(images, PICTURES)
    if not hits:
        raise InvalidInput("this collection has no pictures to give labels to; ingest some first")
    told = chain.from_iterable(_captions(store) for store in captions)
    human = [one for one in told if one.source == "human"]
    rows = np.array([hit.vector for hit in hits], np.float32)
    said = [hit.captions if hit.payload["source"] == "human" else () for hit in hits]
    return Known(alignment, rows, said, human[:CAPTIONS], moments)


def make_tagger(
    labels: tuple[Label, ...],
    encoder: Encoder,
    known: Known,
    examples: Examples | None = None,
    *,
    single: bool = False,
    least: float = LEAST,
    templates: Sequence[str] = TEMPLATES,
) -> Tagger:
    """A tagger for these labels, which are put into these templates."""
    every = beside_everyday(labels)
    told = told_by(every, known.captions, known.alignment) if known.captions else None
    check_cancelled()
    origin = known.alignment.map_images(known.pictures).mean(axis=0).astype(np.float64)
    sentences = zero_shot(every, encoder, known.alignment, told, origin, templates)
    check_cancelled()
    weights, learned = np.zeros(len(every)), None
    if examples is not None:
        learned = _learned(examples, known, sentences.strength, len(every))
        weights = learned.counts / EXAMPLES_COUNT
    rows, named = _measured_on(known, every)
    scorer = Scorer.of(known.alignment, sentences, learned, rows, weights)
    shares = None if told is None else told.shares
    if shares is not None and told is not None:
        # Of what captions never name, and examples show, they do not tell how common it is.
        shares = np.where((weights > 0) & ~told.holds.any(axis=0), USUAL_SHARE, shares)
    usual = 1 / (len(labels) + 1) if single else USUAL_SHARE
    calibration = Calibration.fit(
        scorer.scores(rows), shares, named, usual=usual, listed=len(labels)
    )
    return Tagger(labels, scorer, calibration, single, least)


def _learned(examples: Examples, known: Known, strength: float | None, count: int) -> Prototypes:
    """Directions of `count` labels, of which the last have no example."""
    holds = np.zeros((len(examples.pictures), count), np.bool_)
    holds[:, : examples.holds.shape[1]] = examples.holds
    general = General.of(known.moments, known.pictures)
    return prototypes(examples.pictures, holds, general, strength)


def _measured_on(known: Known, labels: Sequence[Label]) -> tuple[Vectors, Flags | None]:
    """Pictures that a calibration is measured on, and which labels their captions name.

    Those that people captioned, where there are enough of them; else all.
    """
    captioned = [at for at, said in enumerate(known.said) if said]
    count = max(_FEWEST, _SCORES // len(labels))
    if len(captioned) < ENOUGH:
        return known.pictures[:count], None
    captioned = captioned[:count]
    return known.pictures[captioned], naming(labels, [known.said[at] for at in captioned])


def _with_vectors(images: ImageStore, most: int) -> list[ImageHit]:
    # Ids are hashes, so the first of them are a random sample.
    hits = images.get(list(islice(images.ids(), most)), with_vectors=True)
    return [hit for hit in hits if hit.vector is not None]


def _captions(store: CaptionStore) -> Iterable[CaptionHit]:
    ids = list(islice(store.ids(), CAPTIONS))
    for start in range(0, len(ids), _BATCH):
        check_cancelled()
        yield from store.get(ids[start : start + _BATCH], with_vectors=True)
