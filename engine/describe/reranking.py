"""Which of the retrieved captions are used, and which of the written ones is taken."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import InvalidInput
from engine.tensorfile import Matrix
from engine.types import Vectors
from engine.vectors import unit

Scores = NDArray[np.floating[Any]]


def expected_gain(
    texts: NDArray[np.floating], evidence: NDArray[np.floating], weights: Scores
) -> Matrix:
    """The mean cosine of each text (n, dim) with the evidence (m, dim) that was retrieved, (n,).

    Each piece counts by its own likeness to the picture, `weights` (m,), negative ones not at
    all, and all alike where none is positive: minimum Bayes risk decoding (Kumar and Byrne,
    2004) with the cosine as gain. Unit rows of one space.
    """
    shares = np.clip(np.asarray(weights, np.float64), 0, None)
    if not shares.any():
        shares = np.ones_like(shares)
    return np.asarray(texts @ (shares / shares.sum() @ evidence), np.float64)


def consensus(vectors: Vectors, scores: Scores, n: int) -> list[int]:
    """The indices of the n captions closest to all that were retrieved, best first.

    Caption i is worth sum_j w_j cos(t_i, t_j) with w_j = max(score_j, 0): what agrees most with
    the evidence, each piece counted by how near the picture it lies (all alike if no score is
    positive). The sum includes j = i, without which the farther of two captions would always
    win. Equal worth keeps the order given. `vectors` (m, dim) need not be unit rows; `scores` (m,).
    Raises InvalidInput for lengths that differ, values that are not finite, and n < 1.
    """
    if n < 1:
        raise InvalidInput(f"{n} captions were asked for; it must be 1 or more")
    if vectors.ndim != 2 or scores.shape != (len(vectors),):
        raise InvalidInput(f"vectors {vectors.shape} and scores {scores.shape} do not pair up")
    if not (np.isfinite(vectors).all() and np.isfinite(scores).all()):
        raise InvalidInput("vectors and scores must be finite; some are not")
    gain = expected_gain(rows := unit(vectors.astype(np.float64)), rows, scores)
    # Rounded, so that equal captions tie in spite of the last bits of their sums.
    ranked = np.argsort(-gain.round(12), kind="stable")[:n]
    return [int(i) for i in ranked]


def worth(likeness: Scores, texts: Vectors, evidence: Vectors, weights: Scores, w: float) -> Matrix:
    """What each text is worth: (1 - w) times its likeness to the picture, w times its closeness.

    `likeness` (n,): cosines of the texts with the picture. Closeness is the mean cosine of a
    text with the `evidence`, see `expected_gain`. Unit rows of one space.
    """
    if not 0 <= w <= 1:
        raise InvalidInput(f"the weight of the consensus is {w}; it must be 0 to 1")
    closeness = expected_gain(texts, evidence, weights)
    return np.asarray((1 - w) * likeness + w * closeness, np.float64)


def diverse(scores: Scores, rows: Vectors, k: int, diversity: float) -> list[int]:
    """Choose k items that score well and differ; their indices, the best score first.

    Maximal marginal relevance (Carbonell and Goldstein, 1998): item after item the greatest
    (1 - diversity) * score - diversity * (its greatest cosine with those chosen). `rows`
    (n, dim) are unit rows; `diversity` 0 takes the k best.
    """
    if not 0 <= diversity <= 1:
        raise InvalidInput(f"diversity is {diversity}; it must be 0 to 1")
    left = list(np.argsort(-scores, kind="stable"))
    chosen = left[:1]
    left = left[1:]
    nearest = rows @ rows[chosen[0]] if chosen else np.empty(0)
    while left and len(chosen) < k:
        gains = (1 - diversity) * scores[left] - diversity * nearest[left]
        best = left.pop(int(np.argmax(gains)))
        chosen.append(best)
        nearest = np.maximum(nearest, rows @ rows[best])
    return [int(i) for i in sorted(chosen, key=lambda i: (-scores[i], i))]
