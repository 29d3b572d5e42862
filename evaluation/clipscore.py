"""CLIPScore and RefCLIPScore (Hessel et al., EMNLP 2021) from vectors, raw or mapped alike."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engine.types import Vectors
from evaluation.intervals import Values

WEIGHT = 2.5
"""What cosines are stretched by (section 3): those of CLIP lie between 0 and .4."""


def clip_scores(images: Vectors, captions: Vectors) -> Values:
    """2.5 max(cosine, 0) of row i of `images` with row i of `captions`, unit rows: (n,)."""
    return WEIGHT * np.maximum(_cosines(images, captions), 0.0)


def ref_clip_scores(
    images: Vectors, captions: Vectors, references: Vectors, owners: NDArray[np.int64]
) -> Values:
    """The harmonic mean of CLIPScore and the best max(cosine, 0) with a reference: (n,).

    `references` (m, d) are unit rows, `owners` (m,) names the row that each belongs to.
    """
    nearest = np.zeros(len(captions))
    np.maximum.at(nearest, owners, _cosines(captions[owners], references))
    scores = clip_scores(images, captions)
    total = scores + nearest
    product = 2 * scores * nearest
    return np.divide(product, total, out=np.zeros(len(scores)), where=total > 0)


def _cosines(a: Vectors, b: Vectors) -> Values:
    return np.asarray(np.einsum("ij,ij->i", a, b, dtype=np.float64))
