"""What a picture looks like at a glance, in bits that hardly change where it is saved again.

The perceptual hash of `imagehash` (pHash, 16 by 16): which of the lowest frequencies of a small
grey version are strong. It is kept for the picture as it is, turned and mirrored, so that two
pictures are compared by counting bits.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

BYTES = 256
"""Of a sight: eight ways to lay a picture, with 256 bits each."""

LIMIT, LOW_LIMIT = 56, 14
"""Bits of 256 in which copies differ at most, and of the 64 that say the coarsest of them.

Measured on photos and on drawn scenes, see RESULTS.md: pictures that were compressed, scaled,
brightened, turned or cropped by a twentieth differ in fewer, different pictures in more.
"""

_SIDE, _LOW, _SMALL = 16, 8, 64
_FLAT = 2.0
"""Spread of the grey values, of 255, below which a picture shows nothing to compare."""

_AT_ONCE = 4096
"""Pictures that a few are held against at once: what is counted stays in the processor's cache."""

_LAID = (None, *Image.Transpose)
_ROWS, _COLUMNS = np.divmod(np.arange(_SIDE * _SIDE), _SIDE)
_COARSE_FIRST = np.argsort((_ROWS >= _LOW) | (_COLUMNS >= _LOW), kind="stable")

Words = NDArray[np.uint64]


def sight_of(image: Image.Image) -> bytes:
    """The sight of a picture, BYTES long; empty for one that is of one colour all over."""
    import imagehash  # and scipy with it, which nothing else of a fill needs

    small = image.convert("L").resize((_SMALL, _SMALL), Image.Resampling.LANCZOS, reducing_gap=3.0)
    if float(np.asarray(small).std()) < _FLAT:
        return b""
    laid = [small if how is None else small.transpose(how) for how in _LAID]
    bits = np.stack([imagehash.phash(one, _SIDE).hash.ravel() for one in laid])
    return np.packbits(bits[:, _COARSE_FIRST], axis=1).tobytes()


def as_words(sights: Sequence[bytes]) -> Words:
    """Sights to compare: (n, 8, 4), the first of the eight as the picture is."""
    joined = np.array(bytearray(b"".join(sights)), np.uint8)
    return joined.view(np.uint64).reshape(len(sights), len(_LAID), 4)


class Known:
    """Pictures that others are held against, each of which is a copy of none before it."""

    def __init__(self, sights: Words) -> None:
        self._count = len(sights)
        self._words = sights
        self._low = np.ascontiguousarray(sights[:, :, 0].T)  # coarsest first, in one row: (8, n)

    def __len__(self) -> int:
        return self._count

    def add(self, sight: Words) -> None:
        """One more, (8, 4)."""
        if self._count == len(self._words):
            room = max(1024, self._count)
            self._words = np.concatenate([self._words, np.zeros((room, 8, 4), np.uint64)])
            self._low = np.ascontiguousarray(self._words[:, :, 0].T)
        self._words[self._count] = sight
        self._low[:, self._count] = sight[:, 0]
        self._count += 1

    def nearest(self, sought: Words) -> NDArray[np.int64]:
        """For each picture of `sought` (m, 8, 4) the number of the one that it is a copy of.

        The one from which it differs least, laid in whichever way; -1 where it is a copy of none.
        """
        found = np.full(len(sought), -1, np.int64)
        best = np.full(len(sought), LIMIT + 1)
        # Filled again and again: to ask for new memory takes longer than to count.
        apart = np.empty((len(sought), _AT_ONCE), np.uint64)
        bits = np.empty((len(sought), _AT_ONCE), np.uint8)
        for laid in range(len(_LAID)):
            for start in range(0, self._count, _AT_ONCE):
                part = self._low[laid, start : min(start + _AT_ONCE, self._count)]
                np.bitwise_xor(sought[:, 0, :1], part, out=apart[:, : len(part)])
                low = np.bitwise_count(apart[:, : len(part)], out=bits[:, : len(part)])
                if low.min() <= LOW_LIMIT:
                    rows, columns = np.nonzero(low <= LOW_LIMIT)
                    differs = sought[rows, 0] ^ self._words[columns + start, laid]
                    distances = np.bitwise_count(differs).sum(axis=1, dtype=np.int64)
                    _take_better(rows, columns + start, distances, found, best)
        return found


def _take_better(
    rows: NDArray[np.int64],
    columns: NDArray[np.int64],
    distances: NDArray[np.int64],
    found: NDArray[np.int64],
    best: NDArray[np.int64],
) -> None:
    """Write into `found` and `best` what is nearer than what they hold."""
    order = np.lexsort((columns, distances))
    rows, first = np.unique(rows[order], return_index=True)
    chosen = order[first]
    nearer = distances[chosen] < best[rows]
    best[rows[nearer]] = distances[chosen][nearer]
    found[rows[nearer]] = columns[chosen][nearer]
