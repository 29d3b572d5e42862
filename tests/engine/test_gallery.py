"""Pictures are found by words, by a picture, by both, with terms added and taken away."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from engine.alignment import Alignment
from engine.collection import CollectionCard, CollectionFolder
from engine.errors import InvalidInput
from engine.gallery import Gallery, Query
from engine.settings import Settings
from engine.store import open_image_store, picture_id
from engine.types import ImagePoint, SearchSpace, Vector

DOG: Vector = np.array([1, 0, 0, 0], np.float32)
SNOW: Vector = np.array([0, 1, 0, 0], np.float32)
BOTH: Vector = np.array([np.sqrt(0.5), np.sqrt(0.5), 0, 0], np.float32)
NO_GAP = Alignment.from_means(np.zeros(4), np.zeros(4), n_images=2, n_captions=2)
WHITE = (255, 255, 255)


def point(uri: str, vector: Vector, caption: str, split: str = "") -> ImagePoint:
    sha256 = uri.encode().hex().ljust(64, "0")
    return ImagePoint(
        picture_id(sha256), uri, uri, sha256, 2, 2, vector, vector,
        caption=vector, captions=(caption,), split=split,
    )  # fmt: skip


@pytest.fixture
def gallery(tmp_path: Path, fake_encoder: Callable[..., Any]) -> Iterator[Gallery]:
    card = CollectionCard("shop", "fake", "fake", 4, "consensus")
    folder = CollectionFolder(tmp_path, "shop")
    encoder = fake_encoder({"dog": DOG, "snow": SNOW}, {WHITE: SNOW})
    with open_image_store(folder, card, Settings(home=tmp_path), create=True) as store:
        store.upsert(
            [
                point("dog.jpg", DOG, "a dog"),
                point("snow.jpg", SNOW, "white snow"),
                point("both.jpg", BOTH, "a dog in the snow"),
            ]
        )
        yield Gallery(encoder, NO_GAP, store)


def uris(gallery: Gallery, query: Query, **options: Any) -> list[str]:
    return [hit.uri for hit in gallery.search(query, **options).hits]


@pytest.mark.parametrize("space", ["raw", "mapped", "caption"])
def test_words_find_the_picture(gallery: Gallery, space: SearchSpace) -> None:
    found = gallery.search(Query("dog"), space, 3)
    assert [hit.uri for hit in found.hits] == ["dog.jpg", "both.jpg", "snow.jpg"]
    assert [hit.score for hit in found.hits] == pytest.approx([1, 0.7071, 0], abs=2e-3)
    assert found.hits[0].captions == ("a dog",)
    assert found.space == space
    assert set(found.timings_ms) == {"encode", "map", "search"}


def test_words_are_matched_in_captions(gallery: Gallery) -> None:
    assert set(uris(gallery, Query("snow"), space="words")) == {"snow.jpg", "both.jpg"}


def test_fused_puts_first_what_all_spaces_agree_on(gallery: Gallery) -> None:
    assert uris(gallery, Query("dog"), space="fused", k=1) == ["dog.jpg"]


def test_a_picture_finds_its_like(gallery: Gallery) -> None:
    assert uris(gallery, Query(image=Image.new("RGB", (2, 2), WHITE)), k=1) == ["snow.jpg"]


def test_plus_draws_nearer_and_minus_away(gallery: Gallery) -> None:
    assert uris(gallery, Query("dog", plus=("snow",)), k=1) == ["both.jpg"]
    assert uris(gallery, Query("dog", minus=("snow",)))[-1] == "snow.jpg"


def test_offset_leaves_out_the_best(gallery: Gallery) -> None:
    assert uris(gallery, Query("dog"), k=2, offset=1) == ["both.jpg", "snow.jpg"]


def test_a_query_is_shown_as_it_was_asked() -> None:
    assert str(Query("dog", plus=("snow",), minus=("cat",))) == "dog +snow -cat"


def test_an_empty_query_is_refused() -> None:
    with pytest.raises(InvalidInput, match="empty"):
        Query("  ")


def test_terms_that_cancel_out_are_refused(gallery: Gallery) -> None:
    with pytest.raises(InvalidInput, match="cancel"):
        gallery.search(Query("dog", minus=("dog",)))
