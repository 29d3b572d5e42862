"""Pages of a search through many pictures: how long each takes, and whether hits come twice.

    python -m benchmarks.paging              24,000 pictures of 512 dimensions, a graph built
    python -m benchmarks.paging --n 100000

Data: as in `benchmarks.store`, with captions of words that are as common as words are. Beside each
page of ours: what the index answers when it is asked for as many hits as the page ends at, which
is how one would page through it.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.store import CENTRES, around
from engine.collection import CollectionCard
from engine.store import ImageStore, picture_id
from engine.store.embedded import EdgeIndex
from engine.store.image_store import image_spec
from engine.types import ImagePoint, SearchSpace, Vector, Vectors

PAGE, HITS, QUERIES = 24, 960, 30
WORDS = "word1 word40"
SEARCHES: tuple[tuple[SearchSpace, float], ...] = (
    ("raw", 0.0),
    ("mapped", 0.0),
    ("words", 0.0),
    ("fused", 0.0),
    ("mapped", 0.5),
)

Search = Callable[[Vector, int], list[str]]
"""The ids on the page at an offset."""


def fill(store: ImageStore, n: int, centres: Vectors, chance: np.random.Generator) -> None:
    """Write the pictures and build the graph."""
    raw, mapped, caption = (around(centres, n, chance) for _ in range(3))
    spoken = chance.zipf(1.3, (n, 9)) % 300
    for start in range(0, n, 1000):
        store.upsert(
            [
                ImagePoint(
                    id=picture_id(f"{i:064x}"),
                    image_id=str(i),
                    uri=f"{i}.jpg",
                    sha256=f"{i:064x}",
                    width=1,
                    height=1,
                    raw=raw[i],
                    mapped=mapped[i],
                    caption=caption[i],
                    captions=(" ".join(f"word{j}" for j in spoken[i]),),
                )
                for i in range(start, min(start + 1000, n))
            ]
        )
    store.optimize()


def ours(store: ImageStore, space: SearchSpace, diversity: float) -> Search:
    """A page as the store cuts it."""

    def search(query: Vector, offset: int) -> list[str]:
        hits = store.search(
            space,
            PAGE,
            raw=query,
            mapped=query,
            words=WORDS,
            offset=offset,
            diversity=diversity,
        )
        return [hit.id for hit in hits]

    return search


def asked_again(index: EdgeIndex, name: str) -> Search:
    """A page as the end of what the index gives for a limit."""

    def search(query: Vector, offset: int) -> list[str]:
        [hits] = index.nearest(name, query[None], offset + PAGE)
        return [hit.id for hit in hits[offset:]]

    return search


def row(name: str, search: Search, queries: Vectors) -> list[str]:
    """The different hits of all pages, and the median time of the first, a middle and the last."""
    found = {key for at in range(0, HITS, PAGE) for key in search(queries[0], at)}
    times = [_median_ms(search, queries, at) for at in (0, 9 * PAGE, HITS - PAGE)]
    return [name, f"{len(found)} of {HITS}", *(f"{ms:.1f}" for ms in times)]


def _median_ms(search: Search, queries: Vectors, offset: int) -> float:
    times = []
    for query in queries:
        start = time.perf_counter()
        search(query, offset)
        times.append(time.perf_counter() - start)
    return float(np.median(times)) * 1000


def main() -> None:
    """Fill a store and page through it in every space."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--n", type=int, default=24_000, help="pictures")
    parser.add_argument("--dim", type=int, default=512, help="dimensions")
    options = parser.parse_args()
    chance = np.random.default_rng(0)
    centres = chance.standard_normal((CENTRES, options.dim)).astype(np.float32)
    card = CollectionCard("bench", "-", "bench", options.dim, "-")
    table = Table(title=f"{options.n:,} pictures of {options.dim} dimensions, pages of {PAGE}")
    for column in ("search", "different hits", "first page, ms", "10th", "40th"):
        table.add_column(column)
    with tempfile.TemporaryDirectory() as folder:
        index = EdgeIndex.open_or_make(Path(folder, "images"), image_spec(card))
        with ImageStore(index) as store:
            fill(store, options.n, centres, chance)
            queries = around(centres, QUERIES, chance)
            for space, diversity in SEARCHES:
                name = f"{space}, diverse" if diversity else space
                table.add_row(*row(name, ours(store, space, diversity), queries))
                if space in index.spec.vectors and not diversity:
                    table.add_row(*row("  asked again", asked_again(index, space), queries))
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
