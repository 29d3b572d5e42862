from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.alignment.alignment import Alignment, PairMoments
from engine.alignment.towards import FEWEST, move, moved
from engine.types import Vectors
from engine.vectors import unit

DIM = 12


def rows(seed: int, n: int) -> Vectors:
    return unit(np.random.default_rng(seed).normal(size=(n, DIM)).astype(np.float32))


def prior(seed: int = 0) -> Alignment:
    images, captions = rows(seed, 50) + 0.3, rows(seed + 1, 50) - 0.3
    return Alignment.from_means(
        unit(images).mean(0), unit(captions).mean(0), n_images=50, n_captions=50
    )


def turned(images: Vectors, noise: float = 0.05) -> Vectors:
    """Captions that a rotation of the pictures gives, shifted."""
    rotation, _ = np.linalg.qr(np.random.default_rng(5).normal(size=(DIM, DIM)) + 3 * np.eye(DIM))
    told = images @ rotation * np.sign(np.trace(rotation)) + 0.2
    return unit((told + noise * rows(9, len(images))).astype(np.float32))


def pairs(images: Vectors, captions: Vectors) -> PairMoments:
    moments = PairMoments(DIM)
    moments.update(images, captions)
    return moments


def test_captions_stay_where_they_are_and_new_pictures_come_nearer_to_theirs() -> None:
    known, images = prior(), rows(2, 60)
    captions = turned(images)
    made = moved(known, images[:40], captions[:40], rows(3, 30))
    assert made.method == "shrink"
    assert "moved towards 40 pairs" in made.reason
    assert np.array_equal(made.map_texts(captions), known.map_texts(captions))

    def right(alignment: Alignment) -> float:
        cosines = alignment.map_images(images[40:]) @ alignment.map_texts(captions[40:]).T
        return float((cosines.argmax(1) == np.arange(20)).mean())

    assert right(made) > right(known) + 0.3


def test_pairs_that_say_nothing_leave_the_map_as_it_was() -> None:
    known = prior()
    few = moved(known, rows(2, FEWEST - 1), rows(3, FEWEST - 1), rows(4, 10))
    assert few is known
    images = np.repeat(rows(2, 1), 8, axis=0)
    assert moved(known, images, rows(3, 8), rows(4, 10)).maps_like(known)


@given(st.integers(5, 40), st.floats(0.1, 1000))
@settings(max_examples=25, deadline=None)
def test_what_captions_have_in_common_is_added_to_every_picture(n: int, strength: float) -> None:
    known, images = prior(), rows(n, n)
    captions = turned(images)
    made = move(known, pairs(images, captions), strength)
    if made is None or made.matrix is None or np.linalg.cond(made.matrix) > 1e4:
        return
    share = n / (n + 10)
    assert known.mean_image is not None
    mean = (1 - share) * known.mean_image + share * images.mean(0)
    shift = share * (captions.mean(0) - known.mean_text)
    wanted = (images - mean) @ made.matrix + shift
    assert made.map_images(images) == pytest.approx(unit(wanted), abs=1e-3)


def test_a_strong_pull_is_the_map_at_hand_centred_for_these_pictures() -> None:
    base = prior()
    matrix = np.random.default_rng(1).normal(size=(DIM, DIM)) + 4 * np.eye(DIM)
    images = rows(2, 500)
    told = unit(((images @ matrix) + 0.1 * rows(3, 500)).astype(np.float32))
    known = Alignment.fit(pairs(images, told), "ols")
    made = move(known, pairs(images, told), 1e9)
    assert made is not None
    assert made.matrix is not None
    assert known.matrix is not None
    direction = made.matrix / np.linalg.norm(made.matrix)
    assert direction == pytest.approx(known.matrix / np.linalg.norm(known.matrix), abs=1e-4)
    assert base.matrix is None


def test_a_raw_map_can_be_moved_and_still_leaves_captions_alone() -> None:
    zeros = np.zeros(DIM)
    raw = Alignment("raw", DIM, zeros, zeros, reason="raw")
    images = rows(2, 40)
    made = moved(raw, images, turned(images), rows(3, 20))
    assert made.maps_texts_like(raw)
    captions = rows(6, 5)
    assert made.map_texts(captions) == pytest.approx(captions, abs=1e-6)
