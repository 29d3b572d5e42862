"""Choosing by agreement with the evidence, and choosing what differs."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.describe.reranking import diverse, worth
from engine.errors import InvalidInput
from engine.types import Vectors


def rows(n: int, seed: int, dim: int = 6) -> Vectors:
    drawn = np.random.default_rng(seed).normal(size=(n, dim))
    return np.asarray(drawn / np.linalg.norm(drawn, axis=1, keepdims=True), np.float32)


def test_the_two_ends_are_likeness_and_closeness_alone() -> None:
    texts, evidence = rows(4, 0), rows(3, 1)
    likeness, weights = np.array([0.1, 0.9, 0.3, 0.2]), np.array([2.0, 1.0, 1.0])
    assert worth(likeness, texts, evidence, weights, 0.0) == pytest.approx(likeness)
    expected = [(text @ evidence.T) @ weights / 4 for text in texts]
    assert worth(likeness, texts, evidence, weights, 1.0) == pytest.approx(expected)


def test_evidence_unlike_the_picture_does_not_count_unless_all_is() -> None:
    texts, evidence = rows(2, 0), rows(2, 1)
    alone = worth(np.zeros(2), texts, evidence, np.array([1.0, -1.0]), 1.0)
    assert alone == pytest.approx(texts @ evidence[0])
    alike = worth(np.zeros(2), texts, evidence, np.array([-0.5, -1.0]), 1.0)
    assert alike == pytest.approx(texts @ evidence.mean(axis=0))


@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 10_000))
def test_without_diversity_the_best_are_taken(n: int, k: int, seed: int) -> None:
    scores = np.random.default_rng(seed).normal(size=n)
    assert diverse(scores, rows(n, seed), k, 0.0) == list(np.argsort(-scores))[:k]


@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 10_000), st.floats(0, 1))
def test_the_choice_holds_the_best_and_is_in_order(
    n: int, k: int, seed: int, diversity: float
) -> None:
    scores = np.random.default_rng(seed).normal(size=n)
    chosen = diverse(scores, rows(n, seed), k, diversity)
    assert len(set(chosen)) == len(chosen) == min(n, k)
    assert chosen[0] == int(np.argmax(scores))
    assert all(scores[a] >= scores[b] for a, b in pairwise(chosen))


def test_a_near_copy_gives_way_to_what_differs() -> None:
    same, other = np.array([1, 0, 0]), np.array([0, 1, 0])
    vectors = np.asarray([same, same, other], np.float32)
    scores = np.array([0.9, 0.8, 0.5])
    assert diverse(scores, vectors, 2, 0.0) == [0, 1]
    assert diverse(scores, vectors, 2, 0.5) == [0, 2]


@pytest.mark.parametrize("share", [-0.1, 1.1])
def test_shares_outside_0_to_1_are_refused(share: float) -> None:
    with pytest.raises(InvalidInput, match="0 to 1"):
        diverse(np.ones(2), rows(2, 0), 1, share)
    with pytest.raises(InvalidInput, match="0 to 1"):
        worth(np.ones(2), rows(2, 0), rows(2, 1), np.ones(2), share)
