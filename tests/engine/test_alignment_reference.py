"""The maps on real CLIP vectors, against figures that were measured before this code was."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.alignment.alignment import Alignment, Fold, Method, PairMoments

FOLDER = Path(__file__).parents[2].parent / "shared" / "reference" / "clip_vectors"
pytestmark = pytest.mark.skipif(
    not FOLDER.is_dir(), reason=f"real CLIP vectors are not there: {FOLDER}"
)

Vectors = NDArray[np.float32]
Pairs = tuple[Vectors, Vectors]


@pytest.fixture(scope="module")
def pairs() -> Pairs:
    return np.load(FOLDER / "image_features.npy"), np.load(FOLDER / "text_features.npy")


@pytest.fixture(scope="module")
def folds(pairs: Pairs) -> list[Fold]:
    """Five folds of 100 pairs, in the order that the figures were measured with."""
    images, captions = pairs
    order = np.random.default_rng(0).permutation(len(images))
    result = []
    for part in np.array_split(order, 5):
        moments = PairMoments(images.shape[1])
        moments.update(images[part], captions[part])
        result.append(Fold(moments, images[part], captions[part]))
    return result


def recall_at_1(folds: list[Fold], method: Method, strength: float | None) -> list[float]:
    """Picture to caption and caption to picture, fitted on the other folds."""
    total = sum((fold.moments for fold in folds), PairMoments(512))
    found = np.zeros(2)
    for fold in folds:
        alignment = Alignment.fit(total - fold.moments, method, strength=strength)
        cosines = alignment.map_images(fold.images) @ alignment.map_texts(fold.captions).T
        partner = np.arange(len(cosines))
        found += (cosines.argmax(1) == partner).mean(), (cosines.argmax(0) == partner).mean()
    return [float(value / len(folds)) for value in found]


def test_the_vectors_are_the_ones_that_were_measured(pairs: Pairs) -> None:
    images, captions = pairs
    assert images.shape == captions.shape == (500, 512)
    assert (images * captions).sum(axis=1).mean() == pytest.approx(0.310, abs=5e-4)


@pytest.mark.parametrize(
    ("method", "strength", "to_caption", "to_picture"),
    [
        ("raw", None, 0.746, 0.698),
        ("centred", None, 0.742, 0.710),
        ("ols", None, 0.220, 0.220),
        ("ridge", 1.0, 0.408, 0.538),
        ("shrink", 100.0, 0.658, 0.678),
        ("shrink", 10.0, 0.500, 0.686),
    ],
)
def test_recall_at_1_is_what_was_measured(
    folds: list[Fold], method: Method, strength: float | None, to_caption: float, to_picture: float
) -> None:
    """To one pair in 500, which another BLAS may rank otherwise."""
    assert recall_at_1(folds, method, strength) == pytest.approx(
        [to_caption, to_picture], abs=0.0021
    )


def test_procrustes_is_what_was_measured(folds: list[Fold]) -> None:
    """To three pairs in 500: with 400 pairs for 512 dimensions the measured map was not unique."""
    assert recall_at_1(folds, "procrustes", None) == pytest.approx([0.480, 0.480], abs=0.0061)


def test_auto_learns_nothing_from_few_pairs_that_overfit(folds: list[Fold]) -> None:
    total = sum((fold.moments for fold in folds), PairMoments(512))
    alignment = Alignment.fit(total, folds=folds)
    assert alignment.method in {"raw", "centred"}
    scores = {
        choice.method: choice.score for choice in alignment.choices if choice.strength is None
    }
    assert scores["ols"] < scores["procrustes"] < scores["centred"]
