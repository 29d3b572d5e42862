"""Brings together what an ablation works on, from the shards of one or more collections."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from corpus.captions import CaptionTable
from corpus.pairs import read_distractors
from corpus.reading import read_captions, read_examples
from engine.collection import CollectionCard, CollectionFolder
from engine.errors import IncompatibleIndex, InvalidInput
from engine.models.generator import generator_id
from engine.settings import Settings
from engine.types import TRAINING_SPLITS
from evaluation.ablation.ablate import Laboratory
from evaluation.ablation.study import Study


def make_laboratory(
    folder: CollectionFolder,
    settings: Settings,
    splits: Sequence[str],
    *,
    embedded_by: Callable[[str], CollectionFolder],
    limit: int | None = None,
    seed: int = 0,
    other: str = "",
    encoders: Iterable[str] = (),
) -> Laboratory:
    """What measures a collection's pictures of these splits, at most `limit` of them.

    With `other` the pairs and captions of that collection stand by for transfer. `embedded_by`
    gives the collection as each of the other `encoders` sees it.
    Raises IncompatibleIndex for another collection of another encoder.
    """
    card = folder.read_card()
    own = replace(card, encoder=settings.encoder or card.encoder)
    study = _study(folder, own, splits, limit, seed)
    studies = {("", ""): study}
    if other:
        studies["", other] = _other(folder, card, other, study)
    for spec in encoders:
        embedded = embedded_by(spec)
        studies[spec, ""] = _study(embedded, embedded.read_card(), splits, limit, seed)
    generator = settings.generator or card.generator
    return Laboratory(studies, settings, generator, generator_id(generator))


def cells_folder(folder: CollectionFolder) -> Path:
    """Where the measured cells of a collection are kept."""
    return folder.path / "ablation" / "cells"


def _study(
    folder: CollectionFolder,
    card: CollectionCard,
    splits: Sequence[str],
    limit: int | None,
    seed: int,
) -> Study:
    """A collection's own pairs and captions, and its memory's captions.

    With a memory the pairs are the memory's, as its map is then the collection's too.
    """
    index, pairs = read_captions(folder), folder
    if card.memory:
        pairs = folder.sibling(card.memory)
        index = _together(index, read_captions(pairs))
    examples = read_examples(folder, splits, limit=limit, seed=seed)
    training = read_examples(pairs, TRAINING_SPLITS)
    return Study(
        card.name,
        card.encoder,
        card.encoder_id,
        training,
        index,
        examples,
        read_distractors(pairs),
    )


def _together(own: CaptionTable, borrowed: CaptionTable) -> CaptionTable:
    return CaptionTable(
        own.texts + borrowed.texts,
        np.concatenate([own.raw, borrowed.raw]),
        # The memory's pictures are others, though their ids may be the same.
        own.image_ids + ("",) * len(borrowed.texts),
        own.splits + borrowed.splits,
    )


def _other(folder: CollectionFolder, card: CollectionCard, name: str, study: Study) -> Study:
    if name == card.name:
        raise InvalidInput(f"collection {name!r} cannot be transferred to itself; name another")
    lender = folder.sibling(name)
    theirs = lender.read_card()
    if theirs.encoder_id != card.encoder_id:
        raise IncompatibleIndex(
            f"collection {name!r} was made with encoder {theirs.encoder_id}, {card.name!r} with "
            f"{card.encoder_id}; nothing can be transferred between them"
        )
    training = read_examples(lender, TRAINING_SPLITS)
    return replace(
        study,
        name=name,
        training=training,
        index=read_captions(lender),
        distractors=read_distractors(lender),
    )
