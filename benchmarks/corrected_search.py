"""Searches of a large collection with hub correction, filters and facets, beside those without.

    python -m benchmarks.corrected_search              100,000 pictures of 512 dimensions
    python -m benchmarks.corrected_search --n 20000

Data: as in `benchmarks.paging`, with tags and splits; the bank of hubs is drawn like queries. Times
are those of the embedded store alone (`ImageStore.search`, with what is shown of a page read), one
query at a time: a model's and the map's time comes on top. Where others keep the cores busy, their
own time (CPU) and the least tell more than the median. `alike`: how many of
the ten best by the corrected cosine of every picture, computed in numpy, are among the ten found.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from benchmarks.store import CENTRES, around
from engine.alignment.hubs import BANK, nearness
from engine.collection import CollectionCard
from engine.store import ImageStore, picture_id
from engine.store.embedded import EdgeIndex
from engine.store.image_store import image_spec
from engine.types import Filters, ImagePoint, SearchSpace, Vectors

PAGE, QUERIES, FIRST = 24, 100, 10
STRENGTH = 0.5
WORDS = "word1 word40"
TAGS = ("beach", "city", "family", "food", "garden", "night", "snow", "work")
FILTERED = Filters(tags=frozenset({"beach"}), not_splits=frozenset({"train"}))
UNFILTERED = Filters()

Values = NDArray[np.float32]


def fill(store: ImageStore, n: int, centres: Vectors, chance: np.random.Generator) -> Values:
    """Write the pictures and build the graph; their corrected bases are given: (n, dim + 1)."""
    raw, mapped, caption = (around(centres, n, chance) for _ in range(3))
    near = nearness(mapped, around(centres, BANK, chance))
    if near is None:
        raise RuntimeError("the bank is empty")
    spoken = chance.zipf(1.3, (n, 9)) % 300
    for start in range(0, n, 1000):
        store.upsert(
            [
                ImagePoint(
                    id=picture_id(f"{i:064x}"),
                    image_id=str(i),
                    uri=f"pictures/{i}.jpg",
                    sha256=f"{i:064x}",
                    width=1,
                    height=1,
                    raw=raw[i],
                    mapped=mapped[i],
                    caption=caption[i],
                    captions=(" ".join(f"word{j}" for j in spoken[i]),),
                    split="train" if i % 3 else "test",
                    tags=(TAGS[i % len(TAGS)],),
                    hub=float(near[i]),
                )
                for i in range(start, min(start + 1000, n))
            ]
        )
    store.optimize()
    store.flush()
    return np.hstack([mapped, -STRENGTH * near[:, None]])


def search(
    store: ImageStore, space: SearchSpace, strength: float, filters: Filters
) -> Callable[[Values], list[str]]:
    """Finds the ids of a page."""

    def found(query: Values) -> list[str]:
        hits = store.search(
            space,
            PAGE,
            raw=query,
            mapped=query,
            words=WORDS,
            filters=filters,
            hub_strength=strength,
        )
        return [hit.image_id for hit in hits]

    return found


def timed(found: Callable[[Values], object], queries: Vectors) -> tuple[float, float, float]:
    """The least and the median time, and the median time of all cores, in milliseconds."""
    times, busy = [], []
    for query in queries:
        start, begun = time.perf_counter(), time.process_time()
        found(query)
        times.append((time.perf_counter() - start) * 1000)
        busy.append((time.process_time() - begun) * 1000)
    return min(times), float(np.median(times)), float(np.median(busy))


def alike(found: Callable[[Values], list[str]], bases: Values, queries: Vectors) -> float:
    """How many of the ten best of all pictures are among the ten found, in the mean."""
    shares = []
    for query in queries:
        scores = bases @ np.append(query, np.float32(1))
        best = {str(i) for i in np.argpartition(-scores, FIRST)[:FIRST]}
        shares.append(len(best & set(found(query)[:FIRST])))
    return float(np.mean(shares))


def main() -> None:
    """Fill a store and search it with and without."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--n", type=int, default=100_000, help="pictures")
    parser.add_argument("--dim", type=int, default=512, help="dimensions")
    options = parser.parse_args()
    chance = np.random.default_rng(0)
    centres = chance.standard_normal((CENTRES, options.dim)).astype(np.float32)
    card = CollectionCard("bench", "-", "bench", options.dim, "-")
    table = Table(title=f"{options.n:,} pictures of {options.dim} dimensions, pages of {PAGE}")
    for column in ("search", "hubs off", "least ms", "median ms", "CPU ms", "alike, of 10"):
        table.add_column(column)
    with tempfile.TemporaryDirectory() as folder:
        index = EdgeIndex.open_or_make(Path(folder, "images"), image_spec(card))
        with ImageStore(index) as store:
            bases = fill(store, options.n, centres, chance)
            queries = around(centres, QUERIES, chance)
            spaces: tuple[SearchSpace, ...] = ("mapped", "fused")
            for space in spaces:
                for name, filters in (("", UNFILTERED), (", filtered", FILTERED)):
                    for strength in (0.0, STRENGTH):
                        found = search(store, space, strength, filters)
                        told = ""
                        if space == "mapped" and strength and filters == UNFILTERED:
                            told = f"{alike(found, bases, queries):.2f}"
                        row = (f"{ms:.1f}" for ms in timed(found, queries))
                        table.add_row(f"{space}{name}", f"{strength:g}", *row, told)
            facets = timed(lambda _query: store.facets(), queries[:20])
            table.add_row("facets", "", *(f"{ms:.1f}" for ms in facets), "")
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
