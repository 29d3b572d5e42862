"""CLIPScore and RefCLIPScore (Hessel et al., 2021), of vectors of any encoder, raw or mapped."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engine.errors import InvalidInput
from engine.types import Vectors
from evaluation.metrics.intervals import Values

WEIGHT = 2.5
"""The paper's w; it only stretches the scale, so that raw scores spread over 0 to 1."""


def clip_scores(images: Vectors, captions: Vectors) -> Values:
    """CLIPScore (n,): w * max(cos(picture, caption), 0) of (n, d) rows that pair by place.

    In the paper both come from CLIP as it is; of mapped vectors it is the same formula, and
    the two scales do not compare.
    """
    if images.shape != captions.shape:
        raise InvalidInput(
            f"pictures {images.shape} and captions {captions.shape} do not pair row by row"
        )
    return WEIGHT * np.maximum(_cosines(images, captions), 0)


def ref_clip_scores(
    images: Vectors, captions: Vectors, references: Vectors, owners: NDArray[np.int64]
) -> Values:
    """RefCLIPScore (n,): harmonic mean of CLIPScore and the best cosine with a reference.

    `references` (m, d) are of the pictures whose rows are in `owners` (m,); every picture needs
    one. A caption at a right angle to its picture or to all its references scores 0.
    """
    if owners.shape != (len(references),):
        raise InvalidInput(f"{len(references)} references have {len(owners)} owners")
    if len(owners) and not 0 <= owners.min() <= owners.max() < len(captions):
        raise InvalidInput(f"owners of references are not all rows of {len(captions)} pictures")
    without = np.setdiff1d(np.arange(len(captions)), owners)
    if len(without):
        raise InvalidInput(f"picture {without[0]} has no reference to score its caption against")
    seen = clip_scores(images, captions)
    said = np.zeros(len(captions))
    np.maximum.at(said, owners, _cosines(captions[owners], references))
    total = seen + said
    return np.divide(2 * seen * said, total, out=np.zeros_like(total), where=total > 0)


def _cosines(a: Vectors, b: Vectors) -> Values:
    """The cosine of each row with its partner, in float64; 0 for a row of zeros."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    dots = np.einsum("nd,nd->n", a, b)
    return np.asarray(np.divide(dots, lengths, out=np.zeros_like(dots), where=lengths > 0))
