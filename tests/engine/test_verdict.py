"""One sentence says who wins, and it says nobody where nobody does."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from engine.compare.comparison import Comparison, Truth
from engine.compare.gap import Gap, Side
from engine.compare.verdict import on_collection, on_query
from engine.types import CaptionHit

_NONE = np.zeros((1, 2))
SIDE = Side(_NONE, _NONE, _NONE, _NONE, 0.1, 0.1, 0.1, _NONE, _NONE, 0.1)
GAP = Gap(
    SIDE, SIDE, _NONE, pictures=50, own=250, others=9, fitted=False,
    judged=50, raw_wins=2, mapped_wins=21,
)  # fmt: skip
RIGHT = Truth("caption", ("a dog",), (4,), (1,), 50, fitted=False)


def compared(truth: Truth | None) -> Comparison[CaptionHit]:
    return Comparison((), (), 0.5, 0.5, (), truth, 50, {}, {})


@pytest.mark.parametrize(
    ("raw", "mapped", "winner", "said"),
    [
        ((4,), (1,), "mapped", "own captions is at rank 1, with raw at rank 4."),
        ((2, 3), (5,), "raw", "Raw wins: the best of this picture's own captions is at rank 2"),
        ((), (7,), "mapped", "with raw not among the first 50"),
        ((3,), (3,), None, "is at rank 3 on both sides."),
        ((), (), None, "on either side."),
    ],
)
def test_what_is_known_to_be_right_decides(
    raw: tuple[int, ...], mapped: tuple[int, ...], winner: str | None, said: str
) -> None:
    truth = replace(RIGHT, raw_ranks=raw, mapped_ranks=mapped)
    verdict = on_query(compared(truth), GAP, "shrink")
    assert verdict.winner == winner
    assert said in verdict.sentence


def test_it_is_said_that_the_map_was_fitted_on_the_picture() -> None:
    fitted = replace(RIGHT, fitted=True)
    assert "but the map was fitted on it" in on_query(compared(fitted), GAP, "shrink").sentence
    raw_wins = replace(fitted, raw_ranks=(1,), mapped_ranks=(2,))
    assert "although the map was fitted" in on_query(compared(raw_wins), GAP, "shrink").sentence


def test_words_speak_of_pictures() -> None:
    verdict = on_query(compared(replace(RIGHT, what="picture")), GAP, "shrink")
    assert "picture with exactly this caption" in verdict.sentence


def test_where_nothing_is_known_nobody_wins_and_the_collection_is_quoted() -> None:
    verdict = on_query(compared(None), GAP, "shrink")
    assert verdict.winner is None
    assert "in general mapped wins, 21 to 2 pictures." in verdict.sentence
    assert "nothing is known to be right" in verdict.sentence


def test_a_difference_that_may_be_chance_is_no_win() -> None:
    verdict = on_collection(replace(GAP, raw_wins=8, mapped_wins=9))
    assert verdict.winner is None
    assert verdict.sentence.startswith("Nobody clearly wins")
    assert "for 33 they are level" in verdict.sentence
    quoted = on_query(compared(None), replace(GAP, raw_wins=8, mapped_wins=9, fitted=True), "ols")
    assert "nobody clearly wins (mapped 9, raw 8 pictures that the map was" in quoted.sentence


def test_raw_may_win() -> None:
    assert on_collection(replace(GAP, raw_wins=30, mapped_wins=1)).winner == "raw"


def test_pictures_that_the_map_was_fitted_on_are_called_so() -> None:
    assert "fitted on, which favours it" in on_collection(replace(GAP, fitted=True)).sentence


def test_without_pairs_nobody_can_say() -> None:
    gap = replace(GAP, judged=0, raw_wins=0, mapped_wins=0)
    assert on_query(compared(None), gap, "centred").winner is None
    for none in (gap, None):
        verdict = on_query(compared(None), none, "centred")
        assert verdict.sentence.endswith("known to be right.")
    assert on_collection(gap).sentence.startswith("Nobody can say")


def test_a_raw_map_makes_both_sides_the_same() -> None:
    verdict = on_query(compared(RIGHT), GAP, "raw")
    assert verdict.winner is None
    assert "both sides are the same" in verdict.sentence
