from __future__ import annotations

import numpy as np
import pytest

from engine.errors import InvalidInput
from evaluation.metrics.caption_metrics import CORPUS_FIGURES, Scores
from evaluation.metrics.intervals import bootstrap, paired, paired_figures
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


def test_a_difference_of_corpus_figures_is_theirs() -> None:
    """The mean of sentence scores falls where the figure of the corpus rises."""
    # Per picture: lengths of caption and reference, n-grams written, n-grams found.
    long = [10.0, 10, 10, 9, 8, 7, 10, 9, 8, 7]
    lost = [10.0, 10, 10, 9, 8, 7, 5, 2, 1, 0]
    short = [5.0, 5, 5, 4, 3, 2, 5, 4, 3, 2]
    none = [5.0, 5, 5, 4, 3, 2, 0, 0, 0, 0]
    a, b = np.array([long, *[none] * 3] * 5), np.array([lost, short, short, none] * 5)
    sentences = {"a": np.array([1.0, 0, 0, 0] * 5), "b": np.array([0.0, 1, 1, 0] * 5)}
    figure = CORPUS_FIGURES["bleu-4"]
    scores = {
        name: Scores("bleu-4", sentences[name], float(figure(counts.sum(axis=0))), 0, 1, counts)
        for name, counts in {"a": a, "b": b}.items()
    }
    (shown,) = caption_figures("t", "m", {"bleu-4": scores["a"]}, {"bleu-4": scores["b"]}, seed=0)
    assert sentences["a"].mean() < sentences["b"].mean()
    assert shown.difference is not None
    assert shown.difference.mean > 0
    assert shown.difference.mean == scores["a"].mean - scores["b"].mean
    assert shown.difference.low <= shown.difference.mean <= shown.difference.high


def test_its_interval_is_of_the_same_drawn_pictures() -> None:
    rng = np.random.default_rng(8)
    counts, other = rng.integers(1, 9, (2, 30, 2)).astype(float)
    found = paired_figures(counts, other, lambda sums: sums[..., 0] / sums[..., 1], seed=5)
    draws = []
    sampler = np.random.default_rng(5)
    for rows in sampler.integers(30, size=(1000, 30)):
        one, two = counts[rows].sum(axis=0), other[rows].sum(axis=0)
        draws.append(one[0] / one[1] - two[0] / two[1])
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(draws, [0.025, 0.975])))
    same = paired_figures(counts, counts, lambda sums: sums[..., 0] / sums[..., 1], seed=5)
    assert (same.mean, same.low, same.high, same.p) == (0, 0, 0, 1)


def test_counts_of_other_pictures_are_no_pair() -> None:
    with pytest.raises(InvalidInput, match=r"differ in shape: \(3, 2\) and \(4, 2\)"):
        paired_figures(np.ones((3, 2)), np.ones((4, 2)), lambda sums: sums[..., 0], seed=0)
