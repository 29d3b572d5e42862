"""The least score worth showing is read off pairs that have nothing to do with each other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.alignment.alignment import Alignment
from engine.alignment.moments import PairMoments
from engine.collection import CollectionCard, CollectionFolder
from engine.identity import content_key
from engine.search.gallery import COSINE_SPACES, Query
from engine.search.relevance import OwnedVectors, Relevance
from engine.settings import Settings
from engine.store import (
    CaptionStore,
    ImageStore,
    caption_id,
    open_caption_store,
    open_image_store,
    picture_id,
)
from engine.types import CaptionPoint, ImagePoint, SearchSpace, Vectors

VECTORS = Path(__file__).parents[2] / "../shared/reference/clip_vectors"
DIM = 8
NO_GAP = Alignment.from_means(np.zeros(DIM), np.zeros(DIM), n_images=2, n_captions=2)
PICTURE = Image.new("RGB", (2, 2))
SHAPES = (
    Query("dog"),
    Query("dog", plus=("snow",)),
    Query("dog", minus=("snow",)),
    Query(image=PICTURE),
    Query("dog", PICTURE),
    Query("dog", likes=("x",)),
)


def random_rows(n: int, seed: int, cone: float = 0.0) -> Vectors:
    """Unit rows about an axis: the nearer the larger `cone` is."""
    rows = np.random.default_rng(seed).standard_normal((n, DIM))
    rows[:, 0] += cone
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def sample(rows: Vectors, first: int = 0) -> OwnedVectors:
    return OwnedVectors(np.array([str(first + i) for i in range(len(rows))]), rows)


def made(texts: Vectors, pictures: Vectors, alignment: Alignment = NO_GAP) -> Relevance:
    captions = sample(alignment.map_texts(texts[: len(pictures)]))
    return Relevance(alignment, sample(texts), sample(pictures), captions)


@pytest.mark.parametrize("space", COSINE_SPACES)
@pytest.mark.parametrize("query", SHAPES, ids=str)
def test_that_share_of_unrelated_pictures_stays_below(query: Query, space: SearchSpace) -> None:
    relevance = made(random_rows(200, 1), random_rows(200, 2))
    least = relevance.least_score(query, space, 0.9)
    assert least is not None
    # In DIM dimensions the cosine of random directions has the standard deviation 1/sqrt(DIM).
    assert least == pytest.approx(1.29 / np.sqrt(DIM), abs=0.05)


def test_more_strictness_asks_for_more() -> None:
    relevance = made(random_rows(100, 1), random_rows(100, 2))
    scores = [relevance.least_score(Query("dog"), "mapped", s) or 0 for s in (0.5, 0.9, 0.99)]
    assert scores == sorted(set(scores))


def test_a_cone_raises_the_least_score_of_raw_and_not_of_mapped() -> None:
    texts, pictures = random_rows(200, 1, cone=3.0), random_rows(200, 2, cone=3.0)
    means = pictures.mean(axis=0), texts.mean(axis=0)
    relevance = made(texts, pictures, Alignment.from_means(*means, n_images=200, n_captions=200))
    raw = relevance.least_score(Query("dog"), "raw")
    mapped = relevance.least_score(Query("dog"), "mapped")
    assert raw is not None
    assert mapped is not None
    assert raw > 0.75 > mapped + 0.1


def test_a_picture_and_its_own_captions_do_not_count() -> None:
    rows = np.eye(DIM, dtype=np.float32)
    relevance = made(rows, rows)
    for space in COSINE_SPACES:
        assert relevance.least_score(Query("dog"), space, 0.999) == pytest.approx(0, abs=1e-6)
        assert relevance.least_score(Query(likes=("x",)), space, 0.999) == pytest.approx(
            0, abs=1e-6
        )


@pytest.mark.parametrize("space", ["words", "fused"])
def test_scores_that_are_no_cosines_have_no_least(space: SearchSpace) -> None:
    assert made(random_rows(9, 1), random_rows(9, 2)).least_score(Query("dog"), space) is None


def test_without_strictness_or_without_pairs_there_is_no_least() -> None:
    relevance = made(random_rows(9, 1), random_rows(9, 2))
    assert relevance.least_score(Query("dog"), "raw", 0.0) is None
    none = np.empty((0, DIM), np.float32)
    assert made(none, random_rows(9, 2)).least_score(Query("dog"), "raw") is None
    assert made(random_rows(9, 1), none).least_score(Query("dog"), "caption") is None
    one = random_rows(1, 1)
    assert made(one, one).least_score(Query("dog"), "raw") is None


@pytest.fixture
def stores(tmp_path: Path) -> Iterator[tuple[ImageStore, CaptionStore]]:
    card = CollectionCard("album", "fake", "fake", DIM, "consensus")
    folder, settings = CollectionFolder(tmp_path, "album"), Settings(home=tmp_path)
    with (
        open_image_store(folder, card, settings, create=True) as images,
        open_caption_store(folder, card, settings, create=True) as captions,
    ):
        yield images, captions


def test_the_sample_is_taken_of_the_stores(stores: tuple[ImageStore, CaptionStore]) -> None:
    images, captions = stores
    rows, said = random_rows(40, 1), random_rows(40, 2)
    images.upsert(
        [
            ImagePoint(picture_id(f"{i:064x}"), str(i), "", f"{i:064x}", 1, 1, row, row)
            for i, row in enumerate(rows)
        ]
    )
    captions.upsert(
        [
            CaptionPoint(
                caption_id(key := content_key(f"{i:064x}"), "a", "human"), "a", row, row, key
            )
            for i, row in enumerate(said)
        ]
    )
    relevance = Relevance.of(NO_GAP, images, [captions])
    expected = made(said, rows)
    for query in (Query("dog"), Query(image=PICTURE)):
        found = relevance.least_score(query, "mapped", 0.5)
        assert found == pytest.approx(expected.least_score(query, "mapped", 0.5), abs=0.02)
    assert relevance.least_score(Query("dog"), "caption") is None


@pytest.mark.skipif(not VECTORS.is_dir(), reason="needs ../shared/reference/clip_vectors")
@pytest.mark.parametrize("method", ["raw", "centred", "shrink"])
def test_captions_keep_their_own_picture_of_coco_and_few_others(method: str) -> None:
    images = np.load(VECTORS / "image_features.npy")
    texts = np.load(VECTORS / "text_features.npy")
    moments = PairMoments(images.shape[1])
    moments.update(images[:250], texts[:250])
    alignment = Alignment.fit(moments, method)
    pictures, captions = alignment.map_images(images[250:]), alignment.map_texts(texts[250:])
    relevance = Relevance(alignment, sample(texts[250:]), sample(images[250:]), sample(captions))
    least = relevance.least_score(Query("a caption"), "mapped")
    assert least is not None
    kept = captions @ pictures.T >= least
    assert kept.diagonal().mean() > 0.9
    assert 0.04 < kept.mean() < 0.06
