"""The embedded store beside what else one would keep caption vectors in.

    python -m benchmarks.store              100,000 captions of 512 dimensions
    python -m benchmarks.store --n 20000

Data: unit rows around 1,000 random centres (a mixture of Gaussians), because captions cluster;
rows without any structure have no near neighbours, and every graph looks bad on them. Queries
are drawn like the rows and are not among them. Recall is against exact cosine over the float32
rows. The other engines keep one vector per point; the store keeps both of its spaces, the words
and the payload, all of which it needs. Each engine runs in a process of its own and answers one
query at a time; memory is how far that process's peak grew, index files in use included.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from engine.collection import CollectionCard
from engine.identity import name_key
from engine.store import CaptionStore, caption_id
from engine.store.caption_store import caption_spec
from engine.store.embedded import EdgeIndex
from engine.types import CaptionPoint, Vector, Vectors

CENTRES, SPREAD = 1_000, 0.7
K, QUERIES, BATCH = 10, 200, 1_000
LOCAL_MODE_N = 5_000


@dataclass(frozen=True)
class Stage:
    """An engine once it was filled, or once its graph was built."""

    name: str
    n: int
    write_s: float
    query_ms: float
    recall: float
    memory_mb: float


@dataclass(frozen=True)
class Task:
    """Rows to keep, queries to answer, the true answers, and the memory these take."""

    rows: Vectors
    queries: Vectors
    nearest: list[set[int]]
    peak_mb: float

    @classmethod
    def make(cls, n: int, dim: int) -> Task:
        """Clustered data; equal arguments make equal tasks."""
        chance = np.random.default_rng(0)
        centres = chance.standard_normal((CENTRES, dim)).astype(np.float32)
        rows, queries = (around(centres, count, chance) for count in (n, QUERIES))
        return cls(rows, queries, [_nearest(rows, query) for query in queries], _peak_mb())

    def measure(
        self, name: str, write: Callable[[], object], search: Callable[[Vectors], Iterable[int]]
    ) -> Stage:
        """Time the writing once and each query, and count what was found."""
        start = time.perf_counter()
        write()
        write_s = time.perf_counter() - start
        times, shares = [], []
        for query, nearest in zip(self.queries, self.nearest, strict=True):
            start = time.perf_counter()
            found = set(search(query[None]))
            times.append(time.perf_counter() - start)
            shares.append(len(found & nearest) / K)
        return Stage(
            name,
            len(self.rows),
            write_s,
            float(np.median(times)) * 1000,
            float(np.mean(shares)),
            _peak_mb() - self.peak_mb,
        )


def around(centres: Vectors, n: int, chance: np.random.Generator) -> Vectors:
    """Unit rows around the centres."""
    rows = chance.standard_normal((n, centres.shape[1]), dtype=np.float32)
    # One by one: what is not needed later must not raise the memory's peak.
    for i, which in enumerate(chance.integers(len(centres), size=n)):
        row = rows[i] * SPREAD + centres[which]
        rows[i] = row / np.linalg.norm(row)
    return rows


def _nearest(rows: Vectors, query: Vector) -> set[int]:
    return set(np.argpartition(-(rows @ query), K)[:K].tolist())


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def embedded(task: Task, folder: Path) -> list[Stage]:
    """The embedded store as mrag uses it, before and after `optimize`."""
    card = CollectionCard("bench", "-", "bench", task.rows.shape[1], "-")
    store = CaptionStore(EdgeIndex.open_or_make(folder / "captions", caption_spec(card)))

    def write() -> None:
        for start in range(0, len(task.rows), BATCH):
            numbers = range(start, min(start + BATCH, len(task.rows)))
            store.upsert([_point(number, task.rows[number]) for number in numbers])
        store.flush()

    def search(query: Vectors) -> list[int]:
        [hits] = store.search(query, "raw", K)
        return [int(hit.image_id) for hit in hits]

    filled = task.measure("mrag embedded, as filled", write, search)
    built = task.measure("  after optimize()", store.optimize, search)
    store.close()
    return [filled, built]


def _point(number: int, row: Vector) -> CaptionPoint:
    text = f"a caption of about eight words with number {number}"
    image_id = str(number)
    key = name_key(image_id)
    return CaptionPoint(caption_id(key, text, "human"), text, row, row, key, image_id)


def local_mode(task: Task, folder: Path) -> list[Stage]:
    """qdrant-client without a server, in a folder."""
    from qdrant_client import QdrantClient, models

    client = QdrantClient(path=str(folder / "local"))
    params = models.VectorParams(size=task.rows.shape[1], distance=models.Distance.COSINE)
    client.create_collection("bench", vectors_config=params)

    def write() -> None:
        for start in range(0, len(task.rows), BATCH):
            part = task.rows[start : start + BATCH]
            ids = list(range(start, start + len(part)))
            client.upsert("bench", models.Batch(ids=ids, vectors=part.tolist()))

    def search(query: Vectors) -> list[int]:
        found = client.query_points("bench", query=query[0].tolist(), limit=K)
        return [int(point.id) for point in found.points]

    stage = task.measure("qdrant-client local mode", write, search)
    client.close()
    return [stage]


def faiss_flat(task: Task, _folder: Path) -> list[Stage]:
    """FAISS, exact, in memory only."""
    import faiss

    return [_faiss(task, "FAISS flat", faiss.IndexFlatIP(task.rows.shape[1]))]


def faiss_hnsw(task: Task, _folder: Path) -> list[Stage]:
    """FAISS HNSW with the parameters that Qdrant's graph has, in memory only."""
    import faiss

    index = faiss.IndexHNSWFlat(task.rows.shape[1], 16, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction = 100
    index.hnsw.efSearch = 100
    return [_faiss(task, "FAISS HNSW", index)]


def _faiss(task: Task, name: str, index: Any) -> Stage:
    def search(query: Vectors) -> list[int]:
        found: list[int] = index.search(query, K)[1][0].tolist()
        return found

    return task.measure(name, lambda: index.add(task.rows), search)


Engine = Callable[[Task, Path], list[Stage]]


def in_own_process(engine: Engine, n: int, dim: int) -> list[Stage]:
    """Run one engine in a process of its own."""
    here, there = multiprocessing.Pipe()
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=_run, args=(there, engine, n, dim))
    process.start()
    there.close()
    stages: list[Stage] = here.recv()
    process.join()
    return stages


def _run(answer: Connection, engine: Engine, n: int, dim: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        answer.send(engine(Task.make(n, dim), Path(folder)))


def show(stages: list[Stage], dim: int) -> None:
    """Print the table."""
    title = f"{dim}-d captions around {CENTRES:,} centres, {QUERIES} queries, k = {K}"
    table = Table(title=title)
    table.add_column("engine")
    for column in ("points", "write s", "points/s", "ms a query (p50)", f"recall@{K}", "MB"):
        table.add_column(column, justify="right")
    for stage in stages:
        table.add_row(
            stage.name,
            f"{stage.n:,}",
            f"{stage.write_s:.1f}",
            f"{stage.n / stage.write_s:,.0f}",
            f"{stage.query_ms:.2f}",
            f"{stage.recall:.3f}",
            f"{stage.memory_mb:,.0f}",
        )
    Console(width=110).print(table)


def main() -> None:
    """Measure every engine in turn."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--n", type=int, default=100_000, help="captions")
    parser.add_argument("--dim", type=int, default=512, help="dimensions")
    parser.add_argument(
        "--full",
        action="store_true",
        help=f"qdrant-client's local mode with all captions too (minutes), not {LOCAL_MODE_N:,}",
    )
    options = parser.parse_args()
    local_n = options.n if options.full else min(options.n, LOCAL_MODE_N)
    runs: list[tuple[Engine, int]] = [
        (embedded, options.n),
        (faiss_flat, options.n),
        (faiss_hnsw, options.n),
        (local_mode, local_n),
    ]
    stages = [stage for run, n in runs for stage in in_own_process(run, n, options.dim)]
    show(stages, options.dim)


if __name__ == "__main__":
    main()
