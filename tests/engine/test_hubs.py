"""A caption that is near to every picture no longer wins for that alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.alignment.alignment import Alignment
from engine.errors import InvalidInput
from engine.search.hubs import HubRule, Hubs
from engine.types import CaptionHit, Vector, Vectors

NO_GAP = Alignment.from_means(np.zeros(3), np.zeros(3), n_images=1, n_captions=1)


def unit(*values: float) -> Vector:
    vector = np.array(values, np.float32)
    return np.asarray(vector / np.linalg.norm(vector), np.float32)


PICTURES: Vectors = np.stack([unit(1, 0, 1), unit(0, 1, 1), unit(-1, 0, 1), unit(0, -1, 1)])
HUB, RIGHT = unit(0, 0, 1), unit(1, 0, 0.6)


def hits(query: Vector) -> list[CaptionHit]:
    named = {"hub": HUB, "right": RIGHT}
    found = [
        CaptionHit(name, name, float(query @ vector), vector=vector)
        for name, vector in named.items()
    ]
    return sorted(found, key=lambda hit: hit.score, reverse=True)


@pytest.mark.parametrize("rule", [HubRule("nnn", 1.0, 4), HubRule("softmax", 3.0)])
def test_a_hub_gives_way_to_the_caption_of_this_picture(rule: HubRule) -> None:
    query = unit(0.55, 0, 1)
    assert [hit.id for hit in hits(query)] == ["hub", "right"]
    corrected = Hubs(PICTURES, NO_GAP, rule).corrected(hits(query), "mapped")
    assert [hit.id for hit in corrected] == ["right", "hub"]
    assert {hit.id: hit.score for hit in corrected} == {hit.id: hit.score for hit in hits(query)}


def test_inverted_softmax_ranks_as_its_definition() -> None:
    """exp(b s) over the sum of exp(b s') for all pictures of the bank (Smith et al. 2017)."""
    rng = np.random.default_rng(0)
    captions = np.stack([unit(*rng.normal(size=3)) for _ in range(20)])
    query, strength = unit(0.3, 0.2, 1), 7.0
    shares = np.exp(strength * captions @ query) / np.exp(strength * captions @ PICTURES.T).sum(1)
    penalties = HubRule("softmax", strength).penalties(captions, PICTURES)
    corrected = captions @ query - penalties
    assert list(np.argsort(-corrected)) == list(np.argsort(-shares))


def test_the_nearest_of_the_bank_decide() -> None:
    penalties = HubRule("nnn", 0.5, 2).penalties(RIGHT[None], PICTURES)
    best = np.sort(PICTURES @ RIGHT)[-2:]
    assert penalties == pytest.approx([0.5 * best.mean()])


@given(st.floats(-2, 2))
def test_all_captions_alike_are_not_reordered(angle: float) -> None:
    """Captions equally near to the bank keep the order of their cosines."""
    query = unit(np.cos(angle), np.sin(angle), 1)
    ring = [CaptionHit(str(i), str(i), float(query @ v), vector=v) for i, v in enumerate(PICTURES)]
    found = sorted(ring, key=lambda hit: hit.score, reverse=True)
    corrected = Hubs(PICTURES, NO_GAP, HubRule("softmax", 5.0)).corrected(found, "raw")
    assert [hit.score for hit in corrected] == pytest.approx([hit.score for hit in found], abs=1e-6)


@pytest.mark.parametrize(("strength", "neighbours"), [(0, 4), (-1, 4), (float("nan"), 4), (1, 0)])
def test_rules_that_mean_nothing_are_refused(strength: float, neighbours: int) -> None:
    with pytest.raises(InvalidInput, match="strength"):
        HubRule("nnn", strength, neighbours)


def test_an_empty_bank_is_refused() -> None:
    with pytest.raises(InvalidInput, match="bank"):
        Hubs(PICTURES[:0], NO_GAP)
