"""In which space words are looked for: measured with captions that the search does not know."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL.Image import Image

from engine.alignment.alignment import Alignment
from engine.alignment.hubs import Bank
from engine.collection import CollectionCard, CollectionFolder
from engine.identity import content_key
from engine.sampling import name_hash
from engine.search import default_space
from engine.search.default_space import (
    ENOUGH,
    FEWEST,
    KINDS,
    SpaceChoice,
    choose_space,
    graded_queries,
)
from engine.search.default_space_store import DefaultSpaceKeeper
from engine.settings import Settings
from engine.store import (
    CaptionStore,
    ImageStore,
    caption_id,
    open_caption_store,
    open_image_store,
    picture_id,
)
from engine.types import CaptionPoint, ImagePoint, Vector, Vectors
from engine.words import words

DIM = 64
PICTURES = 60
THINGS = ("dog", "boat", "tree", "house", "car", "bird", "lamp", "chair", "cake", "drum")
PLACES = ("beach", "street", "meadow", "kitchen", "forest", "harbour")
NO_GAP = Alignment.from_means(np.zeros(DIM), np.zeros(DIM), n_images=2, n_captions=2)


def direction(word: str) -> Vector:
    row = np.random.default_rng(name_hash(word)).standard_normal(DIM)
    return np.asarray(row / np.linalg.norm(row), np.float32)


class WordsAsDirections:
    """Embeds a text as the sum of its words' directions; words that mean the same share one."""

    id, dim = "words", DIM

    def __init__(self, same: dict[str, str] | None = None) -> None:
        self._same = same or {}

    def encode_images(self, images: list[Image]) -> Vectors:
        del images
        raise AssertionError("nothing is looked for by a picture")

    def encode_texts(self, texts: list[str]) -> Vectors:
        rows = [
            sum(direction(self._same.get(word, word)) for word in words(text)) for text in texts
        ]
        return np.stack([np.asarray(row / np.linalg.norm(row), np.float32) for row in rows])


class Album:
    """A collection's two stores, and what is chosen for it."""

    def __init__(self, home: Path) -> None:
        card = CollectionCard("album", "fake", "fake", DIM, "consensus")
        folder, settings = CollectionFolder(home, "album"), Settings(home=home)
        self.images: ImageStore = open_image_store(folder, card, settings, create=True)
        self.captions: CaptionStore = open_caption_store(folder, card, settings, create=True)
        self.encoder = WordsAsDirections()

    def put(self, at: int, captions: Sequence[str], image: Vector, split: str = "test") -> None:
        sha256 = f"{at:064x}"
        self.images.upsert(
            [
                ImagePoint(
                    picture_id(sha256), f"{at}.jpg", f"{at}.jpg", sha256, 2, 2, image, image,
                    captions=tuple(captions), split=split,
                )
            ]
        )  # fmt: skip
        key = content_key(sha256)
        rows = self.encoder.encode_texts(list(captions)) if captions else ()
        self.captions.upsert(
            [
                CaptionPoint(caption_id(key, text, "human"), text, row, row, key)
                for text, row in zip(captions, rows, strict=True)
            ]
        )

    def choice(self) -> SpaceChoice:
        return choose_space(self.images, self.captions, NO_GAP, self.encoder)


@pytest.fixture
def album(tmp_path: Path) -> Iterator[Album]:
    made = Album(tmp_path)
    yield made
    made.images.close()
    made.captions.close()


def scene(at: int) -> tuple[str, str]:
    return THINGS[at % len(THINGS)], PLACES[at // len(THINGS) % len(PLACES)]


def fill(album: Album, *, seen: bool, split: str = "test", count: int = PICTURES) -> None:
    """Pictures with three captions; `seen`: their vectors show what is in them."""
    for at in range(count):
        thing, place = scene(at)
        captions = [f"a {thing} on the {place}", f"the {place} with a {thing}", f"{thing}, {place}"]
        image = album.encoder.encode_texts([captions[0]])[0] if seen else direction(f"noise {at}")
        album.put(at, captions, image, split)


def test_where_pictures_say_little_their_words_are_looked_for(album: Album) -> None:
    fill(album, seen=False)
    choice = album.choice()
    assert choice.space == "fused"
    assert choice.mean("fused") > choice.mean("mapped") + 0.3
    assert choice.scores["fused"]["word"].first > 0.8
    assert (choice.pictures, choice.fitted) == (PICTURES, False)
    assert all(choice.queries[kind] >= FEWEST for kind in KINDS)


def test_where_captions_never_use_the_words_of_others_meaning_is_looked_for(album: Album) -> None:
    # What the search knows and what it is judged by have no word in common, but mean the same.
    album.encoder = WordsAsDirections({f"{one}ish": one for one in (*THINGS, *PLACES)})
    for at in range(PICTURES):
        thing, place = scene(at)
        known, judge = f"{thing}ish {place}ish", f"{thing} {place}"
        album.put(at, [known, judge], album.encoder.encode_texts([judge])[0])
    choice = album.choice()
    assert choice.space == "mapped"
    assert choice.scores["words"]["word"].ndcg == 0


def test_nothing_that_is_searched_is_what_it_is_judged_by(album: Album) -> None:
    fill(album, seen=True)
    judged = default_space._judged(album.images, album.captions)
    assert judged is not None
    for known, judges in zip(judged.known, judged.judges, strict=True):
        assert set(known).isdisjoint(judges)
        assert len(known) + len(judges) == 3
    whole = [query for query in graded_queries(judged) if query.kind == "caption"]
    assert all(query.text in judged.judges[query.source] for query in whole)
    assert all(query.gains[query.source] == 1 for query in whole)


def test_captions_that_say_the_same_do_not_judge_each_other(album: Album) -> None:
    for at in range(ENOUGH):
        thing, place = scene(at)
        album.put(at, [f"{thing} {place}", f"A {thing}, the {place}!"], direction(str(at)))
    assert album.choice().scores == {}


def test_pictures_new_to_the_map_are_taken_if_there_are_enough(album: Album) -> None:
    fill(album, seen=True, split="train")
    assert album.choice().fitted
    for at in range(ENOUGH):
        thing, place = scene(at)
        album.put(1000 + at, [f"a {thing} by a {place}", f"{place} {thing}"], direction("x"))
    judged = default_space._judged(album.images, album.captions)
    assert judged is not None
    assert (len(judged.images), judged.fitted) == (ENOUGH, False)


def test_with_one_caption_each_a_default_is_stated(album: Album) -> None:
    for at in range(ENOUGH):
        album.put(at, [" ".join(scene(at))], direction(str(at)))
    choice = album.choice()
    assert choice.space == "fused"
    assert choice.scores == {}
    assert choice.queries == {}
    assert "too few pictures have two captions" in choice.reason


def test_without_captions_a_default_is_stated(album: Album) -> None:
    for at in range(ENOUGH):
        album.put(at, [], direction(str(at)))
    choice = album.choice()
    assert choice.space == "mapped"
    assert "no picture has a caption" in choice.reason


def test_the_same_pictures_are_asked_the_same(album: Album) -> None:
    fill(album, seen=True)
    assert album.choice() == album.choice()


class ShyOfWords(WordsAsDirections):
    """Says nothing sensible of a word or two without a sentence around them."""

    def encode_texts(self, texts: list[str]) -> Vectors:
        rows = super().encode_texts(texts)
        for at, text in enumerate(texts):
            if len(text.split()) < 3:
                rows[at] = direction(f"noise {text}")
        return rows


@pytest.mark.parametrize("shy", [True, False])
def test_short_queries_become_captions_where_that_was_measured_to_help(
    album: Album, shy: bool
) -> None:
    fill(album, seen=True)
    if shy:
        album.encoder = ShyOfWords()
    choice = album.choice()
    assert choice.as_captions is shy
    assert ("in the form of captions" in choice.reason) is shy


def test_hubs_are_taken_off_here_as_in_a_search(album: Album) -> None:
    fill(album, seen=True)
    judged = default_space._judged(album.images, album.captions)
    assert judged is not None
    said = album.encoder.encode_texts([*THINGS, *PLACES, "dog dog boat"])
    # The first caption of the bank is the first picture's own, which does not count against it.
    owners = np.array([judged.numbers[0], *range(1, len(said))], np.uint64)
    bank = Bank(said.astype(np.float16), owners, said.astype(np.float16), owners)
    corrected = replace(NO_GAP, bank=bank, hub_strength=0.75)
    query = album.encoder.encode_texts(["dog"])[0]
    found = default_space._Searched(judged, corrected).rankings("dog", query)
    near = judged.images @ said.T
    near[0, 0] = -9
    scores = judged.images @ query - 0.75 * np.sort(near, axis=1)[:, -16:].mean(axis=1)
    in_order = scores[found["mapped"]]
    assert np.diff(in_order).max() < 2e-3
    assert np.ptp(scores - judged.images @ query) > 0.01
    assert np.diff((judged.images @ query)[found["raw"]]).max() < 1e-6


# Keeping the choice.

FUSED = SpaceChoice(
    "fused",
    "it answers best",
    {"fused": {"word": default_space.Score(0.5, 0.25)}},
    50,
    {"word": 40},
    fitted=True,
)
MAPPED = SpaceChoice("mapped", "no captions")


def never() -> SpaceChoice:
    raise AssertionError("it is measured again")


def test_a_choice_is_kept_until_the_index_holds_something_else(tmp_path: Path) -> None:
    path = tmp_path / "default_space.json"
    keeper = DefaultSpaceKeeper(path)
    assert keeper.choice("one", lambda: FUSED) == FUSED
    assert keeper.choice("one", never) is keeper.choice("one", never)
    assert DefaultSpaceKeeper(path).choice("one", never) == FUSED  # as another process would
    assert DefaultSpaceKeeper(path).choice("two", lambda: MAPPED) == MAPPED


def test_a_damaged_choice_is_measured_again(tmp_path: Path) -> None:
    path = tmp_path / "default_space.json"
    DefaultSpaceKeeper(path).choice("one", lambda: FUSED)
    for damage in (b"\xff", b"[]", b'{"kind": "mrag-default-space/2", "key": "one"}'):
        path.write_bytes(damage)
        assert DefaultSpaceKeeper(path).choice("one", lambda: MAPPED) == MAPPED


def test_what_cannot_be_kept_is_answered_all_the_same(tmp_path: Path) -> None:
    gone = tmp_path / "removed" / "default_space.json"
    assert DefaultSpaceKeeper(gone).choice("one", lambda: FUSED) == FUSED
    assert not gone.parent.exists()
