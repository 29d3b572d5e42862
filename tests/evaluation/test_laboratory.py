"""What an ablation works on, read from shards, and embedded by another encoder."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from corpus.ledger import Ledger
from corpus.lock import writing
from corpus.records import CaptionRecord, WholeFolder
from engine.collection import CollectionCard, CollectionFolder
from engine.describe.captioner import DescribeOptions
from engine.errors import IncompatibleIndex
from engine.settings import Settings
from evaluation.ablation.ablate import Laboratory
from evaluation.ablation.cells import Bench
from evaluation.ablation.grid import Cell, MapChoice
from evaluation.ablation.laboratory import make_laboratory
from evaluation.ablation.study import fit_map
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
    assert all(picture.startswith("sha256:") for picture in study.index.pictures[-4:])


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


def test_a_picture_borrows_none_of_its_own_captions_from_a_memory(
    make: Make,
    folder: CollectionFolder,
    card: CollectionCard,
    settings: Settings,
    encoder: Any,
    pictures: Callable[..., Any],
) -> None:
    """The memory holds the same pictures, under other names and as training pictures."""
    memory = CollectionFolder(settings.home, "memory")
    memory.write_card(replace(card, name="memory"))
    same = [
        replace(one, image_id=f"other {one.image_id}")
        for one in pictures(3, captions=2, first=6, split="train")
    ]
    others = pictures(4, captions=1, first=20, split="train")
    embed([*same, *others, CaptionRecord("named alone", "0006.png")], encoder, memory)
    folder.write_card(replace(card, memory="memory"))
    study = make().studies["", ""]
    assert len(study.examples) == 3
    assert len(study.training) == 4  # and no map is fitted on what is described
    bench = Bench({("", ""): study}, lambda _spec: encoder, None)
    cell = Cell(MapChoice("raw"), DescribeOptions(k=50, per_image=50, candidates=50))
    results = bench._describe(cell, study, fit_map(study.training, cell.map))
    for place, result in enumerate(results):
        texts = {hit.text for hit in result.retrieved}
        assert not texts.intersection(study.examples.references[place])
        # A name alone says which picture a caption without a file is of.
        named = study.examples.image_ids[place] == "0006.png"
        assert ("named alone" in texts) != named


def test_encoders_see_the_same_pictures_though_one_lacks_some(
    make: Make, pictures: Callable[..., Any]
) -> None:
    gone = pictures(1, captions=2, first=7)[0]
    gone.path.unlink()
    laboratory = make(encoders=["other"])
    own, other = laboratory.studies["", ""], laboratory.studies["other", ""]
    assert laboratory.left_out == 1
    assert own.examples.image_ids == other.examples.image_ids == ("0006.png", "0008.png")
    assert own.examples.pictures == other.examples.pictures
    assert own.training.pictures == other.training.pictures
    assert sorted(own.index.texts) == sorted(other.index.texts)
    assert "a caption alone" in own.index.texts


def test_a_limit_draws_the_same_pictures_for_every_encoder(make: Make) -> None:
    make(encoders=["other"])
    for seed in range(4):
        laboratory = make(encoders=["other"], limit=2, seed=seed)
        one, other = (laboratory.studies[spec, ""].examples for spec in ("", "other"))
        assert len(one) == 2
        assert one.pictures == other.pictures


def test_a_picture_that_was_withdrawn_is_no_row_of_another_encoder(
    make: Make, pictures: Callable[..., Any], folder: CollectionFolder, encoder: Any
) -> None:
    make(encoders=["other"])
    records = [
        *pictures(6, captions=2, split="train"),
        *pictures(3, captions=2, first=6, split="val"),
    ]
    left = [one for one in records if one.image_id not in {"0002.png", "0007.png"}]
    for one in records:
        if one not in left:
            one.path.unlink()
    embed([*left, WholeFolder(records[0].path.parent)], encoder, folder)
    laboratory = make(encoders=["other"])
    own, other = laboratory.studies["", ""], laboratory.studies["other", ""]
    assert len(own.training) == 5
    assert own.training.pictures == other.training.pictures
    assert own.examples.image_ids == other.examples.image_ids == ("0006.png", "0008.png")
    assert not any("picture 7" in text for text in other.index.texts)


def test_pictures_are_embedded_by_another_encoder_while_another_process_writes(
    make: Make, folder: CollectionFolder
) -> None:
    with writing(folder), Ledger.open(folder), ThreadPoolExecutor(1) as other:
        made = other.submit(make, encoders=["other"]).result(timeout=60)
    assert len(made.studies["other", ""].examples) == 3
