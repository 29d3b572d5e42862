"""Which of the retrieved captions are used, and which of the written ones is taken."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import InvalidInput
from engine.tensorfile import Matrix
from engine.types import Vectors

Scores = NDArray[np.floating[Any]]


def worth(likeness: Scores, texts: Vectors, evidence: Vectors, weights: Scores, w: float) -> Matrix:
    """What each text is worth: (1 - w) times its likeness to the picture, w times its closeness.

    `likeness` (n,): cosines of the texts with the picture. Closeness is the mean cosine of a
    text, of `texts` (n, dim), with the `evidence` (m, dim) that was retrieved, each piece
    weighted by its own likeness to the picture, `weights` (m,), negative ones not at all: the
    expected gain of minimum Bayes risk decoding (Kumar and Byrne, 2004). Unit rows of one space.
    """
    if not 0 <= w <= 1:
        raise InvalidInput(f"the weight of the consensus is {w}; it must be 0 to 1")
    shares = np.clip(np.asarray(weights, np.float64), 0, None)
    if not shares.any():
        shares = np.ones_like(shares)
    closeness = texts @ (shares / shares.sum() @ evidence)
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
