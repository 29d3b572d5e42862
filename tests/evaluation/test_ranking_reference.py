"""The ranking metrics on real CLIP vectors, against figures measured before this code was."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from engine.alignment.alignment import Alignment, Method, PairMoments
from engine.types import Vectors
from evaluation.metrics.ranking import Values, picture_to_caption, text_to_picture

FOLDER = Path(__file__).parents[2].parent / "shared" / "reference" / "clip_vectors"
pytestmark = pytest.mark.skipif(
    not FOLDER.is_dir(), reason=f"real CLIP vectors are not there: {FOLDER}"
)

Task = Callable[..., dict[str, Values]]


@pytest.fixture(scope="module")
def vectors() -> tuple[Vectors, Vectors]:
    return np.load(FOLDER / "image_features.npy"), np.load(FOLDER / "text_features.npy")


@pytest.mark.parametrize(
    ("task", "method", "expected"),
    [
        (picture_to_caption, "raw", 0.746),
        (picture_to_caption, "centred", 0.742),
        (picture_to_caption, "ols", 0.220),
        (text_to_picture, "raw", 0.698),
        (text_to_picture, "centred", 0.710),
        (text_to_picture, "ols", 0.220),
    ],
)
def test_hits_among_100_are_what_was_measured(
    vectors: tuple[Vectors, Vectors], task: Task, method: Method, expected: float
) -> None:
    """Five folds of 100 held-out pairs; to one pair in 500, which another BLAS may rank apart."""
    images, captions = vectors
    order = np.random.default_rng(0).permutation(len(images))
    hits = []
    for held_out in np.array_split(order, 5):
        rest = np.setdiff1d(order, held_out)
        moments = PairMoments(images.shape[1])
        moments.update(images[rest], captions[rest])
        alignment = Alignment.fit(moments, method)
        mapped = alignment.map_images(images[held_out]), alignment.map_texts(captions[held_out])
        scores = task(*mapped, np.arange(len(held_out)))
        hits.append(scores["hit@1"].mean())
        np.testing.assert_array_equal(scores["hit@1"], scores["recall@1"])
    assert np.mean(hits) == pytest.approx(expected, abs=0.0021)
