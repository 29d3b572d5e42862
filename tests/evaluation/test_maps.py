from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from engine.alignment.alignment import Alignment, PairMoments
from engine.alignment.cross_validation import Choice
from engine.errors import InvalidInput
from evaluation.maps import MAPS, MapSource, checked_maps, make_maps

DIM = 6


@pytest.fixture
def moments() -> PairMoments:
    rng = np.random.default_rng(0)
    made = PairMoments(DIM)
    made.update(rng.normal(size=(60, DIM)) + 1, rng.normal(size=(60, DIM)) - 1)
    return made


@pytest.fixture
def own(moments: PairMoments) -> Alignment:
    choices = (
        Choice("shrink", 10.0, 0.4, 0.1, 0.1),
        Choice("shrink", 0.1, 0.5, 0.0, 0.1, chosen=True),
        Choice("ridge", 1.0, 0.3, 0.2, 0.1),
    )
    fitted = Alignment.fit(moments, "shrink", strength=0.1, encoder_id="e")
    return replace(fitted, choices=choices)


def test_every_map_can_be_had_from_moments(own: Alignment, moments: PairMoments) -> None:
    made = make_maps(MapSource(own, moments, "collection x"))
    assert tuple(made.maps) == MAPS
    assert not made.missing
    assert made.maps["mapped"] is own
    assert made.maps["raw"].method == "raw"
    rows = np.random.default_rng(1).normal(size=(5, DIM)).astype(np.float32)
    expected = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    np.testing.assert_allclose(made.maps["raw"].map_images(rows), expected, rtol=1e-6)
    assert made.maps["ols"].source == "collection x"
    assert {alignment.encoder_id for alignment in made.maps.values()} == {"e"}


def test_strengths_are_those_that_held_out_pairs_chose(
    own: Alignment, moments: PairMoments
) -> None:
    maps = make_maps(MapSource(own, moments, ""), ("shrink", "ridge")).maps
    assert (maps["shrink"].strength, maps["ridge"].strength) == (0.1, 1.0)
    never_chosen = make_maps(MapSource(replace(own, choices=()), moments, ""), ("ridge",)).maps
    assert never_chosen["ridge"].strength == DIM / moments.n


def test_without_pairs_the_others_are_missing_with_the_reason(own: Alignment) -> None:
    made = make_maps(MapSource(own, None, ""))
    assert tuple(made.maps) == ("raw", "mapped")
    assert "no pairs" in made.missing["ols"]
    too_few = make_maps(MapSource(own, PairMoments(DIM), ""))
    assert tuple(too_few.maps) == ("raw", "mapped")
    assert "at least 2 pairs" in too_few.missing["centred"]


def test_a_map_that_knows_captions_only_cannot_be_measured(moments: PairMoments) -> None:
    texts = Alignment.from_means(None, np.zeros(DIM), n_images=0, n_captions=30)
    made = make_maps(MapSource(texts, moments, ""), ("raw", "mapped"))
    assert tuple(made.maps) == ("raw",)
    assert "captions only" in made.missing["mapped"]


def test_names_are_put_in_order_and_checked() -> None:
    assert checked_maps(["ols", "raw", "ols"]) == ("raw", "ols")
    with pytest.raises(InvalidInput, match="unknown map 'pca'; choose from raw, mapped"):
        checked_maps(["raw", "pca"])
    with pytest.raises(InvalidInput, match="at least one"):
        checked_maps([])
