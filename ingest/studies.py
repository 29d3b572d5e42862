"""Brings together what an ablation works on, from the shards of one or more collections."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np

from engine.collection import CollectionCard, CollectionFolder
from engine.errors import IncompatibleIndex, InvalidInput
from engine.generator import generator_id
from engine.settings import Settings
from engine.types import TRAINING_SPLITS, Encoder
from evaluation.ablate import Laboratory
from evaluation.matrix_captions import Captions
from evaluation.study import Study
from ingest.embed import embed
from ingest.examples import read_captions, read_examples
from ingest.fit import sibling
from ingest.ledger import Ledger
from ingest.lock import writing
from ingest.pairs import read_distractors
from ingest.progress import OnProgress, silent
from ingest.records import ImageRecord, Record
from ingest.shards import read_contents, shard_path


def make_laboratory(
    folder: CollectionFolder,
    settings: Settings,
    splits: Sequence[str],
    *,
    load_encoder: Callable[[str], Encoder],
    limit: int | None = None,
    seed: int = 0,
    other: str = "",
    encoders: Iterable[str] = (),
    on_progress: OnProgress = silent,
) -> Laboratory:
    """What measures a collection's pictures of these splits, at most `limit` of them.

    With `other` the pairs and captions of that collection stand by for transfer. The pictures
    and captions are embedded by each of `encoders` too, once, into the collection's folder.
    Raises IncompatibleIndex for another collection of another encoder.
    """
    card = folder.read_card()
    own = replace(card, encoder=settings.encoder or card.encoder)
    study = _study(folder, own, splits, limit, seed)
    studies = {("", ""): study}
    if other:
        studies["", other] = _other(folder, card, other, study)
    for spec in encoders:
        embedded = _embedded(folder, spec, load_encoder(spec), settings, on_progress)
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
        pairs = sibling(folder, card.memory)
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


def _together(own: Captions, borrowed: Captions) -> Captions:
    return Captions(
        own.texts + borrowed.texts,
        np.concatenate([own.raw, borrowed.raw]),
        # The memory's pictures are others, though their ids may be the same.
        own.image_ids + ("",) * len(borrowed.texts),
        own.splits + borrowed.splits,
    )


def _other(folder: CollectionFolder, card: CollectionCard, name: str, study: Study) -> Study:
    if name == card.name:
        raise InvalidInput(f"collection {name!r} cannot be transferred to itself; name another")
    lender = sibling(folder, name)
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


def _embedded(
    folder: CollectionFolder,
    spec: str,
    encoder: Encoder,
    settings: Settings,
    on_progress: OnProgress,
) -> CollectionFolder:
    """The collection as another encoder sees it, in a folder inside its own."""
    name = f"encoder-{sha256(encoder.id.encode()).hexdigest()[:16]}"
    target = CollectionFolder(folder.path / "ablation", name)
    card = replace(
        folder.read_card(), name=name, encoder=spec, encoder_id=encoder.id, dim=encoder.dim
    )
    with writing(folder), Ledger.open(folder) as ledger:
        target.write_card(card)
        embed(
            _records(folder, ledger),
            encoder,
            target,
            limits=settings.limits,
            batch_size=settings.batch_size,
            workers=settings.workers,
            on_progress=on_progress,
        )
    return target


def _records(folder: CollectionFolder, ledger: Ledger) -> Iterator[Record]:
    """The pictures and captions that a collection was made from."""
    for number in ledger.shards():
        contents = read_contents(shard_path(folder.embeddings, number))
        for row in ledger.live_rows(number):
            entry = contents.entries[row]
            path = Path(entry.path)
            captions, split = entry.captions, entry.split
            yield ImageRecord(entry.image_id, entry.uri, path, captions, split, entry.tags)
        yield from contents.loose
