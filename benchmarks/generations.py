"""What a second generation of an embedded index costs, and who notices while it is made.

    python -m benchmarks.generations              100,000 captions of 512 dimensions
    python -m benchmarks.generations --n 1000000

A generation is written and answers exactly; it is copied and the copy's graph built in a child
process, as a push does for an index that has grown; then all is written again under another
map, as a push does after a fit. Meanwhile a thread of this process searches, one query at a
time: p50 and p95 are of these searches. Data are drawn around 1,000 random centres in batches
that are made again where they are needed, so memory does not grow with their number. Recall is
against exact cosine over the float32 rows.
"""

from __future__ import annotations

import argparse
import gc
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event

import numpy as np
from rich.console import Console
from rich.table import Table

from engine.alignment.alignment import Alignment
from engine.collection import CollectionCard, CollectionFolder
from engine.footprint import disk_bytes, process_bytes, readable
from engine.settings import Settings
from engine.store import CaptionStore, caption_id, open_caption_store, open_image_store
from engine.store.generations import (
    GenerationFolder,
    GenerationState,
    Hold,
    begin,
    change_over,
    current,
)
from engine.store.graph import build_graph, copy_generation
from engine.store.sweeping import sweep
from engine.types import CaptionPoint, Vectors

CENTRES, SPREAD = 1_000, 0.7
K, QUERIES, BATCH, FLUSH = 10, 100, 1_000, 20_000
_BEFORE_S = 5.0


@dataclass
class Data:
    """Clustered unit rows, the same whenever they are asked for."""

    n: int
    dim: int
    centres: Vectors = field(init=False)
    queries: Vectors = field(init=False)

    def __post_init__(self) -> None:
        chance = np.random.default_rng(0)
        self.centres = chance.standard_normal((CENTRES, self.dim), dtype=np.float32)
        self.queries = self._rows(-1, QUERIES)

    def batches(self) -> Iterator[tuple[int, Vectors]]:
        """The rows in parts, each with the number of its first."""
        for start in range(0, self.n, BATCH):
            yield start, self._rows(start, min(BATCH, self.n - start))

    def nearest(self, alignment: Alignment) -> list[set[str]]:
        """The ids of the rows nearest to each mapped query, exactly."""
        queries = alignment.map_texts(self.queries)
        scores = np.full((QUERIES, K), -np.inf, np.float32)
        rows = np.zeros((QUERIES, K), np.int64)
        for start, batch in self.batches():
            found = queries @ alignment.map_texts(batch).T
            numbers = np.broadcast_to(np.arange(start, start + len(batch)), found.shape)
            both, named = np.hstack([scores, found]), np.hstack([rows, numbers])
            best = np.argpartition(-both, K, axis=1)[:, :K]
            scores = np.take_along_axis(both, best, 1)
            rows = np.take_along_axis(named, best, 1)
        return [{_id(int(number)) for number in one} for one in rows]

    def _rows(self, start: int, count: int) -> Vectors:
        chance = np.random.default_rng([1, start + 1])
        rows = chance.standard_normal((count, self.dim), dtype=np.float32) * SPREAD
        rows += self.centres[chance.integers(CENTRES, size=count)]
        return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


@dataclass(frozen=True)
class Stage:
    """A step, how long it took, what lay on disk after it, and how searches fared meanwhile."""

    name: str
    seconds: float
    disk: int
    memory: int
    times_ms: list[float]
    recall: float | None = None


class Bench:
    """One collection of captions, and what is measured of it."""

    def __init__(self, home: Path, data: Data) -> None:
        self.data = data
        self.folder = CollectionFolder(home, "bench")
        self.card = CollectionCard("bench", "spec", "bench", data.dim, "consensus")
        self.settings = Settings(home=home, qdrant_url="")
        self.stages: list[Stage] = []

    def run(self) -> None:
        """All stages, in order."""
        first, second = (self._map(seed) for seed in (1, 2))
        nearest = self.data.nearest(first)
        self._stage("write, nothing answers yet", lambda: self._write(1, first), None)
        change_over(self.folder, 1)
        self._stage("idle, searched exactly", lambda: time.sleep(_BEFORE_S), first, nearest)
        self._stage("copy the generation", self._copy, first)
        self._stage("build its graph in a child", self._graph, first)
        self._change_over(2)
        self._stage("idle, with the graph", lambda: time.sleep(_BEFORE_S), first, nearest)
        self._stage("write under another map", lambda: self._write(3, second), first)
        self._change_over(3)
        self._stage(
            "idle, the new map, exactly",
            lambda: time.sleep(_BEFORE_S),
            second,
            self.data.nearest(second),
        )

    def _map(self, seed: int) -> Alignment:
        mean = np.random.default_rng(seed).standard_normal(self.data.dim) * 0.01
        return Alignment.from_means(mean, mean, n_images=1, n_captions=1, encoder_id="bench")

    def _write(self, number: int, alignment: Alignment) -> None:
        made = begin(self.folder, number, GenerationState())
        alignment.save(made.alignment)
        open_image_store(self.folder, self.card, self.settings, number=number, create=True).close()
        with self._open(number, create=True) as store:
            for start, rows in self.data.batches():
                mapped = alignment.map_texts(rows)
                store.upsert(
                    [
                        CaptionPoint(_id(start + i), f"caption {start + i}", raw, there)
                        for i, (raw, there) in enumerate(zip(rows, mapped, strict=True))
                    ]
                )
                if start % FLUSH == 0:
                    store.flush()
            store.flush()

    def _copy(self) -> None:
        whole = GenerationFolder(self.folder, 1)
        copy_generation(self.folder, whole, 2, GenerationState())

    def _graph(self) -> None:
        made = GenerationFolder(self.folder, 2)
        trouble = build_graph(made, Hold(made), lambda: None)
        if trouble:
            raise SystemExit(trouble)

    def _change_over(self, number: int) -> None:
        change_over(self.folder, number)
        gc.collect()
        sweep(self.folder, self.settings)

    def _open(self, number: int, *, create: bool = False) -> CaptionStore:
        return open_caption_store(
            self.folder, self.card, self.settings, number=number, create=create
        )

    def _stage(
        self,
        name: str,
        work: Callable[[], None],
        answering: Alignment | None,
        nearest: list[set[str]] | None = None,
    ) -> None:
        """Do the work while a thread searches the generation that answers."""
        done, times, recall = Event(), list[float](), None
        with ThreadPoolExecutor(1) as pool:
            searching = None
            if answering is not None:
                now = current(self.folder)
                if now is None:
                    raise SystemExit("no generation answers")
                store = self._open(now.number)
                queries = answering.map_texts(self.data.queries)
                if nearest is not None:
                    recall = _recall(store, queries, nearest)
                searching = pool.submit(_search, store, queries, done, times)
            started = time.perf_counter()
            try:
                work()
            finally:
                seconds = time.perf_counter() - started
                memory = process_bytes() or 0
                done.set()
            if searching is not None:
                searching.result()
                store.close()
        disk = disk_bytes(self.folder.index)
        self.stages.append(Stage(name, seconds, disk, memory, times, recall))


def _search(store: CaptionStore, queries: Vectors, done: Event, times: list[float]) -> None:
    while not done.is_set():
        for query in queries:
            if done.is_set():
                return
            started = time.perf_counter()
            store.search(query[None], "mapped", K)
            times.append((time.perf_counter() - started) * 1000)


def _recall(store: CaptionStore, queries: Vectors, nearest: list[set[str]]) -> float:
    found = store.search(queries, "mapped", K)
    pairs = zip(found, nearest, strict=True)
    return float(np.mean([len({hit.id for hit in hits} & best) / K for hits, best in pairs]))


def _id(number: int) -> str:
    return caption_id("", f"caption {number}", "human")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=100_000)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--home", type=Path, help="where to write; by default a temporary folder")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.home) as home:
        bench = Bench(Path(home), Data(given.n, given.dim))
        bench.run()
    table = Table(title=f"{given.n:,} captions, {given.dim} dimensions")
    for title in ("stage", "seconds", "on disk", "memory", "searches", "p50 ms", "p95 ms", "worst"):
        table.add_column(title, justify="left" if title == "stage" else "right")
    table.add_column(f"recall@{K}", justify="right")
    for stage in bench.stages:
        table.add_row(
            stage.name,
            f"{stage.seconds:.1f}",
            readable(stage.disk),
            readable(stage.memory),
            f"{len(stage.times_ms):,}",
            *(f"{np.percentile(stage.times_ms or [np.nan], q):.1f}" for q in (50, 95, 100)),
            "" if stage.recall is None else f"{stage.recall:.3f}",
        )
    Console(width=140).print(table)
    child = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    Console().print(f"peak of the child that built the graph: {readable(child * 1024)}")


if __name__ == "__main__":
    main()
