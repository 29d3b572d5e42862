"""The captions that agree most with all that was retrieved."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from engine.describe.reranking import consensus
from engine.errors import InvalidInput
from engine.types import Vectors
from engine.vectors import unit


def test_consensus_is_the_middle() -> None:
    vectors = unit(np.array([[1, 0.6, 0], [1, 0, 0], [1, -0.5, 0], [0, 0, 1]], np.float32))
    assert consensus(vectors, np.array([0.5, 0.5, 0.5, 0.5]), 1) == [1]
    assert consensus(vectors, np.array([0.5, 0.5, 0.5, 0.5]), 4)[-1] == 3


def test_a_strong_enough_score_beats_agreement() -> None:
    vectors = unit(np.array([[0, 1], [1, 0], [1, 0.1]], np.float32))
    assert consensus(vectors, np.array([0.3, 0.3, 0.3]), 1) != [0]
    assert consensus(vectors, np.array([0.9, 0.1, 0.1]), 1) == [0]


def test_of_two_captions_the_nearer_one_wins() -> None:
    vectors = unit(np.array([[1, 0.2], [0.2, 1]], np.float32))
    assert consensus(vectors, np.array([0.2, 0.4]), 2) == [1, 0]


def test_one_caption_alone() -> None:
    assert consensus(np.ones((1, 3), np.float32), np.array([-0.4]), 5) == [0]
    assert consensus(np.zeros((0, 3), np.float32), np.zeros(0), 5) == []


def test_ties_keep_the_order_of_retrieval() -> None:
    vectors = np.repeat(unit(np.array([[3, 1, 2]], np.float32)), 7, axis=0)
    assert consensus(vectors, np.linspace(0.9, 0.1, 7), 7) == list(range(7))


def test_far_captions_do_no_harm() -> None:
    vectors = unit(np.array([[1, 0], [1, 0.3], [-1, 0.1], [-1, 0]], np.float32))
    assert consensus(vectors, np.array([0.4, 0.3, -0.9, -0.9]), 2) == [0, 1]
    assert consensus(vectors[[2, 0, 1]], np.array([-0.1, -0.2, -0.3]), 2) == [2, 1]


@given(
    arrays(np.float32, (6, 3), elements=st.floats(-1, 1, width=16)),
    arrays(np.float64, 6, elements=st.floats(-1, 1, width=16)),
    st.floats(0.1, 9),
)
def test_consensus_by_its_formula(vectors: Vectors, scores: Any, factor: float) -> None:
    weights = [max(score, 0.0) for score in scores]
    weights = weights if any(weights) else [1.0] * 6

    def cosine(i: int, j: int) -> float:
        norms = float(np.linalg.norm(vectors[i]) * np.linalg.norm(vectors[j]))
        return float(vectors[i] @ vectors[j]) / norms if norms else 0.0

    worth = [sum(weights[j] * cosine(i, j) for j in range(6)) for i in range(6)]
    ranked = consensus(vectors, scores, 6)
    assert sorted(ranked) == list(range(6))
    found = [worth[i] for i in ranked]
    assert found == pytest.approx(sorted(worth, reverse=True), abs=1e-5)
    assert consensus(vectors * np.float32(4), scores * factor, 1)[0] in [
        i for i in range(6) if worth[i] > max(worth) - 1e-5
    ]


@pytest.mark.parametrize(
    ("vectors", "scores", "n", "message"),
    [
        (np.ones((2, 3), np.float32), np.ones(3), 1, r"\(2, 3\) and scores \(3,\)"),
        (np.ones(3, np.float32), np.ones(3), 1, "do not pair up"),
        (np.full((2, 3), np.nan, np.float32), np.ones(2), 1, "finite"),
        (np.ones((2, 3), np.float32), np.ones(2), 0, "0 captions"),
    ],
)
def test_consensus_refuses(vectors: Vectors, scores: Any, n: int, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        consensus(vectors, scores, n)
