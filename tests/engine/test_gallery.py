"""Pictures are found by words, by a picture, by both, with terms added and taken away."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from engine.alignment.alignment import Alignment
from engine.collection import CollectionCard, CollectionFolder
from engine.errors import InvalidInput
from engine.identity import content_key
from engine.search.copies import Copies
from engine.search.gallery import Gallery, Query, matched_words
from engine.search.language import read_search
from engine.search.short_queries import TEMPLATES
from engine.settings import Settings
from engine.store import open_image_store, picture_id
from engine.types import Filters, ImagePoint, SearchSpace, Vector

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


def test_a_weight_says_how_much_nearer_and_how_much_farther(gallery: Gallery) -> None:
    def nearest(weights: tuple[float, ...]) -> list[str]:
        return uris(gallery, Query(plus=("dog", "snow"), weights=weights))

    assert nearest((1, 1)) == nearest(()) == nearest((2, 2))
    assert nearest((9, 1)) == ["dog.jpg", "both.jpg", "snow.jpg"]
    assert nearest((1, 9)) == ["snow.jpg", "both.jpg", "dog.jpg"]
    slightly = gallery.search(Query("dog", minus=("snow",), weights=(0.1,))).hits
    strongly = gallery.search(Query("dog", minus=("snow",), weights=(10,))).hits
    assert slightly[0].score > 0.98
    assert strongly[-1].score < -0.98


@pytest.mark.parametrize(
    "typed",
    ["dog 2:snow -0.5:tree", 'a dog +snow -"red car"', "3:dog 0.25:snow -tree -2:cat"],
)
def test_a_query_is_what_was_typed(typed: str) -> None:
    search = read_search(typed)
    query = Query.of(search)
    assert str(query) == typed
    assert (query.words, query.minus) == (
        tuple(filter(None, (search.text, *(term.text for term in search.plus)))),
        tuple(term.text for term in search.minus),
    )
    assert len(query.text_weights) == len((*query.words, *query.minus))


def test_blank_terms_leave_the_weights_where_they_belong() -> None:
    query = Query("dog", plus=(" ", "snow"), minus=("tree",), weights=(5, 2, 3))
    assert query.words == ("dog", "snow")
    assert query.text_weights == (1, 2, -3)


def test_offset_leaves_out_the_best(gallery: Gallery) -> None:
    assert uris(gallery, Query("dog"), k=2, offset=1) == ["both.jpg", "snow.jpg"]


def test_a_query_is_shown_as_it_was_asked() -> None:
    assert str(Query("dog", plus=("snow",), minus=("cat",))) == "dog +snow -cat"


def id_of(uri: str) -> str:
    return point(uri, DOG, "").id


def test_more_like_a_picture_of_the_collection_without_itself(gallery: Gallery) -> None:
    found = gallery.search(Query(likes=(id_of("dog.jpg"),)), k=3)
    assert [hit.uri for hit in found.hits] == ["both.jpg", "snow.jpg"]
    assert found.query == f"like:{id_of('dog.jpg')}"


def test_a_picture_of_the_collection_is_combined_with_words(gallery: Gallery) -> None:
    assert uris(gallery, Query("snow", likes=(id_of("dog.jpg"),)), k=1) == ["both.jpg"]
    assert uris(gallery, Query(likes=(id_of("both.jpg"),), minus=("snow",)), k=1) == ["dog.jpg"]


def test_more_like_these_and_not_those_finds_none_of_them(gallery: Gallery) -> None:
    query = Query(likes=(id_of("both.jpg"),), unlikes=(id_of("snow.jpg"),))
    assert uris(gallery, query) == ["dog.jpg"]
    assert str(query) == f"like:{id_of('both.jpg')} -like:{id_of('snow.jpg')}"
    assert uris(gallery, Query("snow", unlikes=(id_of("both.jpg"),)))[0] == "snow.jpg"
    assert uris(gallery, Query("dog", unlikes=(id_of("snow.jpg"),)))[-1] == "both.jpg"


def test_pictures_that_are_not_wanted_are_no_query_alone() -> None:
    with pytest.raises(InvalidInput, match=r"says what to leave out.*give words before it"):
        Query(unlikes=(id_of("dog.jpg"),))


def test_what_is_wanted_and_unwanted_at_once_is_refused() -> None:
    with pytest.raises(InvalidInput, match="wanted and not wanted at once"):
        Query(likes=(id_of("dog.jpg"),), unlikes=(id_of("dog.jpg"),))


def test_several_pictures_count_as_much_as_the_words(gallery: Gallery) -> None:
    """However many there are: what the words say is not drowned."""
    gallery.store.upsert([point(f"{n}.jpg", DOG, "a dog") for n in range(5)])
    likes = tuple(id_of(f"{n}.jpg") for n in range(5))
    found = gallery.search(Query("snow", likes=likes), "raw", 9).hits
    assert found[0].uri == "both.jpg"
    assert found[0].score == pytest.approx(1, abs=2e-3)


def test_more_like_a_picture_obeys_filters(gallery: Gallery) -> None:
    others = Filters(not_pictures=frozenset({content_key(b"both.jpg".hex().ljust(64, "0"))}))
    assert uris(gallery, Query(likes=(id_of("dog.jpg"),)), filters=others) == ["snow.jpg"]


@pytest.mark.parametrize("unknown", ["not-an-id", id_of("gone.jpg")])
def test_a_picture_that_is_not_there_is_named_with_the_remedy(
    gallery: Gallery, unknown: str
) -> None:
    with pytest.raises(InvalidInput, match=f"no picture with the id '{unknown}'.*look for words"):
        gallery.search(Query(likes=(unknown,)))


def test_what_scores_less_than_the_least_is_left_out(gallery: Gallery) -> None:
    assert uris(gallery, Query("dog"), min_score=0.5) == ["dog.jpg", "both.jpg"]
    assert uris(gallery, Query("dog"), min_score=0.9) == ["dog.jpg"]
    assert uris(gallery, Query("dog"), min_score=0.5, k=1, offset=2) == []


@pytest.mark.parametrize("space", ["words", "fused"])
def test_a_least_score_needs_scores_that_can_be_compared(
    gallery: Gallery, space: SearchSpace
) -> None:
    with pytest.raises(InvalidInput, match=f"space {space} .*raw, mapped, caption"):
        gallery.search(Query("dog"), space, min_score=0.5)


@pytest.mark.parametrize("score", [-1.1, 1.1, float("nan")])
def test_a_least_score_that_no_cosine_has_is_refused(gallery: Gallery, score: float) -> None:
    with pytest.raises(InvalidInput, match="from -1 to 1"):
        gallery.search(Query("dog"), min_score=score)


@pytest.mark.parametrize(
    ("words", "marked"),
    [
        ("dog", ("Dogs", "dog")),
        ("the running dog", ("Dogs", "run", "dog")),
        ("DOGS", ("Dogs", "dog")),
        ("the", ()),
        ("cat", ()),
    ],
)
def test_words_of_a_caption_that_match_are_found_by_their_stem(
    words: str, marked: tuple[str, ...]
) -> None:
    assert matched_words(Query(words), "Dogs run to the hot-dog stand; dog.") == marked


@pytest.mark.parametrize(
    ("words", "caption", "marked"),
    [
        ("黑猫", "一只黑猫坐在沙发上", ("黑猫",)),
        ("猫", "猫和黑猫", ("猫",)),
        ("แมวดำ", "เห็นแมวดำ 2 ตัว", ("แมวดำ",)),
        ("लड़की", "एक लड़का, एक लड़की", ("लड़की",)),
        ("🐶", "a dog 🐶!", ("🐶",)),
    ],
)
def test_words_of_other_scripts_are_marked_where_they_match(
    words: str, caption: str, marked: tuple[str, ...]
) -> None:
    assert matched_words(Query(words), caption) == marked


def test_wanted_words_are_marked_and_unwanted_ones_are_not() -> None:
    query = Query("dog", plus=("snow",), minus=("tree",))
    assert matched_words(query, "a dog in snow by a tree") == ("dog", "snow")
    assert matched_words(Query(likes=("x",)), "a dog") == ()


def test_an_empty_query_is_refused() -> None:
    with pytest.raises(InvalidInput, match="empty"):
        Query("  ")


def test_terms_that_cancel_out_are_refused(gallery: Gallery) -> None:
    with pytest.raises(InvalidInput, match="cancel"):
        gallery.search(Query("dog", minus=("dog",)))


def test_hubs_are_taken_off_for_words_and_not_for_pictures(
    tmp_path: Path, fake_encoder: Callable[..., Any]
) -> None:
    card = CollectionCard("hubs", "fake", "fake", 4, "consensus")
    encoder = fake_encoder({"dog": DOG, "snow": SNOW}, {WHITE: SNOW})
    near = {"both.jpg": 0.9, "dog.jpg": 0.1}
    away = np.array([0.6, 0, 0.8, 0], np.float32)
    points = [point("both.jpg", BOTH, "a dog in the snow"), point("dog.jpg", away, "a dog")]
    corrected = replace(NO_GAP, hub_strength=0.5)
    folder = CollectionFolder(tmp_path, "hubs")
    with open_image_store(folder, card, Settings(home=tmp_path), create=True) as store:
        store.upsert([replace(one, hub=near[one.uri]) for one in points])
        gallery = Gallery(encoder, corrected, store)
        found = gallery.search(Query("dog"), "mapped")
        assert [hit.uri for hit in found.hits] == ["dog.jpg", "both.jpg"]
        assert found.hits[0].score == pytest.approx(0.6 - 0.05, abs=2e-3)
        raw = gallery.search(Query("dog"), "raw")
        assert [hit.uri for hit in raw.hits] == ["both.jpg", "dog.jpg"]
        assert raw.hits[0].score == pytest.approx(np.sqrt(0.5), abs=2e-3)
        alike = gallery.search(Query(image=Image.new("RGB", (2, 2), WHITE)), "mapped")
        assert alike.hits[0].score == pytest.approx(np.sqrt(0.5), abs=2e-3)
        # Half of what is looked for are words: the sum of both is as long as the root of two.
        both = gallery.search(Query("dog", Image.new("RGB", (2, 2), WHITE)), "mapped")
        assert both.hits[0].score == pytest.approx(1 - 0.45 / np.sqrt(2), abs=2e-3)


def test_short_words_become_captions_where_that_is_wanted(
    gallery: Gallery, fake_encoder: Callable[..., Any]
) -> None:
    forms = {template.format("dog"): SNOW for template in TEMPLATES}
    encoder = fake_encoder({"dog": DOG, **forms}, {})
    for wanted, first in ((True, "snow.jpg"), (False, "dog.jpg")):
        made = Gallery(encoder, NO_GAP, gallery.store, as_captions=partial(bool, wanted))
        assert uris(made, Query("dog"), k=1) == [first]


@pytest.fixture
def with_copies(gallery: Gallery) -> Gallery:
    """`both.jpg` again, in another split, and what is known of it."""
    again = np.array([0.72, 0.69, 0, 0], np.float32)
    gallery.store.upsert([point("again.jpg", again / np.linalg.norm(again), "snow", "val")])
    gallery.copies = Copies([(id_of("both.jpg"), id_of("again.jpg"), id_of("gone.jpg"))])
    return gallery


@pytest.mark.parametrize("space", ["raw", "mapped", "caption", "fused"])
def test_of_copies_the_best_is_found_with_their_number(
    with_copies: Gallery, space: SearchSpace
) -> None:
    found = with_copies.search(Query("snow"), space, 3).hits
    assert [hit.uri for hit in found] == ["snow.jpg", "both.jpg", "dog.jpg"]
    assert [hit.copies for hit in found] == [0, 1, 0]
    best = with_copies.search(Query("dog"), "raw", 2).hits[1]
    assert (best.uri, best.copies) == ("again.jpg", 1)


def test_the_trace_tells_which_copy_was_left_out_for_which(with_copies: Gallery) -> None:
    trace = with_copies.search(Query("snow"), "raw", 3).trace
    embed, retrieve, copies, answer = trace.steps
    assert [step.stage for step in trace.steps] == [
        "embed", "retrieve: raw", "refine: copies", "answer",
    ]  # fmt: skip
    assert set(embed.parts_ms) == {"encode", "map"}
    assert (retrieve.did, answer.did, answer.came) == ("found 4", "read 3", 3)
    (left_out,) = copies.moves
    assert left_out.after is None
    assert left_out.item == retrieve.moves[(left_out.before or 0) - 1].item
    assert {move.item for move in retrieve.moves[1:3]} == {id_of("both.jpg"), id_of("again.jpg")}
    every = with_copies.search(Query("snow"), "raw", 3, every_copy=True).trace
    assert every.steps[2].did == "changed nothing"


def test_each_copy_is_found_where_it_is_asked_for(with_copies: Gallery) -> None:
    found = with_copies.search(Query("snow"), k=9, every_copy=True).hits
    assert {hit.uri for hit in found} == {"snow.jpg", "both.jpg", "again.jpg", "dog.jpg"}
    assert not any(hit.copies for hit in found)


def test_copies_that_filters_leave_out_do_not_count(with_copies: Gallery) -> None:
    held_out = Filters(splits=frozenset(("val",)))
    (found,) = with_copies.search(Query("snow"), filters=held_out).hits
    assert (found.uri, found.copies) == ("again.jpg", 0)


def test_more_like_a_picture_finds_no_copy_of_it(with_copies: Gallery) -> None:
    query = Query(likes=(id_of("both.jpg"),))
    assert set(uris(with_copies, query)) == {"dog.jpg", "snow.jpg"}
    assert uris(with_copies, query, every_copy=True)[0] == "again.jpg"


def test_diverse_pictures_are_no_copies_of_each_other(with_copies: Gallery) -> None:
    found = uris(with_copies, Query("snow"), k=9, diversity=0.5)
    assert {"dog.jpg", "snow.jpg"} < set(found)
    assert len(found) == 3
