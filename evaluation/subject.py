"""Makes of a collection what is evaluated: nothing is encoded again, and no index is opened."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from corpus.captions import CaptionTable
from corpus.examples import Examples
from corpus.ledger import Ledger
from corpus.lock import writing
from corpus.pairs import gather
from corpus.reading import captioned_splits, read_captions, read_examples
from engine.alignment.alignment import PairMoments
from engine.app import Collection, Engine
from engine.collection import CollectionFolder
from engine.progress import silent
from engine.types import TRAINING_SPLITS
from evaluation.evaluate import Subject
from evaluation.maps import MapSource

HELD_OUT = ("test", "val")
"""What is evaluated if no split is named: the first of these that has captioned pictures."""


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
        lent = read_captions(engine.open(opened.card.memory).folder, TRAINING_SPLITS)
        memory = _joined(memory, lent)
    return Subject(
        opened.card.name,
        examples,
        memory,
        _map_source(engine, opened, examples),
        opened.encoder,
        lambda: opened.generator,
    )


def _map_source(engine: Engine, opened: Collection, examples: Examples) -> MapSource:
    """The collection's map, and the training pairs of whoever's captions describe.

    Where evaluated pictures are training pictures, the pairs are those of the others.
    """
    own = opened.alignment
    lender = engine.open(opened.card.memory) if opened.card.memory else opened
    about = f"collection {lender.card.name}"
    trained = frozenset(
        image_id
        for image_id, split in zip(examples.image_ids, examples.splits, strict=True)
        if split in TRAINING_SPLITS
    )
    if trained and lender is opened:
        moments = _without(opened.folder, opened.card.dim, trained)
        about += f" without {len(trained):,} evaluated pictures"
        return MapSource(own, moments, about, seen=own.source == f"collection {opened.card.name}")
    path = lender.folder.moments
    return MapSource(own, PairMoments.load(path) if path.is_file() else None, about)


def _without(folder: CollectionFolder, dim: int, image_ids: frozenset[str]) -> PairMoments:
    with writing(folder), Ledger.open(folder) as ledger:
        return gather(folder, ledger, dim, silent, without=image_ids).total()


def _joined(one: CaptionTable, other: CaptionTable) -> CaptionTable:
    return CaptionTable(
        one.texts + other.texts,
        np.concatenate([one.raw, other.raw]),
        one.image_ids + other.image_ids,
        one.splits + other.splits,
    )
