"""Rows brought to unit length."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def unit(rows: NDArray[np.floating[Any]]) -> NDArray[Any]:
    """Rows (n, dim) at length 1 in their own precision, float16 in float32; zero rows stay zero."""
    wide = rows.astype(np.result_type(rows, np.float32))
    norms = np.linalg.norm(wide, axis=1, keepdims=True)
    wide /= np.where(norms > 0, norms, 1)  # in place: of many rows each copy counts
    return wide
