from __future__ import annotations

import numpy as np
import pytest

from evaluation.clipscore import clip_scores, ref_clip_scores


def rows(*values: tuple[float, float]) -> np.ndarray:
    made = np.array(values, np.float32)
    return np.asarray(made / np.linalg.norm(made, axis=1, keepdims=True))


def test_clip_score_is_the_stretched_cosine_and_never_below_nothing() -> None:
    images = rows((1, 0), (1, 0), (1, 0))
    captions = rows((1, 0), (3, 4), (-1, 1))
    assert clip_scores(images, captions) == pytest.approx([2.5, 1.5, 0.0])


def test_ref_clip_score_is_the_harmonic_mean_with_the_nearest_reference() -> None:
    images = rows((1, 0), (1, 0), (1, 0))
    captions = rows((3, 4), (3, 4), (-1, 0))
    references = rows((1, 0), (0, 1), (3, 4), (-1, 0))
    owners = np.array([0, 0, 1, 2])
    # Nearest references: .8, 1; the third caption is unlike its picture.
    expected = [2 * 1.5 * 0.8 / 2.3, 2 * 1.5 / 2.5, 0.0]
    assert ref_clip_scores(images, captions, references, owners) == pytest.approx(expected)


def test_a_caption_that_is_unlike_everything_scores_nothing() -> None:
    opposite = rows((-1, 0))
    assert ref_clip_scores(rows((1, 0)), opposite, rows((1, 0)), np.array([0])) == [0.0]
