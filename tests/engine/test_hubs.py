"""What is near to everything is known for it, and its own does not count."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.alignment.alignment import Alignment
from engine.alignment.hubs import Bank, Hubs, nearness
from engine.errors import AlignmentError
from engine.types import Vectors

DIM = 6


def rows(n: int, seed: int = 0) -> Vectors:
    drawn = np.random.default_rng(seed).standard_normal((n, DIM)).astype(np.float32)
    return np.asarray(drawn / np.linalg.norm(drawn, axis=1, keepdims=True), np.float32)


def bank(pictures: int, captions: int, first: int = 1) -> Bank:
    seen, said = (
        np.arange(first, first + count, dtype=np.uint64) for count in (pictures, captions)
    )
    halves = rows(pictures, 1).astype(np.float16), rows(captions, 2).astype(np.float16)
    return Bank(halves[0], seen, halves[1], said)


def centred(bank: Bank | None = None) -> Alignment:
    means = rows(2, 3) * np.float32(0.3)
    made = Alignment.from_means(means[0], means[1], n_images=9, n_captions=9)
    return replace(made, bank=bank, hub_strength=0.5)


@settings(deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 20), st.integers(0, 99))
def test_nearness_is_the_mean_of_the_nearest_others(n: int, b: int, k: int, seed: int) -> None:
    points, others = rows(n, seed), rows(b, seed + 1)
    owners = np.random.default_rng(seed).integers(0, 5, n).astype(np.uint64)
    of_bank = np.random.default_rng(seed + 1).integers(1, 5, b).astype(np.uint64)
    found = nearness(points, others, owners, of_bank, k)
    assert found is not None
    for at in range(n):
        left = others[(of_bank != owners[at]) | (owners[at] == 0)] @ points[at]
        # Where a whole bank is its own, nothing is known against it.
        expected = np.sort(left)[-min(k, b) :].mean() if len(left) else 0.0
        assert found[at] == pytest.approx(expected, abs=1e-5)


def test_captions_are_held_against_pictures_and_pictures_against_captions() -> None:
    made = centred(bank(30, 20))
    hubs = made.hubs
    assert hubs is not None
    assert made.bank is not None
    points = rows(4, 8)
    expected = {
        "captions": np.sort(points @ made.map_images(made.bank.pictures).T)[:, -16:].mean(axis=1),
        "pictures": np.sort(points @ made.map_texts(made.bank.captions).T)[:, -16:].mean(axis=1),
    }
    assert hubs.of_captions(points) == pytest.approx(expected["captions"], abs=1e-3)
    assert hubs.of_pictures(points) == pytest.approx(expected["pictures"], abs=1e-3)


def test_nothing_is_said_without_a_bank_or_a_map_of_pictures() -> None:
    assert centred().hubs is None
    hubs = Hubs(bank(0, 20), centred())
    assert hubs.of_captions(rows(3)) is None
    assert hubs.of_pictures(rows(3)) is not None
    texts = Alignment.from_means(None, np.zeros(DIM), n_images=0, n_captions=3)
    assert replace(texts, bank=bank(3, 3)).hubs is None


def test_a_map_keeps_its_bank_and_how_much_is_taken_off(tmp_path: Path) -> None:
    made, path = centred(bank(30, 20)), tmp_path / "map.safetensors"
    made.save(path)
    read = Alignment.load(path)
    assert read.hub_strength == 0.5
    assert read.maps_like(made)
    assert made.maps_like(read)
    assert read.hubs is not None
    assert made.hubs is not None
    near = made.hubs.of_pictures(rows(5))
    np.testing.assert_array_equal(read.hubs.of_pictures(rows(5)), near)


def test_an_index_is_written_anew_for_another_bank_or_strength_but_not_for_a_few_others() -> None:
    made = centred(bank(100, 100))
    assert made.maps_like(replace(made, bank=bank(100, 100, first=4)))
    assert not made.maps_like(replace(made, bank=bank(100, 100, first=9)))
    assert not made.maps_like(replace(made, hub_strength=0.25))
    assert not made.maps_like(replace(made, bank=None))
    assert not replace(made, bank=None).maps_like(made)


def test_a_bank_of_another_dimension_is_refused(tmp_path: Path) -> None:
    given, path = bank(5, 5), tmp_path / "map.safetensors"
    centred(replace(given, pictures=given.pictures[:, :3])).save(path)
    with pytest.raises(AlignmentError, match="bank"):
        Alignment.load(path)
