"""Captions of another collection, ranked as the map of the one that borrows them sees them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from engine.alignment.alignment import Alignment
from engine.store import CaptionStore
from engine.store.interface import NO_FILTERS
from engine.types import CaptionHit, Filters, Space, Vectors

DEPTH = 256
"""Among how many of the nearest captions, at least, hub correction chooses.

What is taken off them is computed for each search, as their points know their own collection's
pictures only; it takes their vectors.
"""


class LentCaptions:
    """A store that another collection's map and pictures are to rank."""

    def __init__(self, store: CaptionStore, alignment: Alignment) -> None:
        """Take the map of the collection that borrows."""
        self._store = store
        self._alignment = alignment

    def search(
        self,
        queries: Vectors,
        space: Space,
        k: int,
        filters: Filters = NO_FILTERS,
        with_vectors: bool = False,
        hub_strength: float = 0.0,
    ) -> list[list[CaptionHit]]:
        """As `CaptionStore.search`."""
        # A raw map leaves captions as they are; those that are lent may have been moved.
        place: Space = "raw" if self._alignment.method == "raw" else space
        hubs = self._alignment.hubs
        if not hub_strength or hubs is None or space == "raw":
            return self._store.search(queries, place, k, filters, with_vectors)
        found = self._store.search(queries, place, max(k, DEPTH), filters, True)
        return [self._corrected(hits, hub_strength)[:k] for hits in found]

    def _corrected(self, hits: list[CaptionHit], hub_strength: float) -> list[CaptionHit]:
        rows = [hit.vector for hit in hits if hit.vector is not None]
        hubs = self._alignment.hubs
        near = (
            hubs.of_captions(self._alignment.map_texts(np.stack(rows))) if rows and hubs else None
        )
        if near is None:
            return hits
        scored = zip(hits, near.tolist(), strict=True)
        corrected = [replace(hit, score=hit.score - hub_strength * hub) for hit, hub in scored]
        return sorted(corrected, key=lambda hit: (-hit.score, hit.id))
