"""Fit the map on pairs streamed from disk, beside scikit-learn on as much as fits in memory.

    python -m benchmarks.fit --dir /a/folder/with/room

Writes float16 safetensors shards of synthetic pairs (566,000 pairs of 1024 dimensions take
2.3 GB), then fits each in a process of its own: `ols` from streamed moments on all pairs and
on the first `--baseline-pairs`, and LinearRegression on the latter. Prints a table of wall
time and peak memory, and how far the two maps are apart. The shards are deleted.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from time import perf_counter, process_time

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save_file

SHARD_ROWS = 16_384


@dataclass(frozen=True)
class Row:
    """A line of the table: seconds of wall time and of all cores together, peak memory in MB."""

    name: str
    pairs: int
    read_and_sum: float
    solve: float
    cpu: float
    peak_mb: float


def write_shards(folder: Path, pairs: int, dim: int) -> None:
    """Write shards of `images` and `captions`, unit rows with a gap between their means."""
    rng = np.random.default_rng(0)
    spread = np.geomspace(1, 0.1, dim, dtype=np.float32)
    for number, start in enumerate(range(0, pairs, SHARD_ROWS)):
        shape = (min(SHARD_ROWS, pairs - start), dim)
        meaning = rng.standard_normal(shape, dtype=np.float32) * spread
        noise = rng.standard_normal(shape, dtype=np.float32) * 0.3
        shard = {"images": meaning + 0.2, "captions": np.roll(meaning, 1, axis=1) + noise - 0.2}
        halves = {name: unit(rows).astype(np.float16) for name, rows in shard.items()}
        save_file(halves, folder / f"{number:05d}.safetensors")


def unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """The rows at length 1."""
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))


def read_shards(
    folder: Path, limit: int
) -> Iterator[tuple[NDArray[np.float16], NDArray[np.float16]]]:
    """The first `limit` pairs, a shard at a time."""
    for path in sorted(folder.glob("*.safetensors")):
        if limit <= 0:
            return
        with safe_open(path, framework="numpy") as shard:
            images = shard.get_tensor("images")[:limit]
            captions = shard.get_tensor("captions")[:limit]
        limit -= len(images)
        yield images, captions


def fit_streamed(folder: Path, pairs: int, dim: int, result: Path) -> Row:
    """Fit `ols` from moments, one shard in memory at a time."""
    from engine.alignment.alignment import Alignment, PairMoments

    started = perf_counter()
    moments = PairMoments(dim)
    for images, captions in read_shards(folder, pairs):
        moments.update(images, captions)
    summed = perf_counter()
    alignment = Alignment.fit(moments, "ols")
    solved = perf_counter()
    np.save(result, np.asarray(alignment.matrix))
    return Row(
        "mRAG, streamed", pairs, summed - started, solved - summed, process_time(), peak_mb()
    )


def fit_in_memory(folder: Path, pairs: int, dim: int, result: Path) -> Row:
    """Fit scikit-learn's LinearRegression on float32 rows held in memory."""
    from sklearn.linear_model import LinearRegression

    started = perf_counter()
    images = np.empty((pairs, dim), np.float32)
    captions = np.empty((pairs, dim), np.float32)
    done = 0
    for some_images, some_captions in read_shards(folder, pairs):
        images[done : done + len(some_images)] = some_images
        captions[done : done + len(some_images)] = some_captions
        done += len(some_images)
    read = perf_counter()
    model = LinearRegression(copy_X=False).fit(images, captions)
    solved = perf_counter()
    np.save(result, model.coef_.T)
    return Row(
        "scikit-learn LinearRegression",
        pairs,
        read - started,
        solved - read,
        process_time(),
        peak_mb(),
    )


def peak_mb() -> float:
    """The peak resident memory of this process in MB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6


def alone() -> ProcessPoolExecutor:
    """A process that starts fresh, so that its peak memory is its own."""
    return ProcessPoolExecutor(1, mp_context=get_context("spawn"))


def run(folder: Path, pairs: int, baseline_pairs: int, dim: int) -> None:
    """Write the shards, fit three times and print the table."""
    with alone() as process:
        process.submit(write_shards, folder, pairs, dim).result()
    jobs = [
        (fit_streamed, pairs, folder / "all.npy"),
        (fit_streamed, baseline_pairs, folder / "ours.npy"),
        (fit_in_memory, baseline_pairs, folder / "theirs.npy"),
    ]
    rows = []
    for job, count, result in jobs:
        with alone() as process:
            rows.append(process.submit(job, folder, count, dim, result).result())
    print_table(rows, pairs, dim)
    ours, theirs = np.load(folder / "ours.npy"), np.load(folder / "theirs.npy")
    gap = np.linalg.norm(ours - theirs) / np.linalg.norm(theirs)
    print(f"\nThe two maps on {baseline_pairs:,} pairs differ by {gap:.1e} of their norm.")


def print_table(rows: list[Row], pairs: int, dim: int) -> None:
    """Print the rows as a Markdown table."""
    print(f"{pairs:,} pairs, {dim} dimensions, float16 shards, {os.cpu_count()} cores\n")
    print("| fit | pairs | read and sum, s | solve, s | total, s | CPU, s | pairs/s | peak MB |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for row in rows:
        total = row.read_and_sum + row.solve
        print(
            f"| {row.name} | {row.pairs:,} | {row.read_and_sum:.1f} | {row.solve:.1f} "
            f"| {total:.1f} | {row.cpu:.1f} | {row.pairs / total:,.0f} | {row.peak_mb:,.0f} |"
        )


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--dir", type=Path, help="where the shards may lie (default: temporary)")
    parser.add_argument("--pairs", type=int, default=566_000)
    parser.add_argument("--baseline-pairs", type=int, default=50_000)
    parser.add_argument("--dim", type=int, default=1024)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fit-", dir=args.dir) as folder:
        run(Path(folder), args.pairs, min(args.baseline_pairs, args.pairs), args.dim)


if __name__ == "__main__":
    main()
