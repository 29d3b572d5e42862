"""Columns from Python values.

`pyarrow.array` imports pandas wherever that is installed, to see whether it was given some of it:
a second and 80 MB for each process. These have no such question.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

T = TypeVar("T")


def numbers(values: Sequence[int | float | None], kind: pa.DataType | None = None) -> pa.Array:
    """Numbers of a kind (default: int64), None where there is none."""
    kind = kind or pa.int64()
    data = np.array([0 if one is None else one for one in values], kind.to_pandas_dtype())
    return pa.Array.from_buffers(kind, len(data), [_validity(values), pa.py_buffer(data)])


def binaries(values: Sequence[bytes | None], kind: pa.DataType | None = None) -> pa.Array:
    """Bytes, None where there are none."""
    held = [one or b"" for one in values]
    buffers = [_validity(values), pa.py_buffer(offsets(held)), pa.py_buffer(b"".join(held))]
    return pa.Array.from_buffers(kind or pa.binary(), len(held), buffers)


def texts(values: Sequence[str | None]) -> pa.Array:
    """Texts, None where there is none."""
    return binaries([None if one is None else one.encode() for one in values], pa.string())


def lists(starts: NDArray[np.int32], values: pa.Array) -> pa.Array:
    """Lists of the values from one start to the next, see `offsets`."""
    buffers = [None, pa.py_buffer(starts)]
    kind = pa.list_(values.type)
    return pa.Array.from_buffers(kind, len(starts) - 1, buffers, children=[values])


def offsets(parts: Sequence[Sequence[object]]) -> NDArray[np.int32]:
    """Where each part begins when they lie one after the other, and the end."""
    return np.array([0, *accumulate(map(len, parts))], np.int32)


def dealt(values: Sequence[T], column: pa.Array) -> Iterator[Sequence[T]]:
    """Of the values of a column of lists those of each row."""
    start = 0
    for count in column.value_lengths().to_pylist():
        yield values[start : start + count]
        start += count


def _validity(values: Sequence[object]) -> pa.Buffer | None:
    present = np.array([one is not None for one in values], bool)
    return None if present.all() else pa.py_buffer(np.packbits(present, bitorder="little"))
