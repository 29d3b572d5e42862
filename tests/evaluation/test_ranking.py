from __future__ import annotations

from itertools import permutations

import ir_measures
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ir_measures import RR, R, Success, nDCG

from engine.errors import InvalidInput
from engine.types import Vectors
from evaluation.metrics.ranking import (
    Judgements,
    picture_to_caption,
    rank,
    text_to_picture,
)

MEASURES = {
    "ndcg@10": nDCG @ 10,
    "recall@1": R @ 1,
    "recall@5": R @ 5,
    "recall@10": R @ 10,
    "hit@1": Success @ 1,
    "hit@5": Success @ 5,
    "hit@10": Success @ 10,
    "rr": RR,
}


def unit(rng: np.random.Generator, rows: int, dim: int = 8) -> Vectors:
    made = rng.normal(size=(rows, dim)).astype(np.float32)
    return np.asarray(made / np.linalg.norm(made, axis=1, keepdims=True), np.float32)


def reference(
    queries: Vectors, documents: Vectors, relevance: Judgements
) -> dict[str, dict[int, float]]:
    """The same by ir-measures (pytrec_eval)."""
    qrels = [
        ir_measures.Qrel(str(q), f"d{d:06d}", int(gain))
        for q, d, gain in zip(relevance.queries, relevance.documents, relevance.gains, strict=True)
    ]
    run = [
        ir_measures.ScoredDoc(str(q), f"d{d:06d}", float(score))
        for q, row in enumerate(queries @ documents.T)
        for d, score in enumerate(row)
    ]
    found: dict[str, dict[int, float]] = {name: {} for name in MEASURES}
    names = {measure: name for name, measure in MEASURES.items()}
    for value in ir_measures.iter_calc(list(MEASURES.values()), qrels, run):
        found[names[value.measure]][int(value.query_id)] = value.value
    return found


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.integers(1, 40), st.floats(0.02, 0.9))
def test_every_metric_is_that_of_ir_measures(
    seed: int, queries: int, documents: int, density: float
) -> None:
    rng = np.random.default_rng(seed)
    q, d = unit(rng, queries), unit(rng, documents)
    relevant = rng.random((queries, documents)) < density
    relevant[np.arange(queries), rng.integers(documents, size=queries)] = True
    pairs = np.argwhere(relevant)
    gains = rng.integers(1, 6, size=len(pairs)).astype(np.float64)
    shuffled = rng.permutation(len(pairs))
    relevance = Judgements.of(pairs[shuffled, 0], pairs[shuffled, 1], queries, gains[shuffled])
    scores = rank(q, d, relevance)
    for name, expected in reference(q, d, relevance).items():
        for query, value in expected.items():
            assert scores[name][query] == pytest.approx(value, abs=1e-9), name
    np.testing.assert_allclose(scores["rank"], 1 / scores["rr"])


def test_pictures_and_captions_are_each_others_documents() -> None:
    rng = np.random.default_rng(0)
    images, captions = unit(rng, 30), unit(rng, 75)
    owners = np.sort(rng.integers(30, size=75))
    owners[:30] = np.arange(30)
    owners.sort()
    rows = np.arange(75)
    there = picture_to_caption(images, captions, owners)
    back = text_to_picture(images, captions, owners)
    expected = reference(images, captions, Judgements.of(owners, rows, 30))
    assert np.mean(there["ndcg@10"]) == pytest.approx(np.mean(list(expected["ndcg@10"].values())))
    expected = reference(captions, images, Judgements.of(rows, owners, 75))
    assert np.mean(back["rr"]) == pytest.approx(np.mean(list(expected["rr"].values())))
    np.testing.assert_array_equal(back["recall@5"], back["hit@5"])


def by_all_orders(gains: list[float], scores: list[float], cutoff: int) -> dict[str, float]:
    """The metrics of one query, averaged over all orders that agree with the scores."""
    totals = {"ndcg": 0.0, "recall": 0.0, "hit": 0.0, "rank": 0.0}
    count = 0
    ideal = sorted(gains, reverse=True)
    discount = [1 / np.log2(place + 2) for place in range(len(gains))]
    best = sum(g * w for g, w in zip(ideal[:cutoff], discount, strict=False))
    for order in permutations(range(len(scores))):
        ranked = [scores[row] for row in order]
        if ranked != sorted(ranked, reverse=True):
            continue
        count += 1
        taken = [gains[row] for row in order]
        relevant = [gain > 0 for gain in taken]
        totals["ndcg"] += sum(g * w for g, w in zip(taken[:cutoff], discount, strict=False)) / best
        totals["recall"] += sum(relevant[:cutoff]) / sum(relevant)
        totals["hit"] += any(relevant[:cutoff])
        totals["rank"] += relevant.index(True) + 1
    return {name: total / count for name, total in totals.items()}


@pytest.mark.parametrize(
    ("gains", "levels"),
    [
        ([1, 0, 0], [1, 1, 1]),
        ([3, 1, 0, 0], [1, 1, 1, 0]),
        ([0, 2, 1, 0, 0], [2, 1, 1, 1, 0]),
        ([0, 1, 0, 1, 1], [2, 2, 1, 1, 1]),
        ([1, 1, 1], [1, 1, 1]),
    ],
)
@pytest.mark.parametrize("cutoff", [1, 2, 3])
def test_level_documents_give_the_expectation_over_their_orders(
    gains: list[float], levels: list[int], cutoff: int
) -> None:
    angles = np.array([0.9, 0.5, 0.1])[2 - np.array(levels)]
    documents = np.stack([angles, np.sqrt(1 - angles**2)], axis=1).astype(np.float32)
    query = np.array([[1, 0]], np.float32)
    held = np.flatnonzero(gains)
    weights = np.array(gains, np.float64)[held]
    relevance = Judgements.of(np.zeros_like(held), held, 1, weights)
    scores = rank(query, documents, relevance, (cutoff,))
    expected = by_all_orders(gains, angles.tolist(), cutoff)
    assert scores[f"ndcg@{cutoff}"][0] == pytest.approx(expected["ndcg"])
    assert scores[f"recall@{cutoff}"][0] == pytest.approx(expected["recall"])
    assert scores[f"hit@{cutoff}"][0] == pytest.approx(expected["hit"])
    assert scores["rank"][0] == pytest.approx(expected["rank"])


def test_a_map_that_sends_all_to_one_point_earns_nothing() -> None:
    queries = documents = np.tile(np.array([[0.6, 0.8]], np.float32), (101, 1))
    scores = picture_to_caption(queries, documents, np.arange(101))
    assert np.mean(scores["recall@1"]) == pytest.approx(1 / 101)
    assert np.median(scores["rank"]) == pytest.approx(51)


def test_a_query_without_relevant_documents_counts_as_nothing_found() -> None:
    rng = np.random.default_rng(1)
    relevance = Judgements.of(np.array([0, 2]), np.array([1, 0]), 3)
    scores = rank(unit(rng, 3), unit(rng, 4), relevance)
    found = {name: float(values[1]) for name, values in scores.items() if name != "rank"}
    assert found == dict.fromkeys(MEASURES, 0.0)
    assert scores["rank"][1] == 5


def test_queries_of_several_blocks_are_ranked_like_each_alone() -> None:
    rng = np.random.default_rng(2)
    queries, documents = unit(rng, 20, 2), unit(rng, 600_000, 2)
    relevant = rng.integers(len(documents), size=20)
    together = rank(queries, documents, Judgements.of(np.arange(20), relevant, 20))
    for query in (0, 12, 13, 19):
        one = Judgements.of(np.array([0]), relevant[query : query + 1], 1)
        alone = rank(queries[query : query + 1], documents, one)
        assert together["rank"][query] == pytest.approx(alone["rank"][0], rel=1e-3)


def test_relevance_must_be_of_the_queries() -> None:
    rng = np.random.default_rng(3)
    with pytest.raises(InvalidInput, match="3 queries, but relevance of 2"):
        rank(unit(rng, 3), unit(rng, 4), Judgements.of(np.array([0]), np.array([0]), 2))
