"""Likely is what was asked for, for queries of any shape, and nothing where it is not there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL.Image import Image

from engine.alignment.alignment import Alignment
from engine.alignment.moments import PairMoments
from engine.collection import CollectionCard, CollectionFolder
from engine.errors import InvalidInput
from engine.identity import content_key
from engine.search.gallery import Gallery, Query
from engine.search.relevance import LIKELY, Relevance
from engine.search.relevance_sample import ENOUGH, Sample, take_sample
from engine.search.relevance_store import SampleKeeper
from engine.settings import Settings
from engine.store import (
    CaptionStore,
    ImageStore,
    caption_id,
    open_caption_store,
    open_image_store,
    picture_id,
)
from engine.types import CaptionPoint, Filters, ImagePoint, SearchSpace, Vector, Vectors

VECTORS = Path(__file__).parents[2] / "../shared/reference/clip_vectors"
DIM, PICTURES = 32, 60
NO_GAP = Alignment.from_means(np.zeros(DIM), np.zeros(DIM), n_images=2, n_captions=2)
SPACES: tuple[SearchSpace, ...] = ("mapped", "caption", "words", "fused")


def directions(n: int, seed: int) -> Vectors:
    rows = np.random.default_rng(seed).standard_normal((n, DIM))
    unit: Vectors = np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)
    return unit


ROWS = directions(PICTURES, 1)


class World:
    """An encoder for which the word `thing7` means picture 7, and others mean none."""

    id, dim = "fake", DIM

    def encode_images(self, images: list[Image]) -> Vectors:
        return np.empty((len(images), DIM), np.float32)

    def encode_texts(self, texts: list[str]) -> Vectors:
        return np.array([self._vector(text) for text in texts], np.float32).reshape(-1, DIM)

    def _vector(self, text: str) -> Vector:
        number = text.removeprefix("thing").split(" ")[0]
        if number.isdecimal() and int(number) < PICTURES:
            vector: Vector = ROWS[int(number)]
        else:
            vector = directions(1, sum(map(ord, text)))[0]
        return vector


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ImageStore, CaptionStore]]:
    """Pictures of which every second has a caption that says so; another half is of the test."""
    home = tmp_path_factory.mktemp("album")
    card = CollectionCard("album", "fake", "fake", DIM, "consensus")
    folder, settings = CollectionFolder(home, "album"), Settings(home=home)
    with (
        open_image_store(folder, card, settings, create=True) as images,
        open_caption_store(folder, card, settings, create=True) as captions,
    ):
        noisy = ROWS + 0.1 * directions(PICTURES, 2)
        for number, row in enumerate(noisy / np.linalg.norm(noisy, axis=1, keepdims=True)):
            sha, said = f"{number:064x}", number % 2 == 0
            texts = (f"thing{number} seen",) if said else ()
            split = "test" if number % 4 == 0 else "train"
            images.upsert(
                [
                    ImagePoint(
                        picture_id(sha), str(number), f"{number}.jpg", sha, 1, 1, row, row,
                        ROWS[number] if said else None, texts, split=split,
                    )
                ]
            )  # fmt: skip
            captions.upsert(
                [
                    CaptionPoint(
                        caption_id(content_key(sha), text, "human"), text, ROWS[number],
                        ROWS[number], content_key(sha),
                    )
                    for text in texts
                ]
            )  # fmt: skip
        yield images, captions


@pytest.fixture(scope="module")
def gallery(stores: tuple[ImageStore, CaptionStore]) -> Gallery:
    images, captions = stores
    relevance = Relevance(NO_GAP, take_sample(images, [captions], DIM))
    return Gallery(World(), NO_GAP, images, lambda: relevance)


def id_of(number: int) -> str:
    return picture_id(f"{number:064x}")


def sampled(pictures: Vectors, texts: Vectors, own: Iterable[int] = ()) -> Sample:
    """A sample of which text i is of the picture own[i]."""
    pairs = np.array(list(enumerate(own)), np.uint64).reshape(-1, 2)
    return Sample(pictures, texts, pairs, pairs, np.arange(len(pictures), dtype=np.uint64))


SHAPES = {
    "words": Query("thing8"),
    "plus": Query("thing8", plus=("thing8",)),
    "minus": Query("thing8", minus=("nothing",)),
    "picture": Query(likes=(id_of(2),)),
    "both": Query("thing8", likes=(id_of(2),)),
}


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("shape", SHAPES)
def test_a_picture_is_likely_or_not_whichever_space_ranks(
    gallery: Gallery, shape: str, space: SearchSpace
) -> None:
    query = SHAPES[shape]
    by_meaning = gallery.search(query, "raw", PICTURES)
    if space == "words" and not query.words:
        return  # words are nothing to look for a picture by
    found = gallery.search(query, space, PICTURES)
    chances = {hit.id: hit.chance for hit in by_meaning.hits}
    for hit in found.hits:
        assert hit.chance is not None
        assert hit.chance == pytest.approx(chances[hit.id], abs=1e-6)
    assert by_meaning.likely is None
    assert found.likely is not None
    assert all((hit.chance or 0) >= LIKELY for hit in found.hits[: found.likely])
    if shape in ("words", "plus", "minus"):
        assert found.likely == 1
        assert found.hits[0].id == id_of(8)


@pytest.mark.parametrize("space", SPACES)
def test_what_is_not_there_is_nothing_likely(gallery: Gallery, space: SearchSpace) -> None:
    found = gallery.search(Query("unheard of"), space, 5)
    assert found.likely == 0
    assert not gallery.search(Query("unheard of"), space, 5, likely=True).hits


def test_what_no_caption_says_is_likely_by_its_score(gallery: Gallery) -> None:
    found = gallery.search(Query("thing9"), "fused", 5)
    assert found.likely == 1
    assert found.hits[0].id == id_of(9)


def test_only_what_is_likely(gallery: Gallery) -> None:
    for space in (*SPACES, "raw"):
        (hit,) = gallery.search(Query("thing8"), space, 5, likely=True).hits
        assert hit.id == id_of(8)
    assert not gallery.search(Query("thing8"), "mapped", 5, offset=1, likely=True).hits


def test_pages_follow_each_other_across_the_line(gallery: Gallery) -> None:
    whole = [hit.id for hit in gallery.search(Query("thing8"), "fused", PICTURES).hits]
    pages = [gallery.search(Query("thing8"), "fused", 7, offset=at).hits for at in range(0, 63, 7)]
    assert [hit.id for page in pages for hit in page] == whole
    assert len(set(whole)) == PICTURES


def test_among_fewer_pictures_a_picture_is_no_less_likely(gallery: Gallery) -> None:
    few = Filters(splits=frozenset(("test",)))
    (among_all,) = gallery.search(Query("thing8"), "mapped", 1).hits
    (among_few,) = gallery.search(Query("thing8"), "mapped", 1, filters=few).hits
    assert (among_few.chance or 0) >= (among_all.chance or 1)


@pytest.mark.parametrize("asked", [{"diversity": 0.5}, {"min_score": 0.1}])
def test_another_order_has_no_line_in_it(gallery: Gallery, asked: dict[str, Any]) -> None:
    found = gallery.search(Query("thing8"), "mapped", 5, **asked)
    assert found.likely is None
    assert all(hit.chance is not None for hit in found.hits)


def test_in_a_collection_too_small_it_cannot_be_told() -> None:
    few = ROWS[: ENOUGH - 1]
    relevance = Relevance(NO_GAP, sampled(few, few))
    assert relevance.judge(ROWS[0], "words", len(few)) is None
    without_captions = Relevance(NO_GAP, sampled(ROWS, few[:0]))
    assert without_captions.judge(ROWS[0], "words", PICTURES) is None
    assert without_captions.judge(ROWS[0], "picture", PICTURES) is not None


def test_what_cannot_be_told_cannot_be_asked_for(
    stores: tuple[ImageStore, CaptionStore],
) -> None:
    plain = Gallery(World(), NO_GAP, stores[0])
    assert plain.search(Query("thing8")).likely is None
    with pytest.raises(InvalidInput, match="to tell what is likely"):
        plain.search(Query("thing8"), likely=True)


def test_a_memory_lends_its_pairs() -> None:
    own = sampled(directions(300, 5), ROWS)
    lent = Relevance(NO_GAP, sampled(ROWS, ROWS, np.arange(PICTURES)))
    alone, helped = Relevance(NO_GAP, own), Relevance(NO_GAP, own, lent)
    judges = [one.judge(ROWS[0], "words", 300) for one in (alone, helped)]
    assert judges[0] is not None
    assert judges[1] is not None
    assert judges[0].likelihood.power != judges[1].likelihood.power


def test_a_memory_of_captions_alone_keeps_no_search_from_its_borrowers() -> None:
    words_alone = Alignment.from_means(None, np.zeros(DIM), n_images=0, n_captions=PICTURES)
    lent = Relevance(words_alone, sampled(ROWS[:0], ROWS))
    assert lent.judge(ROWS[0], "words", 0) is None
    helped = Relevance(NO_GAP, sampled(directions(300, 5), ROWS), lent)
    assert helped.judge(ROWS[0], "words", 300) is not None


def test_a_sample_is_kept_until_an_index_has_grown(tmp_path: Path) -> None:
    taken: list[int] = []

    def take() -> Sample:
        taken.append(len(taken))
        places = np.array([[0, 1]], np.uint64)
        owners = np.arange(3, dtype=np.uint64)
        return Sample(directions(3, len(taken)), directions(2, 9), places, places, owners)

    path = tmp_path / "relevance.safetensors"
    keeper = SampleKeeper(path)
    first = keeper.sample([1], (100, 50), take)
    assert keeper.sample([1], (109, 50), take) is first
    assert keeper.sample([1], (0, 0), take) is first  # while a push is at work
    again = SampleKeeper(path).sample([1], (95, 50), take)
    assert np.array_equal(again.pictures, first.pictures)
    assert np.array_equal(again.pairs, first.pairs)
    assert taken == [0]
    keeper.sample([1], (150, 50), take)
    keeper.sample([2], (150, 50), take)
    assert taken == [0, 1, 2]
    path.write_bytes(b"damaged")
    SampleKeeper(path).sample([2], (150, 50), take)
    assert taken == [0, 1, 2, 3]


@pytest.mark.skipif(not VECTORS.is_dir(), reason="needs ../shared/reference/clip_vectors")
@pytest.mark.parametrize("method", ["raw", "centred", "shrink"])
def test_of_coco_captions_without_their_picture_few_find_a_likely_one(method: str) -> None:
    images = np.load(VECTORS / "image_features.npy")
    texts = np.load(VECTORS / "text_features.npy")
    moments = PairMoments(images.shape[1])
    moments.update(images[:250], texts[:250])
    alignment = Alignment.fit(moments, method)
    relevance = Relevance(alignment, sampled(images[250:], texts[250:375], np.arange(125)))
    found = []
    for query, own in zip(alignment.map_texts(texts[375:]), range(125, 250), strict=True):
        judge = relevance.judge(query, "words", 250)
        assert judge is not None
        chances = judge.chances(relevance.scores(query[None])[0])
        found.append((chances[own] >= LIKELY, (np.delete(chances, own) >= LIKELY).sum()))
    right, strangers = np.mean(found, axis=0)
    assert right > 0.05
    assert strangers < 0.1
