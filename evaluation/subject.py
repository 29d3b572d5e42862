"""Makes of a collection what is evaluated: nothing is encoded again, and no index is opened."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from corpus.examples import Examples
from corpus.ledger import Ledger
from corpus.pairs import Gathered, gather
from corpus.reading import captioned_splits, read_captions, read_examples
from engine.alignment.alignment import Alignment, PairMoments
from engine.app import Collection, Engine
from engine.collection import CollectionFolder
from engine.errors import AlignmentError, InvalidInput
from engine.identity import PictureIdentity, Pictures, content_number
from engine.progress import silent
from engine.types import TRAINING_SPLITS
from evaluation.conditions import conditions
from evaluation.evaluate import Subject
from evaluation.maps import MapSource

HELD_OUT = ("test", "val")
"""What is evaluated if no split is named: the first of these that has captioned pictures."""
_SOURCE = "collection "


def subject_of(
    engine: Engine,
    name: str,
    splits: Sequence[str] = (),
    *,
    limit: int | None = None,
    seed: int = 0,
) -> Subject:
    """A collection as it is evaluated on the captioned pictures of these splits.

    Captions are borrowed from the training splits alone, on which the map is fitted too.

    Raises InvalidInput where there are none, and what opening the collection raises.
    """
    opened = engine.open(name)
    if not splits:
        there = captioned_splits(opened.folder)
        splits = [next((split for split in HELD_OUT if split in there), HELD_OUT[0])]
    examples = read_examples(opened.folder, splits, limit=limit, seed=seed)
    memory = read_captions(opened.folder, TRAINING_SPLITS)
    if opened.card.memory:
        memory += read_captions(engine.open(opened.card.memory).folder, TRAINING_SPLITS)
    return Subject(
        opened.card.name,
        examples,
        memory,
        _map_source(engine, opened, examples),
        opened.encoder,
        lambda: opened.generator,
        conditions(engine.settings),
    )


def _map_source(engine: Engine, opened: Collection, examples: Examples) -> MapSource:
    """The collection's map, and the training pairs of whoever's captions describe.

    The pairs are those that are there now, without the pictures that are evaluated, by whatever
    name and in whatever split they are among them: what a fit kept of them may be of an earlier
    day, when a picture that is held out now was a training picture.
    """
    own = opened.fitted
    lender = engine.open(opened.card.memory) if opened.card.memory else opened
    gathered = _pairs(lender.folder, examples.pictures)
    pairs, left_out = gathered.total(), gathered.passed_over
    about = f"{_SOURCE}{lender.card.name}"
    if left_out:
        about += f" without {left_out:,} evaluated pictures"
    seen = _seen(own, opened.folder, examples.pictures)
    if seen is None:
        seen = left_out
    usable = pairs if pairs.n or left_out else None
    return MapSource(own, usable, about, seen, gathered.bank)


def _pairs(folder: CollectionFolder, without: Sequence[PictureIdentity]) -> Gathered:
    """What there is of a collection's training pairs, without these pictures."""
    with Ledger.read(folder) as ledger:
        dim = folder.read_card().dim
        return gather(folder, ledger, dim, silent, without=Pictures(without))


def _seen(
    own: Alignment, folder: CollectionFolder, pictures: Sequence[PictureIdentity]
) -> int | None:
    """On how many of these pictures a collection's map was fitted; None where nothing tells.

    The moments that it was fitted on say of which pictures they were; they lie with the
    collection that the map comes from.
    """
    if own.method == "raw" or not own.source.startswith(_SOURCE):
        return 0 if own.method == "raw" else None
    try:
        moments = PairMoments.load(folder.sibling(own.source.removeprefix(_SOURCE)).moments)
    except (AlignmentError, InvalidInput):
        return None
    if moments.n and not len(moments.pictures):
        return None
    numbers = [content_number(one.sha256) for one in pictures if one.sha256]
    return int(np.isin(np.array(numbers, np.uint64), moments.pictures).sum())
