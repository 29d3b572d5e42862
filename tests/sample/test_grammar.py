"""Captions say what the scene holds, and reading them gives it back."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sample.world.captions import caption, captions, plain_caption
from sample.world.places import PLACES
from sample.world.reading import check_caption, read_caption, things_in_order
from sample.world.scenes import (
    Draw,
    Group,
    Scene,
    family,
    lone_scene,
    natural_scene,
    random_scene,
    sibling,
)
from sample.world.things import THING_OF_NAME, THINGS, companions, plural

SEEDS = st.integers(0, 2**32)
DRAWS = st.sampled_from((lone_scene, natural_scene, random_scene))
PLACE_OF_NAME = {place.name: place for place in PLACES}


def scene_of(things: dict[str, int], place: str, relation: str = "") -> Scene:
    groups = tuple(Group(THING_OF_NAME[name], count) for name, count in things.items())
    return Scene(groups, PLACE_OF_NAME[place], relation)


@given(SEEDS, DRAWS)
def test_every_caption_names_the_things_counts_and_place_or_no_place(seed: int, draw: Draw) -> None:
    rng = Random(seed)
    scene = draw(rng)
    said = read_caption(caption(scene, rng))
    assert said.things == scene.meaning.things
    assert said.place in ("", scene.place.name)


@given(SEEDS, DRAWS)
def test_the_plain_caption_is_fully_right(seed: int, draw: Draw) -> None:
    scene = draw(Random(seed))
    assert check_caption(plain_caption(scene), scene.meaning).all


@given(SEEDS)
def test_the_captions_of_a_scene_differ_and_come_back_from_the_seed(seed: int) -> None:
    scene = natural_scene(Random(seed))
    texts = captions(scene, seed)
    assert len(set(texts)) == 5
    assert texts == captions(scene, seed)


@given(SEEDS, DRAWS)
def test_a_sibling_is_another_scene_that_still_is_one(seed: int, draw: Draw) -> None:
    rng = Random(seed)
    scene = draw(rng)
    other = sibling(scene, rng)
    assert other != scene
    assert len({group.thing for group in other.groups}) == len(other.groups)
    assert bool(other.relation) == (len(other.groups) == 2)


@given(SEEDS)
def test_a_family_holds_no_scene_twice(seed: int) -> None:
    rng = Random(seed)
    assert len(set(family(natural_scene(rng), 4, rng))) == 4


def test_no_two_forms_of_things_are_confused() -> None:
    forms = [name for thing in THINGS for name in thing.names]
    assert len(forms) == len(set(forms))
    for thing in THINGS:
        for name in thing.names:
            assert read_caption(f"{name}.").things == {(thing.name, 1)}
            assert read_caption(f"three {plural(name)}.").things == {(thing.name, 3)}


def test_no_pair_of_companions_is_listed_twice() -> None:
    assert len({frozenset(pair) for pair in companions()}) == len(companions())


def test_plurals() -> None:
    assert [plural(name) for name in ("strawberry", "bus", "sheep", "monkey")] == [
        "strawberries",
        "buses",
        "sheep",
        "monkeys",
    ]


TRUTH = scene_of({"dog": 2, "soccer ball": 1}, "snow", "left of").meaning


@pytest.mark.parametrize(
    ("text", "things", "counts", "place"),
    [
        ("A couple of puppies near a soccer ball on snowy ground.", True, True, True),
        ("Two dogs and a soccer ball.", True, True, False),
        ("A dog and a soccer ball in the snow.", True, False, True),
        ("Two dogs in the snow.", False, False, True),
        ("Two dogs, a cat and a soccer ball in the snow.", False, False, True),
        ("Two dogs next to a soccer ball on the beach.", True, True, False),
        ("Two dogs next to a soccer ball in the snow at night.", True, True, False),
        ("", False, False, False),
    ],
)
def test_the_checker_sees_what_is_wrong(text: str, things: bool, counts: bool, place: bool) -> None:
    verdict = check_caption(text, TRUTH)
    assert (verdict.things, verdict.counts, verdict.place) == (things, counts, place)
    assert verdict.all == (things and counts and place)


def test_things_are_read_in_the_order_of_naming() -> None:
    assert things_in_order("A puppy below three lorries.") == ["dog", "truck"]
