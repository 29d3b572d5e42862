"""How metrics go together over the same pictures, as in table 1 of the paper."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from evaluation.intervals import Values

Table = tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class Correlations:
    """Pearson and Spearman correlations between metrics, square tables in their order.

    nan where a metric is the same for every picture.
    """

    metrics: tuple[str, ...]
    pearson: Table
    spearman: Table


def correlations(values: Mapping[str, Values]) -> Correlations:
    """The correlations between metrics of (n,) values each, on the same pictures, n at least 2."""
    from scipy.stats import rankdata  # takes a moment to import

    rows = np.stack(list(values.values()))
    ranks = np.stack([rankdata(row) for row in rows])
    return Correlations(tuple(values), _pearson(rows), _pearson(ranks))


def _pearson(rows: Values) -> Table:
    centred = rows - rows.mean(axis=1, keepdims=True)
    norms = np.linalg.norm(centred, axis=1)
    flat = norms <= 1e-12 * np.maximum(np.abs(rows).max(axis=1), 1)
    scaled = centred / np.where(flat, np.nan, norms)[:, None]
    table = np.clip(scaled @ scaled.T, -1, 1)
    return tuple(tuple(float(value) for value in row) for row in table)
