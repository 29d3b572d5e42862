"""What is evaluated, and whether a map has seen it: told by content, as the splits are now."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from corpus.ledger import Ledger
from corpus.lock import writing
from corpus.records import CaptionRecord, ImageRecord
from engine.app import Engine
from engine.collection import CollectionCard, CollectionFolder
from engine.identity import content_number
from engine.settings import Settings
from evaluation.subject import subject_of
from ingest.embed import embed
from ingest.fit import fit, fit_if_needed
from tests.worlds import OneEncoder, PixelEncoder

Pictures = Callable[..., list[ImageRecord]]


@pytest.fixture
def engine(settings: Settings, encoder: PixelEncoder) -> Engine:
    made = Engine(settings)
    made.models = OneEncoder(settings, encoder)
    return made


@pytest.fixture
def memory(
    settings: Settings, card: CollectionCard, encoder: PixelEncoder, pictures: Pictures
) -> CollectionFolder:
    """Pairs that a map is fitted on, the six pictures that `guest` is measured on among them."""
    folder = CollectionFolder(settings.home, "memory")
    made = replace(card, name="memory")
    folder.write_card(made)
    lent = [replace(one, image_id=f"lent {one.image_id}") for one in pictures(40, captions=2)]
    embed([*lent, CaptionRecord("named alone", "0001.png")], encoder, folder)
    fit(folder, made, method="ridge")
    return folder


def guest(
    folder: CollectionFolder, card: CollectionCard, encoder: PixelEncoder, records: Any
) -> None:
    made = replace(card, memory="memory")
    folder.write_card(made)
    embed(records, encoder, folder)
    fit(folder, made)


def test_a_memorys_map_that_was_fitted_on_what_is_measured_is_flagged(
    engine: Engine,
    memory: CollectionFolder,
    folder: CollectionFolder,
    card: CollectionCard,
    encoder: PixelEncoder,
    pictures: Pictures,
) -> None:
    del memory
    guest(folder, card, encoder, pictures(6, captions=2, split="test"))
    subject = subject_of(engine, folder.name)
    assert len(subject.examples) == 6
    assert subject.source.seen == 6
    assert subject.source.moments is not None
    assert subject.source.moments.n == (40 - 6) * 2
    assert subject.source.moments_of == "collection memory without 6 evaluated pictures"


def test_pictures_that_the_memory_lacks_are_not_flagged(
    engine: Engine,
    memory: CollectionFolder,
    folder: CollectionFolder,
    card: CollectionCard,
    encoder: PixelEncoder,
    pictures: Pictures,
) -> None:
    del memory
    # One has the name of one of the memory's pictures, but another content.
    (one, *others) = pictures(6, first=60, captions=2, split="test")
    guest(folder, card, encoder, [replace(one, image_id="lent 0003.png"), *others])
    subject = subject_of(engine, folder.name)
    assert subject.source.seen == 0
    assert subject.source.moments is not None
    assert subject.source.moments.n == 40 * 2
    assert subject.source.moments_of == "collection memory"


def test_no_caption_of_a_measured_picture_is_borrowed_from_a_memory(
    engine: Engine,
    memory: CollectionFolder,
    folder: CollectionFolder,
    card: CollectionCard,
    encoder: PixelEncoder,
    pictures: Pictures,
) -> None:
    del memory
    guest(folder, card, encoder, pictures(6, captions=2, split="test"))
    subject = subject_of(engine, folder.name)
    own = [
        {text for text, picture in zip(memory_texts, keys, strict=True) if picture in one.keys}
        for one in subject.examples.pictures
        for memory_texts, keys in [(subject.memory.texts, subject.memory.pictures)]
    ]
    told = [set(said) for said in subject.examples.references]
    told[1] |= {"named alone"}
    assert own == told


def test_a_picture_that_was_a_training_picture_at_the_fit_is_noticed(
    engine: Engine,
    folder: CollectionFolder,
    card: CollectionCard,
    encoder: PixelEncoder,
    pictures: Pictures,
) -> None:
    """Within the drift the map is kept, and so are the moments on disk."""
    records = pictures(60, captions=2, split="train")
    embed(records, encoder, folder)
    fit(folder, card, method="ridge")
    moved = [replace(one, split="test") for one in records[:2]]
    embed([*moved, *records[2:]], encoder, folder)
    _, fitted = fit_if_needed(folder, card)
    assert not fitted
    subject = subject_of(engine, folder.name, ["test"])
    assert len(subject.examples) == 2
    assert subject.source.seen == 2
    assert subject.source.moments is not None
    assert subject.source.moments.n == 58 * 2
    # Fitted anew, the map has seen neither of them.
    fit(folder, card, method="ridge")
    assert subject_of(engine, folder.name, ["test"]).source.seen == 0


def test_training_pictures_are_measured_under_maps_that_lack_them(
    engine: Engine,
    folder: CollectionFolder,
    card: CollectionCard,
    encoder: PixelEncoder,
    pictures: Pictures,
) -> None:
    embed(pictures(50, captions=1, split="train"), encoder, folder)
    fit(folder, card, method="ridge")
    subject = subject_of(engine, folder.name, ["train"], limit=20)
    assert subject.source.seen == 20
    assert subject.source.moments is not None
    assert subject.source.moments.n == 30
    measured = {content_number(one.sha256) for one in subject.examples.pictures}
    assert measured.isdisjoint(subject.source.moments.pictures.tolist())


def test_what_is_evaluated_is_read_while_another_writes(
    engine: Engine,
    folder: CollectionFolder,
    card: CollectionCard,
    encoder: PixelEncoder,
    pictures: Pictures,
) -> None:
    """Under maps of other methods too, for which the training pairs are read."""
    training = pictures(40, captions=2, split="train")
    embed([*training, *pictures(6, first=60, captions=2, split="test")], encoder, folder)
    fit(folder, card, method="ridge")
    with writing(folder), Ledger.open(folder), ThreadPoolExecutor(1) as other:
        subject = other.submit(subject_of, engine, folder.name).result(timeout=30)
    assert len(subject.examples) == 6
    assert subject.source.moments is not None
    assert subject.source.moments.n == 40 * 2
