"""How far metrics agree about which captions are good: the paper's table 1."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from engine.errors import InvalidInput
from evaluation.metrics.intervals import Values


@dataclass(frozen=True, eq=False)
class Correlations:
    """Pearson and Spearman coefficients, each (m, m), between m metrics over the same pictures.

    A metric that is the same for every picture agrees with none: its coefficients are NaN.
    """

    metrics: tuple[str, ...]
    pearson: Values
    spearman: Values


def correlations(values: Mapping[str, Values]) -> Correlations:
    """Correlate metrics, each given by its (n,) values of the same pictures in the same order.

    Raises InvalidInput for values that differ in number, or of fewer than two pictures.
    """
    from scipy.stats import rankdata

    metrics = tuple(values)
    counts = {len(column) for column in values.values()}
    if len(counts) > 1:
        raise InvalidInput(f"metrics have values of different numbers of pictures: {counts}")
    if not counts or min(counts) < 2:
        raise InvalidInput("metrics can be correlated over two pictures or more")
    columns = np.stack([np.asarray(values[metric], np.float64) for metric in metrics])
    return Correlations(metrics, _pearson(columns), _pearson(rankdata(columns, axis=1)))


def _pearson(rows: Values) -> Values:
    """The coefficients between (m, n) rows; those of a row without spread are NaN."""
    from scipy.stats import DegenerateDataWarning, pearsonr

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DegenerateDataWarning)  # NaN says it
        return np.asarray(pearsonr(rows[:, None], rows[None], axis=-1).statistic)
