"""A memory's captions, ranked as the pictures of who borrows them say."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engine.alignment.alignment import Alignment
from engine.alignment.hubs import Bank
from engine.collection import CollectionCard, CollectionFolder
from engine.describe.lent import LentCaptions
from engine.settings import Settings
from engine.store import CaptionStore, caption_id, open_caption_store
from engine.types import CaptionPoint, Space, Vectors
from engine.vectors import unit

DIM, COUNT = 8, 60
MEANS = np.eye(DIM)[0] * 0.3, np.eye(DIM)[1] * 0.3


def rows(n: int, seed: int) -> Vectors:
    return np.asarray(unit(np.random.default_rng(seed).standard_normal((n, DIM))), np.float32)


def borrowing() -> Alignment:
    """The map of who borrows, with a bank of its own pictures."""
    numbers = np.arange(1, 31, dtype=np.uint64)
    halves = rows(30, 1).astype(np.float16)
    made = Alignment.from_means(*MEANS, n_images=30, n_captions=30)
    return replace(made, bank=Bank(halves, numbers, halves, numbers), hub_strength=0.5)


@pytest.fixture
def lender(tmp_path: Path) -> Iterator[CaptionStore]:
    """A store whose points were told by other pictures how near they are to everything."""
    card = CollectionCard("lender", "e", "e", DIM, "consensus")
    folder = CollectionFolder(tmp_path, "lender")
    mapped = borrowing().map_texts(rows(COUNT, 2))
    with open_caption_store(folder, card, Settings(home=tmp_path), create=True) as store:
        store.upsert(
            [
                CaptionPoint(caption_id("", str(at), "human"), str(at), raw, moved, hub=at / 30)
                for at, (raw, moved) in enumerate(zip(rows(COUNT, 2), mapped, strict=True))
            ]
        )
        yield store


def test_what_is_taken_off_is_what_the_borrowers_pictures_say(lender: CaptionStore) -> None:
    made = borrowing()
    lent, query = LentCaptions(lender, made), rows(1, 3)
    captions = made.map_texts(rows(COUNT, 2))
    near = np.sort(captions @ made.map_images(rows(30, 1)).T, axis=1)[:, -16:].mean(axis=1)
    scores = (query @ captions.T)[0] - 0.5 * near
    (hits,) = lent.search(query, "mapped", 5, hub_strength=0.5)
    assert [hit.text for hit in hits] == [str(at) for at in np.argsort(-scores)[:5]]
    assert [hit.score for hit in hits] == pytest.approx(np.sort(scores)[::-1][:5], abs=3e-3)


def test_uncorrected_and_in_the_raw_space_they_are_as_they_are(lender: CaptionStore) -> None:
    lent, query = LentCaptions(lender, borrowing()), rows(1, 3)
    cases: tuple[tuple[Space, float], ...] = (("mapped", 0.0), ("raw", 0.5))
    for space, strength in cases:
        assert lent.search(query, space, 5, hub_strength=strength) == lender.search(query, space, 5)


def test_a_raw_map_compares_captions_as_they_were_before_the_lender_moved_them(
    lender: CaptionStore,
) -> None:
    made = borrowing()
    raw = replace(made, method="raw", hub_strength=0.5)
    query = rows(1, 3)
    assert LentCaptions(lender, raw).search(query, "mapped", 5) == lender.search(query, "raw", 5)
    (hits,) = LentCaptions(lender, raw).search(query, "mapped", 60, hub_strength=0.5)
    captions = rows(COUNT, 2)
    near = np.sort(captions @ rows(30, 1).T, axis=1)[:, -16:].mean(axis=1)
    scores = (query @ captions.T)[0] - 0.5 * near
    assert [hit.score for hit in hits] == pytest.approx(np.sort(scores)[::-1], abs=3e-3)
