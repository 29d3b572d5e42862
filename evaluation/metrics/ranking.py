"""Ranking metrics, per query first: nDCG, recall, hits, reciprocal rank, rank of the first.

Documents are ranked by their product with the query. Documents whose scores differ by less than
rounding are level: what is given is then the expected value over all orders of these (McSherry
and Najork, ECIR 2008), so neither copies of a caption nor a map that sends all to one point
earn anything by the order in which they are stored.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from engine.errors import InvalidInput
from engine.types import Vectors

Values = NDArray[np.float64]
Rows = NDArray[np.int64]

CUTOFFS = (1, 5, 10)

_TIE = 2e-7
"""Products of float32 unit rows that differ by less are the same."""
_BLOCK = 2**23
"""Scores held at once: 32 MiB."""


@dataclass(frozen=True, eq=False)
class Judgements:
    """Which documents are relevant to which query: query `queries[i]` gains `gains[i]` by
    `documents[i]`; queries ascend. `n` is the number of queries, also of those without any."""

    n: int
    queries: Rows = field(repr=False)
    documents: Rows = field(repr=False)
    gains: Values = field(repr=False)

    @classmethod
    def of(cls, queries: Rows, documents: Rows, n: int, gains: Values | None = None) -> Judgements:
        """The judgements of pairs in any order; without `gains` each counts 1."""
        order = np.argsort(queries, kind="stable")
        every = np.ones(len(queries)) if gains is None else np.asarray(gains, np.float64)
        return cls(n, queries[order], documents[order], every[order])


@dataclass(frozen=True, eq=False)
class _Places:
    """For each relevant document its score, how many are ahead, and how many level with it."""

    score: Values
    ahead: Rows
    level: Rows


def rank(
    queries: Vectors,
    documents: Vectors,
    relevance: Judgements,
    cutoffs: Sequence[int] = CUTOFFS,
) -> dict[str, Values]:
    """Rank all documents (m, d) for each query (n, d): metric -> (n,) float64.

    `ndcg@K` at the last cutoff: linear gains over log2(1 + rank) (Järvelin and Kekäläinen
    2002). `recall@k`: the share of the relevant documents among the first k. `hit@k`: whether
    any is, which papers on retrieval of pictures call R@k. `rr`: 1 / `rank`, the rank of the
    first relevant document. A query without relevant documents scores 0, at rank m + 1.
    """
    if len(queries) != relevance.n:
        raise InvalidInput(f"{len(queries)} queries, but relevance of {relevance.n}")
    places = _find(queries, documents, relevance)
    first = _first_rank(places, relevance, len(documents))
    scores = {f"ndcg@{cutoffs[-1]}": _ndcg(places, relevance, cutoffs[-1])}
    scores |= {f"recall@{k}": _recall(places, relevance, k) for k in cutoffs}
    scores |= {f"hit@{k}": _hit(places, relevance, k) for k in cutoffs}
    found = np.bincount(relevance.queries, minlength=relevance.n) > 0
    return scores | {"rr": np.where(found, 1 / first, 0.0), "rank": first}


def picture_to_caption(
    images: Vectors, captions: Vectors, owners: Rows, cutoffs: Sequence[int] = CUTOFFS
) -> dict[str, Values]:
    """For each picture rank all captions; its own are relevant."""
    rows = np.arange(len(captions), dtype=np.int64)
    return rank(images, captions, Judgements.of(owners, rows, len(images)), cutoffs)


def text_to_picture(
    images: Vectors, captions: Vectors, owners: Rows, cutoffs: Sequence[int] = CUTOFFS
) -> dict[str, Values]:
    """For each caption rank all pictures; the one that it was written for is relevant."""
    rows = np.arange(len(captions), dtype=np.int64)
    return rank(captions, images, Judgements.of(rows, owners, len(captions)), cutoffs)


def _find(queries: Vectors, documents: Vectors, relevance: Judgements) -> _Places:
    count = len(relevance.queries)
    score, ahead, level = np.zeros(count), np.zeros(count, np.int64), np.zeros(count, np.int64)
    step = max(1, _BLOCK // max(1, len(documents)))
    buffer = np.empty((min(step, len(queries)), len(documents)), np.float32)
    for start in range(0, len(queries), step):
        block = queries[start : start + step]
        scores = np.matmul(block, documents.T, out=buffer[: len(block)])
        low, high = np.searchsorted(relevance.queries, [start, start + len(block)])
        for place in range(low, high):
            row = scores[relevance.queries[place] - start]
            own = row[relevance.documents[place]]
            score[place] = own
            ahead[place] = np.count_nonzero(row > own + np.float32(_TIE))
            level[place] = np.count_nonzero(row >= own - np.float32(_TIE)) - ahead[place]
    return _Places(score, ahead, level)


def _ndcg(places: _Places, relevance: Judgements, k: int) -> Values:
    discounts = 1 / np.log2(np.arange(2, k + 2))
    summed = np.concatenate([[0.0], np.cumsum(discounts)])
    # The mean discount of the ranks that the level documents share.
    upper = summed[np.minimum(places.ahead + places.level, k)]
    mean = (upper - summed[np.minimum(places.ahead, k)]) / np.maximum(places.level, 1)
    gained = np.bincount(relevance.queries, relevance.gains * mean, relevance.n)
    order = np.lexsort((-relevance.gains, relevance.queries))
    starts = np.searchsorted(relevance.queries, relevance.queries)
    rank_at_best = np.arange(len(order)) - starts
    at_best = np.where(rank_at_best < k, discounts[np.minimum(rank_at_best, k - 1)], 0.0)
    ideal = np.bincount(relevance.queries, relevance.gains[order] * at_best, relevance.n)
    return np.divide(gained, ideal, out=np.zeros(relevance.n), where=ideal > 0)


def _recall(places: _Places, relevance: Judgements, k: int) -> Values:
    share = np.clip(k - places.ahead, 0, places.level) / np.maximum(places.level, 1)
    found = np.bincount(relevance.queries, share, relevance.n)
    wanted = np.bincount(relevance.queries, minlength=relevance.n)
    return np.asarray(found / np.maximum(wanted, 1))


def _hit(places: _Places, relevance: Judgements, k: int) -> Values:
    """The chance that, of the level documents around the first relevant one, one is in time."""
    ahead, level, relevant = _first_group(places, relevance)
    missed = np.ones(relevance.n)
    for drawn in range(k):
        in_time = (drawn < k - ahead) & (drawn < level)
        others = np.maximum(level - relevant - drawn, 0) / np.maximum(level - drawn, 1)
        missed *= np.where(in_time, others, 1.0)
    return np.where(relevant > 0, 1 - missed, 0.0)


def _first_rank(places: _Places, relevance: Judgements, documents: int) -> Values:
    """The expected rank of the first relevant document."""
    ahead, level, relevant = _first_group(places, relevance)
    expected = ahead + (level + 1) / (relevant + 1)
    return np.where(relevant > 0, expected, documents + 1.0)


def _first_group(places: _Places, relevance: Judgements) -> tuple[Rows, Rows, Rows]:
    """For each query: ahead of and level with its best relevant document, and how many of the
    level ones are relevant."""
    best = np.full(relevance.n, -np.inf)
    np.maximum.at(best, relevance.queries, places.score)
    at_best = places.score == best[relevance.queries]
    ahead, level = np.zeros(relevance.n, np.int64), np.zeros(relevance.n, np.int64)
    ahead[relevance.queries[at_best]] = places.ahead[at_best]
    level[relevance.queries[at_best]] = places.level[at_best]
    near = places.score >= (best - _TIE)[relevance.queries]
    relevant = np.bincount(relevance.queries[near], minlength=relevance.n)
    return ahead, level, relevant
