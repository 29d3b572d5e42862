"""Ranking metrics over many captions, beside an argsort and beside ir-measures.

    python -m benchmarks.ranking

Makes pictures with five captions each (random unit vectors, a caption near its picture) and
scores picture to caption three ways, each in a process of its own: `evaluation.metrics.ranking`; a
plain numpy argsort of all scores; ir-measures given the 100 best of each query, which it needs
as objects in memory. Prints wall time, time of all cores, peak memory, and the mean scores,
which must agree; ir-measures knows no rank beyond the 100 it was given.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter, process_time

import numpy as np
from numpy.typing import NDArray

from benchmarks.fit import alone, peak_mb
from engine.types import Vectors
from evaluation.metrics.ranking import picture_to_caption

CAPTIONS = 5
DEPTH = 100
SHOWN = ("ndcg@10", "recall@1", "recall@10", "hit@1", "rr", "rank")


@dataclass(frozen=True)
class Row:
    """A line of the table; memory is that of the process, with `data_mb` before scoring."""

    name: str
    seconds: float
    cpu: float
    data_mb: float
    peak_mb: float
    scores: dict[str, float]


def pairs(pictures: int, dim: int) -> tuple[Vectors, Vectors]:
    """Pictures and their captions, row by row."""
    rng = np.random.default_rng(0)
    images = unit(rng.standard_normal((pictures, dim), dtype=np.float32))
    captions = np.repeat(images, CAPTIONS, axis=0)
    captions += rng.standard_normal(captions.shape, dtype=np.float32) * np.float32(0.3)
    return images, unit(captions)


def unit(rows: Vectors) -> Vectors:
    """The rows at length 1."""
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def ours(images: Vectors, captions: Vectors) -> dict[str, float]:
    """By evaluation.ranking."""
    owners = np.repeat(np.arange(len(images)), CAPTIONS)
    scores = picture_to_caption(images, captions, owners)
    return {name: float(np.mean(values)) for name, values in scores.items()}


def by_argsort(images: Vectors, captions: Vectors) -> dict[str, float]:
    """By sorting every score, as a script would, in blocks that fit in memory."""
    found = []
    discounts = 1 / np.log2(np.arange(2, 12))
    for start in range(0, len(images), 500):
        order = np.argsort(-(images[start : start + 500] @ captions.T), axis=1)
        owners = np.arange(start, start + len(order))[:, None]
        relevant = order // CAPTIONS == owners
        first = relevant.argmax(axis=1)
        ndcg = relevant[:, :10] @ discounts / discounts[:CAPTIONS].sum()
        one, ten = (relevant[:, :k].sum(axis=1) / CAPTIONS for k in (1, 10))
        found.append(np.stack([ndcg, one, ten, relevant[:, 0], 1 / (1 + first), 1 + first]))
    means: NDArray[np.float64] = np.concatenate(found, axis=1).mean(axis=1)
    return dict(zip(SHOWN, means.tolist(), strict=True))


def by_ir_measures(images: Vectors, captions: Vectors) -> dict[str, float]:
    """By ir-measures, on the best of each query."""
    import ir_measures
    from ir_measures import RR, R, Success, nDCG

    qrels = [ir_measures.Qrel(str(j // CAPTIONS), str(j), 1) for j in range(len(captions))]
    run = []
    for start in range(0, len(images), 500):
        scores = images[start : start + 500] @ captions.T
        best = np.argpartition(-scores, DEPTH, axis=1)[:, :DEPTH]
        for row, documents in enumerate(best):
            query = str(start + row)
            run += [ir_measures.ScoredDoc(query, str(d), float(scores[row, d])) for d in documents]
    measures = [nDCG @ 10, R @ 1, R @ 10, Success @ 1, RR]
    means = ir_measures.calc_aggregate(measures, qrels, run)
    return {name: means[measure] for name, measure in zip(SHOWN, measures, strict=False)}


def measure(
    name: str, job: Callable[[Vectors, Vectors], dict[str, float]], pictures: int, dim: int
) -> Row:
    """Run one job on data made beforehand."""
    images, captions = pairs(pictures, dim)
    before = peak_mb()
    started, busy = perf_counter(), process_time()
    scores = job(images, captions)
    return Row(name, perf_counter() - started, process_time() - busy, before, peak_mb(), scores)


def print_table(rows: list[Row], pictures: int, dim: int) -> None:
    """Print the rows as a Markdown table."""
    print(
        f"{pictures:,} pictures against {pictures * CAPTIONS:,} captions, {dim} dimensions, "
        f"{os.cpu_count()} cores, OMP_NUM_THREADS={os.environ.get('OMP_NUM_THREADS', 'not set')}\n"
    )
    shown = " | ".join(SHOWN)
    print(f"| by | s | CPU, s | MB before | peak MB | {shown} |")
    print("| --- |" + " ---: |" * (4 + len(SHOWN)))
    for row in rows:
        scores = " | ".join(
            f"{row.scores[name]:.6f}" if name in row.scores else "" for name in SHOWN
        )
        print(
            f"| {row.name} | {row.seconds:.2f} | {row.cpu:.2f} | {row.data_mb:,.0f} "
            f"| {row.peak_mb:,.0f} | {scores} |"
        )


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--pictures", type=int, default=5000)
    parser.add_argument("--dim", type=int, default=512)
    args = parser.parse_args()
    jobs = {"mRAG": ours, "numpy argsort": by_argsort, "ir-measures": by_ir_measures}
    rows = []
    for name, job in jobs.items():
        with alone() as process:
            rows.append(process.submit(measure, name, job, args.pictures, args.dim).result())
    print_table(rows, args.pictures, args.dim)


if __name__ == "__main__":
    main()
