"""What an ablation works on, read from shards, and embedded by another encoder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from corpus.records import CaptionRecord
from engine.collection import CollectionCard, CollectionFolder
from engine.errors import IncompatibleIndex
from engine.settings import Settings
from evaluation.ablation.ablate import Laboratory
from evaluation.ablation.laboratory import make_laboratory
from ingest.embed import embed
from ingest.reembed import embed_by

Make = Callable[..., Laboratory]


@pytest.fixture
def make(
    folder: CollectionFolder,
    card: CollectionCard,
    settings: Settings,
    encoder: Any,
    other_encoder: Any,
    pictures: Callable[..., Any],
) -> Make:
    """A laboratory over 6 pictures to learn from, 3 to describe, and a caption alone."""
    del card
    records = [
        *pictures(6, captions=2, split="train"),
        *pictures(3, captions=2, first=6, split="val"),
        CaptionRecord("a caption alone"),
    ]
    embed(records, encoder, folder)
    encoders = {"other": other_encoder}

    def made(**options: Any) -> Laboratory:
        return make_laboratory(
            folder,
            settings,
            ["val"],
            embedded_by=lambda spec: embed_by(folder, spec, encoders[spec], settings),
            **options,
        )

    return made


def test_maps_are_learnt_from_training_pictures_only(make: Make) -> None:
    study = make().studies["", ""]
    assert set(study.training.splits) == {"train"}
    assert len(study.training) == 6
    assert set(study.examples.splits) == {"val"}
    assert len(study.examples) == 3
    # Everything that people wrote can be borrowed, as from the index.
    assert len(study.index.texts) == 9 * 2 + 1
    assert "a caption alone" in study.index.texts
    assert study.distractors is not None
    assert len(study.distractors) == 1
    assert make(limit=2).studies["", ""].examples.image_ids[0] in study.examples.image_ids
    assert len(make(limit=2).studies["", ""].examples) == 2


def test_another_encoder_embeds_the_same_once(make: Make, other_encoder: Any) -> None:
    laboratory = make(encoders=["other"])
    own, other = laboratory.studies["", ""], laboratory.studies["other", ""]
    assert other.encoder_id == "other pixels"
    assert other.examples.image_ids == own.examples.image_ids
    assert other.examples.references == own.examples.references
    assert sorted(other.index.texts) == sorted(own.index.texts)
    assert other_encoder.pictures == 9
    texts = len(other_encoder.texts)
    again = make(encoders=["other"]).studies["other", ""]
    assert other_encoder.pictures == 9
    assert len(other_encoder.texts) == texts
    assert again.fingerprint == other.fingerprint


def test_a_memorys_pairs_and_captions_are_the_collections(
    make: Make,
    folder: CollectionFolder,
    card: CollectionCard,
    settings: Settings,
    encoder: Any,
    pictures: Callable[..., Any],
) -> None:
    memory = CollectionFolder(settings.home, "memory")
    memory.write_card(replace(card, name="memory"))
    embed(pictures(4, captions=1, first=20, split="train"), encoder, memory)
    folder.write_card(replace(card, memory="memory"))
    study = make().studies["", ""]
    assert len(study.training) == 4
    assert len(study.index.texts) == 9 * 2 + 1 + 4
    # The memory's pictures are others, though their ids may be the same.
    assert study.index.image_ids[-4:] == ("",) * 4


def test_transfer_takes_the_others_pairs_and_captions(
    make: Make, card: CollectionCard, settings: Settings, encoder: Any, pictures: Callable[..., Any]
) -> None:
    away = CollectionFolder(settings.home, "away")
    away.write_card(replace(card, name="away"))
    embed(pictures(5, captions=1, first=40), encoder, away)
    laboratory = make(other="away")
    own, other = laboratory.studies["", ""], laboratory.studies["", "away"]
    assert len(other.training) == len(other.index.texts) == 5
    assert np.array_equal(other.examples.images, own.examples.images)


def test_nothing_goes_from_one_encoder_to_another(
    make: Make, card: CollectionCard, settings: Settings
) -> None:
    away = CollectionFolder(settings.home, "away")
    away.write_card(replace(card, name="away", encoder_id="else"))
    with pytest.raises(IncompatibleIndex, match="nothing can be transferred"):
        make(other="away")
