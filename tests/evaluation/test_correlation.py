from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import pearsonr, spearmanr

from evaluation.correlation import correlations


def test_correlations_are_those_of_scipy() -> None:
    rng = np.random.default_rng(0)
    a = rng.normal(size=50)
    values = {"a": a, "b": np.round(a + rng.normal(size=50), 1), "c": np.exp(-a)}
    found = correlations(values)
    assert found.metrics == ("a", "b", "c")
    for i, one in enumerate(values.values()):
        for j, other in enumerate(values.values()):
            assert found.pearson[i][j] == pytest.approx(pearsonr(one, other).statistic)
            assert found.spearman[i][j] == pytest.approx(spearmanr(one, other).statistic)
    assert found.spearman[0][2] == pytest.approx(-1)


def test_a_metric_that_never_changes_goes_with_nothing() -> None:
    found = correlations({"a": np.array([0.1, 0.2, 0.4]), "flat": np.full(3, 0.1)})
    assert found.pearson[0][0] == pytest.approx(1)
    assert math.isnan(found.pearson[0][1])
    assert math.isnan(found.spearman[1][1])
