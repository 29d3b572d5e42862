"""The grid: every variant is a step away from the default that can be told from it."""

from __future__ import annotations

from collections import Counter

import pytest

from engine.describe.captioner import DescribeOptions
from engine.errors import InvalidInput
from evaluation.ablation.grid import AXES, DEFAULT, SHARES, Cell, grid


def test_the_default_is_the_programs() -> None:
    assert Cell().describe == DescribeOptions()
    assert Cell().exclude_own
    assert grid([]) == [DEFAULT]


@pytest.mark.parametrize("axis", AXES)
def test_an_axis_varies_its_setting_and_names_each_value_once(axis: str) -> None:
    _, *variants = grid([axis])
    assert {variant.axis for variant in variants} == {axis}
    assert set(Counter(variant.label for variant in variants).values()) == {1}
    assert any(variant.cell != DEFAULT.cell for variant in variants)


def test_every_method_is_fitted_on_every_share() -> None:
    _, *variants = grid(["map"])
    fitted = {(v.cell.map.method, v.cell.map.share) for v in variants}
    methods = ("auto", "centred", "shrink", "ridge", "procrustes", "ols")
    assert fitted == {("raw", 1.0)} | {(m, share) for m in methods for share in SHARES}


def test_transfer_takes_the_others_map_and_then_its_captions_too() -> None:
    variants = [v for v in grid([], other="away") if v.axis == "transfer"]
    places = {(v.cell.map_of, v.cell.index_of) for v in variants}
    assert places == {("", ""), ("away", ""), ("away", "away")}


def test_each_encoder_is_a_variant() -> None:
    (variant,) = [v for v in grid([], encoders=["RN50/openai"]) if v.axis == "encoder"]
    assert variant.cell.encoder == "RN50/openai"


def test_an_unknown_axis_is_refused_with_those_that_are() -> None:
    with pytest.raises(InvalidInput, match="'colour'; choose from map, "):
        grid(["colour"])
