"""Figures of a report: a metric of a map with its interval, and its difference from raw."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evaluation.metrics.caption_metrics import Scores
from evaluation.metrics.intervals import (
    Difference,
    Values,
    interval,
    resampled_sums,
    sign_p,
)

MEDIANS = {"rank": "median-rank"}
"""Of these per-query values the median is reported, under this name."""
NAMES = {"rr": "mrr"}
"""How the mean of per-query values is called."""
_STEPS = 400


@dataclass(frozen=True)
class Figure:
    """One cell of the table: what a map reaches in one metric of one task.

    `low` and `high` bound the 95 % bootstrap interval over `pictures` pictures; `difference` is
    that from raw on the same pictures, None for raw itself and for medians.
    """

    task: str
    metric: str
    map: str
    value: float
    low: float
    high: float
    pictures: int
    difference: Difference | None = None


def query_figures(
    task: str,
    name: str,
    values: Mapping[str, Values],
    base: Mapping[str, Values] | None,
    owners: NDArray[np.int64],
    *,
    seed: int,
) -> list[Figure]:
    """The figures of per-query values, (q,) each, whose queries belong to pictures `owners` (q,).

    Pictures are drawn, each with all its queries: queries of one picture are not independent.
    """
    pictures = int(owners.max()) + 1
    counts = np.bincount(owners, minlength=pictures).astype(np.float64)
    averaged = {metric: v for metric, v in values.items() if metric not in MEDIANS}
    columns = [np.bincount(owners, v, pictures) for v in averaged.values()]
    if base is not None:
        columns += [np.bincount(owners, v - base[m], pictures) for m, v in averaged.items()]
    drawn = resampled_sums(np.stack([*columns, counts], axis=1), seed=seed)
    means = drawn[:, :-1] / drawn[:, -1:]
    figures = []
    for at, (metric, of_queries) in enumerate(averaged.items()):
        difference = None
        if base is not None:
            draws = means[:, len(averaged) + at]
            gap = float(np.mean(of_queries - base[metric]))
            difference = Difference(gap, *interval(draws), sign_p(draws))
        figures.append(
            Figure(
                task,
                NAMES.get(metric, metric),
                name,
                float(of_queries.mean()),
                *interval(means[:, at]),
                pictures,
                difference,
            )
        )
    for metric, shown in MEDIANS.items():
        if metric in values:
            low, high = _median_interval(values[metric], owners, counts, seed)
            middle = float(np.median(values[metric]))
            figures.append(Figure(task, shown, name, middle, low, high, pictures))
    return figures


def caption_figures(
    task: str,
    name: str,
    scores: Mapping[str, Scores],
    base: Mapping[str, Scores] | None,
    *,
    seed: int,
) -> list[Figure]:
    """The figures of caption metrics, with what they are above those of `base`."""
    return [
        Figure(
            task,
            metric,
            name,
            score.mean,
            score.low,
            score.high,
            len(score.values),
            None if base is None or metric not in base else score.minus(base[metric], seed=seed),
        )
        for metric, score in scores.items()
    ]


def _median_interval(
    ranks: Values, owners: NDArray[np.int64], counts: Values, seed: int
) -> tuple[float, float]:
    """The interval of the median, resolved to a quarter per cent of the queries."""
    shares = np.linspace(0, 1, _STEPS + 1)
    grid = np.unique(np.quantile(ranks, shares, method="inverted_cdf"))
    within = [np.bincount(owners, ranks <= bound, len(counts)) for bound in grid]
    drawn = resampled_sums(np.stack([*within, counts], axis=1), seed=seed)
    medians = grid[(drawn[:, :-1] >= drawn[:, -1:] / 2).argmax(axis=1)]
    return interval(medians)
