"""The captions in memory answer as the store does that they stand in for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from corpus.captions import CaptionTable
from engine.alignment.alignment import Alignment
from engine.collection import CollectionCard, CollectionFolder
from engine.errors import InvalidInput
from engine.settings import Settings
from engine.store import caption_id, open_caption_store
from engine.types import CaptionPoint, Filters, Space, Vectors
from evaluation.matrix_captions import MatrixCaptions

DIM = 8


def rows(n: int, seed: int) -> Vectors:
    drawn = np.random.default_rng(seed).normal(size=(n, DIM))
    return np.asarray(drawn / np.linalg.norm(drawn, axis=1, keepdims=True), np.float32)


RAW = rows(40, seed=0)
CAPTIONS = CaptionTable(
    texts=tuple(f"caption {i}" for i in range(40)),
    raw=RAW,
    pictures=tuple(str(i // 4) if i < 32 else "" for i in range(40)),
    splits=tuple("train" if i < 20 else "val" for i in range(40)),
)
CENTRED = Alignment.from_means(RAW.mean(axis=0), RAW.mean(axis=0), n_images=40, n_captions=40)


@pytest.mark.parametrize("space", ["raw", "mapped"])
@pytest.mark.parametrize(
    "filters",
    [
        Filters(),
        Filters(sources=frozenset({"human"})),
        Filters(sources=frozenset({"generated"})),
        Filters(splits=frozenset({"val"})),
        Filters(not_pictures=frozenset({"0", "3"})),
    ],
)
def test_it_finds_what_the_store_finds(tmp_path: Path, space: Space, filters: Filters) -> None:
    mapped = CENTRED.map_texts(RAW)
    points = [
        CaptionPoint(caption_id(picture, text, "human"), text, raw, moved, picture, split=split)
        for text, raw, moved, picture, split in zip(
            CAPTIONS.texts, RAW, mapped, CAPTIONS.pictures, CAPTIONS.splits, strict=True
        )
    ]
    card = CollectionCard("shop", "e", "e", DIM, "consensus")
    folder = CollectionFolder(tmp_path, "shop")
    queries = rows(5, seed=1)
    with open_caption_store(folder, card, Settings(home=tmp_path), create=True) as store:
        store.upsert(points)
        expected = store.search(queries, space, 6, filters=filters, with_vectors=True)
    found = MatrixCaptions(CAPTIONS, CENTRED).search(
        queries, space, 6, filters=filters, with_vectors=True
    )
    assert [[hit.id for hit in hits] for hits in found] == [
        [hit.id for hit in hits] for hits in expected
    ]
    for hits, wanted in zip(found, expected, strict=True):
        for hit, other in zip(hits, wanted, strict=True):
            assert hit.score == pytest.approx(other.score, abs=2e-3)
            assert hit.vector == pytest.approx(other.vector, abs=2e-3)


def test_all_are_found_where_k_is_more_than_there_are() -> None:
    (hits,) = MatrixCaptions(CAPTIONS, CENTRED).search(RAW[:1], "raw", 100)
    assert len(hits) == 40
    assert hits[0].text == "caption 0"
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    assert hits[0].vector is None


def test_parts_that_do_not_pair_up_are_refused() -> None:
    with pytest.raises(InvalidInput, match="3 captions, 40 vectors"):
        CaptionTable(("a", "b", "c"), RAW, ("", "", ""))
