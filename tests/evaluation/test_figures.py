from __future__ import annotations

import numpy as np
import pytest

from evaluation.metrics.caption_metrics import Scores
from evaluation.metrics.intervals import bootstrap, paired
from evaluation.reports.figures import caption_figures, query_figures


def test_one_query_a_picture_has_the_interval_of_the_plain_bootstrap() -> None:
    values = np.random.default_rng(0).random(80)
    other = values + np.random.default_rng(1).normal(0.1, 0.2, 80)
    (figure,) = query_figures("t", "m", {"rr": other}, {"rr": values}, np.arange(80), seed=3)
    assert (figure.metric, figure.map, figure.pictures) == ("mrr", "m", 80)
    assert figure.value == pytest.approx(other.mean())
    assert (figure.low, figure.high) == pytest.approx(bootstrap(other, seed=3))
    expected = paired(other, values, seed=3)
    assert figure.difference is not None
    assert figure.difference.mean == pytest.approx(expected.mean)
    assert figure.difference.low == pytest.approx(expected.low)
    assert figure.difference.p == expected.p


def test_queries_of_one_picture_are_drawn_together() -> None:
    of_pictures = np.random.default_rng(2).random(40)
    values, owners = np.repeat(of_pictures, 5), np.repeat(np.arange(40), 5)
    (figure,) = query_figures("t", "m", {"hit@1": values}, None, owners, seed=0)
    # Five copies of a query tell no more than one.
    assert (figure.low, figure.high) == pytest.approx(bootstrap(of_pictures, seed=0))
    assert figure.difference is None


def test_pictures_count_by_their_queries() -> None:
    values, owners = np.array([1.0, 0.0, 0.0, 0.0]), np.array([0, 1, 1, 1])
    (figure,) = query_figures("t", "m", {"hit@1": values}, None, owners, seed=0)
    assert figure.value == 0.25
    assert (figure.low, figure.high) == (0.0, 1.0)


def test_of_ranks_the_median_is_reported() -> None:
    ranks = np.random.default_rng(4).integers(1, 50, size=201).astype(float)
    (figure,) = query_figures("t", "m", {"rank": ranks}, {"rank": ranks}, np.arange(201), seed=0)
    assert figure.metric == "median-rank"
    assert figure.value == np.median(ranks)
    rng = np.random.default_rng(5)
    medians = [np.median(rng.choice(ranks, 201)) for _ in range(1000)]
    low, high = np.quantile(medians, [0.025, 0.975])
    assert figure.low == pytest.approx(low, abs=2)
    assert figure.high == pytest.approx(high, abs=2)
    assert figure.difference is None


def test_caption_metrics_keep_their_own_figure() -> None:
    values, base = np.array([0.1, 0.4, 0.5]), np.array([0.0, 0.1, 0.4])
    scores = {"bleu-4": Scores("bleu-4", values, 0.3, 0.2, 0.4)}
    (figure,) = caption_figures(
        "captions", "m", scores, {"bleu-4": Scores("bleu-4", base, 0.1, 0.0, 0.2)}, seed=0
    )
    assert (figure.value, figure.low, figure.high, figure.pictures) == (0.3, 0.2, 0.4, 3)
    assert figure.difference is not None
    assert figure.difference.mean == pytest.approx(1 / 6)


def test_a_difference_that_is_rounding_is_none() -> None:
    values = np.random.default_rng(6).random(50)
    noise = np.random.default_rng(7).normal(0, 1e-16, 50)
    (figure,) = query_figures(
        "t", "m", {"rr": values + noise}, {"rr": values}, np.arange(50), seed=0
    )
    assert figure.difference is not None
    assert figure.difference.p == 1
