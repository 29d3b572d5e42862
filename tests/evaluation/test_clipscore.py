from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from engine.errors import InvalidInput
from evaluation.metrics.clipscore import clip_scores, ref_clip_scores

IMAGES = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1]], np.float32)


def angle(cosine: float) -> list[float]:
    """A unit row in the first plane at that cosine with the first axis."""
    return [cosine, float(np.sqrt(1 - cosine**2)), 0]


def test_it_is_the_formula_of_the_paper() -> None:
    captions = np.array([angle(0.3), angle(0.8), angle(1)], np.float32)
    scores = clip_scores(IMAGES, captions)
    assert scores == pytest.approx([2.5 * 0.3, 2.5 * 0.6, 0])
    assert clip_scores(IMAGES, -captions) == pytest.approx([0, 0, 0])


def test_length_does_not_count_and_a_row_of_zeros_scores_nothing() -> None:
    captions = np.array([[5, 0, 0], [0, 0.1, 0], [0, 0, 0]], np.float32)
    assert clip_scores(IMAGES * 3, captions) == pytest.approx([2.5, 2.5, 0])


def test_the_best_reference_of_the_own_picture_counts() -> None:
    captions = np.array([angle(0.4), [0, 1, 0], [0, 0, 1]], np.float32)
    references = np.array([[0, 0, 1], captions[0], [0, 0, 1], angle(0.8), [0, 1, 0]], np.float32)
    owners = np.array([0, 2, 2, 0, 1])
    best = 0.4 * 0.8 + np.sqrt(1 - 0.4**2) * 0.6
    assert ref_clip_scores(IMAGES, captions, references, owners) == pytest.approx(
        [2 * 1.0 * best / (1.0 + best), 2 * 2.5 / 3.5, 2 * 2.5 / 3.5]
    )


def test_a_caption_at_right_angles_to_picture_or_references_scores_nothing() -> None:
    captions = np.array([[0, 1, 0], [0, 1, 0], [0, 0, -1]], np.float32)
    references = np.array([[0, 1, 0], [0, 0, 1], [0, 0, 1]], np.float32)
    scores = ref_clip_scores(IMAGES, captions, references, np.arange(3))
    assert scores.tolist() == [0, 0, 0]


def vectors(seed: int, count: int) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=(count, 5)).astype(np.float32)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000))
def test_the_harmonic_mean_lies_between_its_parts_and_follows_its_picture(seed: int) -> None:
    images, captions, references = (vectors(seed + part, 6) for part in range(3))
    owners = np.arange(6)
    scores = ref_clip_scores(images, captions, references, owners)
    seen = clip_scores(images, captions)
    said = clip_scores(captions, references) / 2.5
    assert (scores <= np.maximum(seen, said) + 1e-9).all()
    assert (scores >= np.minimum(seen, said) - 1e-9).all()
    order = np.random.default_rng(seed).permutation(6)
    turned = ref_clip_scores(images[order], captions[order], references, np.argsort(order))
    assert turned == pytest.approx(scores[order])


def test_rows_that_do_not_pair_are_refused() -> None:
    with pytest.raises(InvalidInput, match="do not pair"):
        clip_scores(IMAGES, IMAGES[:2])
    with pytest.raises(InvalidInput, match="picture 1 has no reference"):
        ref_clip_scores(IMAGES, IMAGES, IMAGES[:2], np.array([0, 2]))
    with pytest.raises(InvalidInput, match="not all rows of 3"):
        ref_clip_scores(IMAGES, IMAGES, IMAGES, np.array([0, 1, 3]))
    with pytest.raises(InvalidInput, match="3 references have 2 owners"):
        ref_clip_scores(IMAGES, IMAGES, IMAGES, np.array([0, 1]))
