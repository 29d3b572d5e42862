from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import pearsonr, spearmanr

from engine.errors import InvalidInput
from evaluation.metrics.correlation import correlations


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(3, 30))
def test_coefficients_are_those_of_scipy_ties_and_all(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    values = {
        "a": rng.normal(size=n),
        "b": np.round(rng.normal(size=n) + np.arange(n) / n, 1),
        "c": np.append(rng.integers(0, 2, n - 2), [0, 1]).astype(float),
    }
    result = correlations(values)
    assert result.metrics == ("a", "b", "c")
    for i, one in enumerate(values.values()):
        for j, other in enumerate(values.values()):
            if np.ptp(one) and np.ptp(other):
                assert result.pearson[i, j] == pytest.approx(pearsonr(one, other)[0], abs=1e-9)
                assert result.spearman[i, j] == pytest.approx(spearmanr(one, other)[0], abs=1e-9)


def test_order_alone_counts_for_spearman() -> None:
    a = np.arange(1.0, 9)
    result = correlations({"a": a, "b": a**9, "c": -a})
    expected = np.array([[1, 1, -1], [1, 1, -1], [-1, -1, 1]])
    assert result.spearman == pytest.approx(expected)
    assert result.pearson[0, 1] < 0.95


def test_a_metric_without_spread_agrees_with_none() -> None:
    result = correlations({"a": np.arange(7.0), "b": np.full(7, 0.1)})
    assert np.isnan(result.pearson[[0, 1, 1], [1, 0, 1]]).all()
    assert np.isnan(result.spearman[0, 1])
    assert result.pearson[0, 0] == pytest.approx(1)


def test_what_cannot_be_correlated_is_refused() -> None:
    with pytest.raises(InvalidInput, match="different numbers"):
        correlations({"a": np.ones(3), "b": np.ones(4)})
    with pytest.raises(InvalidInput, match="two pictures or more"):
        correlations({"a": np.ones(1)})
    with pytest.raises(InvalidInput, match="two pictures or more"):
        correlations({})
