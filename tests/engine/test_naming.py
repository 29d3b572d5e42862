"""Cameras and lenses are named by some of their words; a name that nothing has is told."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from engine.search.language import read_search
from engine.search.naming import not_here, spelled_out
from engine.store.image_store import FACET_VALUES
from engine.types import Facets, Filters

R6, R6II, SONY = "Canon EOS R6", "Canon EOS R6 Mark II", "Sony α7 III"
HERE = Facets(
    splits={"train": 3},
    sources={"human": 3},
    tags={"sea": 2, "Sunset": 1},
    cameras={R6: 2, R6II: 1, SONY: 1},
    lenses={"RF24-105mm F4 L IS USM": 2},
    places={"Málaga": 2, "Spain": 1},
    extensions={"jpg": 3},
)


def whole(typed: str) -> Filters:
    store: Any = SimpleNamespace(facets=lambda: HERE)
    return spelled_out(read_search(typed).filters, store)


@pytest.mark.parametrize(
    ("typed", "cameras"),
    [
        ("camera:canon", {R6, R6II}),
        ("camera:r6", {R6, R6II}),
        ('camera:"mark r6"', {R6II}),
        ('camera:"canon eos r6"', {"canon eos r6"}),  # one is called so, and no more is
        ("camera:α7 camera:mark", {SONY, R6II}),
        ("camera:nikon", {"nikon"}),
        ("camera:can", {"can"}),
        ('camera:"?"', {"?"}),
    ],
)
def test_a_camera_is_named_by_words_of_its_name(typed: str, cameras: set[str]) -> None:
    assert whole(typed) == Filters(cameras=frozenset(cameras))
    unwanted = whole(typed.replace("camera:", "-camera:"))
    assert unwanted == Filters(not_cameras=frozenset(cameras))


@pytest.mark.parametrize("lens", ["24-105", "24-105mm", "rf", "f4", '"usm rf24-105"'])
def test_a_lens_is_named_by_parts_of_its_name_and_all_else_stays(lens: str) -> None:
    filters = whole(f"lens:{lens} tag:sea place:mal -place:x after:2024")
    assert filters == replace(
        read_search("tag:sea place:mal -place:x after:2024").filters,
        lenses=frozenset(HERE.lenses),
    )


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("tag:sea camera:CANON place:malaga split:train", []),
        ("tag:see", ["no picture here has tag:see; there is tag:sea, tag:Sunset"]),
        ("tag:see tag:SEA", []),
        (
            "camera:Cannon ext:png",
            [
                f'no picture here has camera:Cannon; there is camera:"{SONY}"',
                "no picture here has ext:png; there is ext:jpg",
            ],
        ),
        ("-tag:see after:2024 dog", []),
    ],
)
def test_names_that_nothing_here_has_are_told_with_those_there_are(
    typed: str, told: list[str]
) -> None:
    here = (
        replace(HERE, cameras={SONY: 1})
        if "Cannon" in typed
        else replace(HERE, cameras={"CANON": 1})
    )
    assert list(not_here(read_search(typed).filters, here)) == told


def test_where_there_is_nothing_of_a_kind_that_is_told() -> None:
    (told,) = not_here(read_search("lens:50mm").filters, Facets({}, {}, {}))
    assert told == "no picture here has lens:50mm; there is none with lens:"


def test_where_more_there_are_than_are_counted_nothing_is_claimed() -> None:
    many = {f"tag {number}": 1 for number in range(FACET_VALUES)}
    assert not list(not_here(read_search("tag:rare").filters, Facets({}, {}, many)))
