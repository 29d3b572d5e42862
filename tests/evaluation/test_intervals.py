from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import bootstrap as scipy_bootstrap

from engine.errors import InvalidInput
from evaluation.metrics.intervals import bootstrap, paired, resampled_sums

finite = st.floats(-1e3, 1e3)


def test_interval_is_the_percentile_interval_of_scipy() -> None:
    values = np.random.default_rng(1).gamma(2.0, size=300)
    theirs = scipy_bootstrap(
        (values,), np.mean, n_resamples=4000, method="percentile", rng=np.random.default_rng(2)
    ).confidence_interval
    ours = bootstrap(values, seed=3, draws=4000)
    assert ours == pytest.approx((theirs.low, theirs.high), abs=0.02)


@settings(max_examples=30, deadline=None)
@given(st.lists(finite, min_size=1, max_size=40), st.integers(0, 2**32))
def test_bounds_lie_in_order_within_the_values(values: list[float], seed: int) -> None:
    low, high = bootstrap(np.array(values), seed=seed, draws=50)
    assert min(values) - 1e-9 <= low <= high <= max(values) + 1e-9


def test_the_same_seed_draws_the_same_and_another_does_not() -> None:
    values = np.random.default_rng(0).random(50)
    assert bootstrap(values, seed=5) == bootstrap(values, seed=5)
    assert bootstrap(values, seed=5) != bootstrap(values, seed=6)


def test_each_draw_takes_as_many_rows_as_there_are() -> None:
    sums = resampled_sums(np.ones((37, 2)), seed=0, draws=11)
    assert (sums == 37).all()
    assert sums.shape == (11, 2)


def test_many_pictures_are_drawn_in_parts_without_repeating_a_draw() -> None:
    column = np.random.default_rng(0).random((2**21, 1))
    sums = resampled_sums(column, seed=0, draws=6)
    assert len(np.unique(sums)) == 6


def test_a_constant_gain_is_certain_and_none_is_not() -> None:
    a = np.random.default_rng(0).random(100)
    gain = paired(a + 0.1, a, seed=0)
    assert gain.mean == pytest.approx(0.1)
    assert gain.low == pytest.approx(0.1)
    assert gain.p == pytest.approx(2 / 1001)
    none = paired(a, a, seed=0)
    assert (none.mean, none.low, none.high, none.p) == (0, 0, 0, 1)


def test_pairing_sees_what_the_spread_over_pictures_hides() -> None:
    rng = np.random.default_rng(0)
    a = rng.normal(0, 10, 400)
    b = a + rng.normal(0.2, 0.5, 400)
    assert paired(b, a, seed=0).p < 0.01
    assert paired(rng.permutation(b), a, seed=0).p > 0.05


def test_p_of_no_difference_is_rarely_small() -> None:
    rng = np.random.default_rng(0)
    small = [
        paired(rng.normal(size=60), rng.normal(size=60), seed=seed, draws=200).p < 0.05
        for seed in range(200)
    ]
    assert 0.01 <= np.mean(small) <= 0.11


def test_what_has_no_mean_is_refused() -> None:
    with pytest.raises(InvalidInput, match="no values"):
        bootstrap(np.array([]), seed=0)
    with pytest.raises(InvalidInput, match="not finite"):
        bootstrap(np.array([1.0, np.nan]), seed=0)
    with pytest.raises(InvalidInput, match="3 and 2"):
        paired(np.ones(3), np.ones(2), seed=0)
