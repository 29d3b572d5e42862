"""Brings together what an ablation works on, from the shards of one or more collections."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from corpus.examples import Examples
from corpus.pairs import read_distractors
from corpus.reading import read_captions, read_examples
from engine.collection import CollectionCard, CollectionFolder
from engine.errors import IncompatibleIndex, InvalidInput
from engine.models.generator import generator_id
from engine.settings import Settings
from engine.types import TRAINING_SPLITS
from evaluation.ablation.ablate import Laboratory
from evaluation.ablation.study import Study, in_common


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
    seen_by: dict[str, Study] = {"": study}
    for spec in encoders:
        embedded = embedded_by(spec)
        # All of them: which are drawn is for the collection itself to say.
        seen_by[spec] = _study(embedded, embedded.read_card(), splits)
    level = in_common(seen_by)
    studies = {(spec, ""): seen for spec, seen in level.items()}
    if other:
        studies["", other] = _other(folder, card, other, level[""])
    generator = settings.generator or card.generator
    left_out = len(study.examples) - len(level[""].examples)
    return Laboratory(studies, settings, generator, generator_id(generator), left_out)


def cells_folder(folder: CollectionFolder) -> Path:
    """Where the measured cells of a collection are kept."""
    return folder.path / "ablation" / "cells"


def _study(
    folder: CollectionFolder,
    card: CollectionCard,
    splits: Sequence[str],
    limit: int | None = None,
    seed: int = 0,
) -> Study:
    """A collection's own pairs and captions, and its memory's captions.

    With a memory the pairs are the memory's, as its map is then the collection's too. Pictures
    that are described are no pairs, whatever they are called there and in whichever split.
    """
    index, pairs = read_captions(folder), folder
    if card.memory:
        pairs = folder.sibling(card.memory)
        index += read_captions(pairs)
    examples = read_examples(folder, splits, limit=limit, seed=seed)
    training = _training(pairs, examples)
    return Study(
        card.name,
        card.encoder,
        card.encoder_id,
        training,
        index,
        examples,
        read_distractors(pairs),
    )


def _training(folder: CollectionFolder, examples: Examples) -> Examples:
    """A collection's training pairs without the pictures that are described."""
    there = read_examples(folder, TRAINING_SPLITS)
    training = there.without(examples.pictures)
    if not len(training):
        raise InvalidInput(
            f"all {len(there):,} training pictures of collection {folder.name!r} are among those "
            "to be described, so no map can be fitted without them; describe fewer with --limit, "
            "or others with --split"
        )
    return training


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
    training = _training(lender, study.examples)
    return replace(
        study,
        name=name,
        training=training,
        index=read_captions(lender),
        distractors=read_distractors(lender),
    )
