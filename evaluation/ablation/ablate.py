"""Ablations: a grid of settings measured cell by cell, each held to the default.

Every cell is kept on disk under all that it depends on, so an interrupted grid goes on, a
wider one measures only what is new, and a repeated one measures nothing.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from threading import Thread
from typing import Any

import numpy as np

from engine.errors import InvalidInput, MragError
from engine.models.loaded import Models
from engine.settings import Settings
from evaluation.ablation.cell_cache import CellCache
from evaluation.ablation.cells import METRICS, Bench, Outcome
from evaluation.ablation.grid import DEFAULT, Cell, Variant
from evaluation.ablation.study import Study
from evaluation.conditions import conditions
from evaluation.metrics.caption_metrics import difference
from evaluation.metrics.intervals import Difference, Values

WORTH_A_PROCESS = 4
"""Cells that a further process must have to do: starting one takes as long as some cells."""

OnDone = Callable[[int, int], None]
"""Told how many cells are measured, and of how many."""


@dataclass(frozen=True)
class Row:
    """A variant, what it came to, and by how much that differs from the default.

    `differences` are paired over pictures: metric -> variant minus default. `failed` says why
    there is no outcome.
    """

    variant: Variant
    outcome: Outcome | None
    differences: Mapping[str, Difference] = field(default_factory=dict)
    failed: str = ""


@dataclass(frozen=True)
class Laboratory:
    """What cells are measured with; all of it can travel to another process.

    `studies` by encoder ("" is the collection's) and name ("" is the collection). `left_out`
    counts the pictures that another encoder's embedding lacks: no cell is measured on them.
    """

    studies: Mapping[tuple[str, str], Study]
    settings: Settings
    generator: str
    generator_id: str
    left_out: int = 0

    def bench(self) -> Bench:
        """The studies with models; raises ModelMissing."""
        models = Models(self.settings)
        return Bench(self.studies, models.encoder, models.generator(self.generator))

    def key(self, cell: Cell) -> dict[str, Any]:
        """All that the outcome of a cell depends on."""
        names = {"", cell.map_of, cell.index_of}
        return {
            "cell": asdict(cell),
            "metrics": METRICS,
            "data": {n: self.studies[cell.encoder, n].fingerprint for n in sorted(names)},
            "generator": self.generator_id,
            "conditions": conditions(self.settings),
        }


def ablate(
    laboratory: Laboratory,
    variants: Sequence[Variant],
    cache: CellCache,
    *,
    jobs: int = 0,
    seed: int = 0,
    on_done: OnDone = lambda _done, _of: None,
) -> list[Row]:
    """Measure the variants, the default among them, in `jobs` processes (0: as many as help).

    A variant whose settings cannot be used on this data is a row that says so. Raises
    InvalidInput where the default itself cannot be measured.
    """
    cells = list(dict.fromkeys([DEFAULT.cell, *(variant.cell for variant in variants)]))
    keys = {cell: laboratory.key(cell) for cell in cells}
    found: dict[Cell, Outcome | str] = {}
    for cell in cells:
        kept = cache.get(keys[cell])
        if kept is not None:
            found[cell] = kept
    on_done(len(found), len(cells))
    missing = [cell for cell in cells if cell not in found]
    for cell, outcome in _measured(laboratory, missing, jobs):
        found[cell] = outcome
        # What may come right another day (no Java, say) is tried again.
        if isinstance(outcome, Outcome) and not outcome.missing:
            cache.put(keys[cell], outcome)
        on_done(len(found), len(cells))
    default = found[DEFAULT.cell]
    if isinstance(default, str):
        raise InvalidInput(f"the default cannot be measured: {default}")
    return [_row(variant, found[variant.cell], default, seed) for variant in variants]


def _row(variant: Variant, outcome: Outcome | str, default: Outcome, seed: int) -> Row:
    if isinstance(outcome, str):
        return Row(variant, None, failed=outcome)
    if variant.cell == DEFAULT.cell:
        return Row(variant, outcome)
    shared = [metric for metric in METRICS if metric in outcome.values and metric in default.values]
    differences = {
        metric: difference(metric, _scored(outcome, metric), _scored(default, metric), seed=seed)
        for metric in shared
    }
    return Row(variant, outcome, differences)


def _scored(outcome: Outcome, metric: str) -> tuple[Values, Values | None]:
    """The values of a metric, and what its figure is counted from."""
    counts = outcome.counts.get(metric)
    values = np.array(outcome.values[metric])
    return values, None if counts is None else np.array(counts)


def _measured(
    laboratory: Laboratory, cells: Sequence[Cell], jobs: int
) -> Iterator[tuple[Cell, Outcome | str]]:
    """The cells' outcomes as they come, or why there is none."""
    helping = max(1, min(os.cpu_count() or 1, len(cells) // WORTH_A_PROCESS))
    if (jobs or helping) == 1 and cells:
        bench = laboratory.bench()
        yield from ((cell, _outcome(bench, cell)) for cell in cells)
    elif cells:
        with _one_thread_each(), _pool(laboratory, jobs or helping) as pool:
            futures: dict[Future[Outcome | str], Cell] = {
                pool.submit(_measure, cell): cell for cell in cells
            }
            try:
                for future in as_completed(futures):
                    yield futures[future], future.result()
            finally:
                pool.shutdown(cancel_futures=True)


def _pool(laboratory: Laboratory, processes: int) -> ProcessPoolExecutor:
    # Spawned, not forked: threads of numerical libraries do not survive a fork.
    return ProcessPoolExecutor(
        processes, multiprocessing.get_context("spawn"), _start, (laboratory,)
    )


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Processes started meanwhile compute with one thread: together they fill the cores."""
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["OMP_NUM_THREADS"]
        else:
            os.environ["OMP_NUM_THREADS"] = before


_bench: Bench | None = None


def _start(laboratory: Laboratory) -> None:
    global _bench  # noqa: PLW0603 (a process of the pool has one bench)
    Thread(target=_end_with_parent, daemon=True).start()
    _bench = laboratory.bench()


def _end_with_parent() -> None:
    """End this process when the one that started it is gone: killed, it could not say so."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _measure(cell: Cell) -> Outcome | str:
    if _bench is None:
        raise RuntimeError("a process of the pool was not started by _start")
    return _outcome(_bench, cell)


def _outcome(bench: Bench, cell: Cell) -> Outcome | str:
    try:
        return bench.measure(cell)
    except MragError as error:
        return str(error)
