"""Captions in memory, searched exactly under any map: what experiments use in place of an index."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from corpus.captions import CaptionTable
from engine.alignment.alignment import GapMap
from engine.alignment.hubs import Hubs
from engine.identity import picture_number
from engine.store import caption_id
from engine.store.interface import NO_FILTERS
from engine.types import CaptionHit, Filters, Space, Vectors

_BLOCK = 2**24
"""Cosines held at once: 64 MiB."""


class MatrixCaptions:
    """Searches captions exactly, as `CaptionSearch` does; all count as human.

    Without `hubs` nothing is taken off for being near to everything.
    """

    def __init__(self, captions: CaptionTable, alignment: GapMap, hubs: Hubs | None = None) -> None:
        self._captions = captions
        self._hubs = hubs
        self._rows: dict[Space, Vectors] = {
            "raw": captions.raw,
            "mapped": alignment.map_texts(captions.raw),
        }

    def search(
        self,
        queries: Vectors,
        space: Space,
        k: int,
        filters: Filters = NO_FILTERS,
        with_vectors: bool = False,
        hub_strength: float = 0.0,
    ) -> list[list[CaptionHit]]:
        """For each query, (q, dim), the k captions nearest by cosine in one space, best first.

        Equals keep the order in which the captions were given.
        """
        kept = self._kept(filters)
        if not len(kept) or not len(queries):
            return [[] for _ in queries]
        rows = self._rows[space]
        candidates = rows if len(kept) == len(rows) else rows[kept]
        off = self._taken_off[kept] * hub_strength if hub_strength and space == "mapped" else None
        return [
            [self._hit(int(kept[place]), float(score), with_vectors) for place, score in ranked]
            for ranked in _nearest(queries, candidates, min(k, len(kept)), off)
        ]

    @cached_property
    def _taken_off(self) -> Vectors:
        """How near each caption is to everything, (m,); zeros where that cannot be told."""
        owners = np.array([picture_number(key) for key in self._captions.pictures], np.uint64)
        near = self._hubs.of_captions(self._rows["mapped"], owners) if self._hubs else None
        return np.zeros(len(owners), np.float32) if near is None else near

    def _kept(self, filters: Filters) -> NDArray[np.int64]:
        """The rows that satisfy the filters."""
        captions = self._captions
        if filters.sources and "human" not in filters.sources:
            return np.empty(0, np.int64)
        passes = np.ones(len(captions.texts), bool)
        if filters.splits:
            splits = captions.splits or ("",) * len(passes)
            passes &= [split in filters.splits for split in splits]
        if filters.not_pictures:
            passes &= [picture not in filters.not_pictures for picture in captions.pictures]
        return np.flatnonzero(passes)

    def _hit(self, row: int, score: float, with_vector: bool) -> CaptionHit:
        text, picture = self._captions.texts[row], self._captions.pictures[row]
        return CaptionHit(
            id=caption_id(picture, text, "human"),
            text=text,
            score=score,
            picture=picture,
            vector=self._captions.raw[row] if with_vector else None,
        )


def _nearest(
    queries: Vectors, rows: Vectors, k: int, taken_off: Vectors | None
) -> Iterator[Sequence[tuple[int, float]]]:
    """For each query the k best rows and their cosines, less what is taken off each."""
    step = max(1, _BLOCK // len(rows))
    for start in range(0, len(queries), step):
        scores = queries[start : start + step] @ rows.T
        for cosines in scores if taken_off is None else scores - taken_off:
            best = np.arange(len(rows))
            if k < len(rows):
                bound = np.partition(cosines, -k)[-k]
                best = np.flatnonzero(cosines >= bound)
            ranked = best[np.argsort(-cosines[best], kind="stable")][:k]
            yield list(zip(ranked.tolist(), cosines[ranked].tolist(), strict=True))
