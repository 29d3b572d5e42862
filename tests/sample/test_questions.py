"""Questions have the answers that the scenes give, and free answers are read as people would."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.ask.prompts import NOT_SAID
from sample.world.answers import read_number, read_places, read_yes_no, says_not_said
from sample.world.places import PLACES
from sample.world.queries import ANY, Wanted, near_miss, query_of
from sample.world.questions import (
    KINDS,
    Question,
    question_set,
    right,
    wordings,
)
from sample.world.reading import check_caption
from sample.world.scenes import Meaning, natural_scene
from sample.world.splits import pack_scenes

TRUTH = {
    f"{at:03}.webp": shown.scene.meaning
    for at, shown in enumerate(pack_scenes()["plain"])
    if shown.split == "test"
}
ASKED = question_set(TRUTH, 1, 300)
TWO_DOGS = Meaning(frozenset({("dog", 2), ("chair", 1)}), "beach")


def test_a_set_has_every_kind_about_one_and_about_many_and_no_question_twice() -> None:
    assert len(ASKED) == 300
    spread = Counter((one.kind, one.scope) for one in ASKED)
    assert set(spread.values()) == {25}
    assert len({(one.text, one.about[:1] * (one.scope == "picture")) for one in ASKED}) == 300


def test_the_same_seed_gives_the_same_questions_and_another_gives_others() -> None:
    assert question_set(TRUTH, 1, 60) == ASKED[:60]
    assert question_set(TRUTH, 2, 60) != ASKED[:60]


@pytest.mark.parametrize("question", ASKED, ids=lambda one: one.text)
def test_its_own_answer_is_right_and_another_kind_of_answer_is_not(question: Question) -> None:
    assert right(question.answer, question, question.about)
    refusal = right(NOT_SAID, question, question.about)
    assert refusal == (question.kind == "unanswerable")
    assert not right("zebras", question, ("no such picture",))


def test_yes_and_no_come_about_as_often() -> None:
    for kind in ("existence", "comparison"):
        said = Counter(one.answer for one in ASKED if one.kind == kind)
        assert min(said.values()) > 0.3 * said.total()


def test_counting_over_a_collection_counts_its_pictures() -> None:
    for one in ASKED:
        if one.kind == "counting" and one.scope == "collection":
            assert int(one.answer) == len(one.about) > 0
        if one.kind == "existence" and one.scope == "collection":
            assert (one.answer == "yes") == bool(one.about)


def test_training_leaves_out_wordings_that_the_test_asks() -> None:
    kept_out = {wordings(kind, "picture", False)[-1] for kind in KINDS}
    assert not kept_out & {w for kind in KINDS for w in wordings(kind, "picture", True)}
    assert any(one.text.startswith("Count the") for one in ASKED)
    trained = question_set(TRUTH, 1, 300, training=True)
    assert not any(one.text.startswith("Count the") for one in trained)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("3", 3),
        ("There are three dogs [1], [12].", 3),
        ("Two.", 2),
        ("a pair of dogs", 2),
        ("Twenty-one pictures", 21),
        ("14 of 150 pictures", 14),
        ("There are no dogs", 0),
        ("none", 0),
        ("a dog", 1),
        ("dogs", None),
    ],
)
def test_numbers_are_read_in_digits_and_words(text: str, number: int | None) -> None:
    assert read_number(text) == number


@pytest.mark.parametrize(
    ("text", "yes"),
    [
        ("Yes, there is one [3].", True),
        ("No.", False),
        ("There isn't any.", False),
        ("There are none", False),
        ("a dog", None),
    ],
)
def test_yes_and_no_are_read(text: str, yes: bool | None) -> None:
    assert read_yes_no(text) is yes


@pytest.mark.parametrize(
    "text",
    [NOT_SAID, "The captions don't say.", "It cannot be told", "That is not mentioned.", "unknown"],
)
def test_refusals_are_read(text: str) -> None:
    assert says_not_said(text)
    assert not says_not_said("no")


def test_every_phrase_of_a_place_is_read_as_that_place_alone() -> None:
    for place in PLACES:
        for phrase in (*place.phrases, place.name):
            assert read_places(f"It is {phrase}.") == {place.name}


def test_a_list_of_pictures_must_be_all_and_no_others() -> None:
    one = Question("Which pictures show a dog?", "a, b", "listing", "collection", ("a", "b"))
    assert right("here", one, ["b", "a"])
    assert not right("here", one, ["a"])
    assert not right("here", one, ["a", "b", "c"])
    assert not right("the captions do not say", one, ["a", "b"])


def test_things_of_a_picture_may_be_named_in_any_words() -> None:
    one = Question("What is there?", "a chair and two dogs", "listing", "picture", ("a",))
    assert right("Two puppies next to a chair.", one)
    assert not right("Two dogs.", one)
    assert right("no", replace(one, kind="existence", answer="no"))


def test_a_query_fits_by_what_it_names() -> None:
    assert Wanted((("dog", ANY),)).fits(TWO_DOGS)
    assert Wanted((("dog", 2),), "beach").fits(TWO_DOGS)
    assert not Wanted((("dog", 1),)).fits(TWO_DOGS)
    assert not Wanted((("dog", 2),), only=True).fits(TWO_DOGS)
    assert not Wanted((), "snow").fits(TWO_DOGS)


@given(st.integers(0, 2**32))
@settings(max_examples=200)
def test_queries_fit_their_scene_and_near_misses_ask_for_something_else(seed: int) -> None:
    rng = Random(seed)
    scene = natural_scene(rng)
    query = query_of(scene, rng)
    assert query.fits(scene.meaning)
    if query.wanted.only:
        said = check_caption(query.text, scene.meaning)
        assert said.counts
    assert near_miss(query, rng).wanted != query.wanted
