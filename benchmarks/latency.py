"""Where the time of a caption goes: each stage, and the share outside the two models.

    python benchmarks/latency.py COLLECTION IMAGE... [--rounds 20] [--threads 1]

Describes each picture alone, as `mrag caption` does, on models that are already loaded, and
prints the median of each stage. COLLECTION is one that `mrag ingest` or `mrag demo` has made.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from pathlib import Path
from statistics import median
from time import perf_counter

import torch

from engine.app import build_engine

_MODELS = frozenset(("encode", "generate", "encode candidates"))


def main() -> None:
    """Read the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("collection")
    parser.add_argument("images", nargs="+", type=Path)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    print_table(measure(given.collection, given.images, given.rounds))


def measure(collection: str, images: list[Path], rounds: int) -> dict[str, list[float]]:
    """Milliseconds of each stage, one entry per caption after a warm-up round."""
    engine = build_engine()
    captioner = engine.open(collection).captioner()
    spent: dict[str, list[float]] = defaultdict(list)
    for turn in range(rounds + 1):
        for path in images:
            started = perf_counter()
            picture = engine.open_picture(path)
            opened = (perf_counter() - started) * 1000
            (result,) = captioner.describe([picture.image])
            if turn:
                spent["open"].append(opened)
                for stage, milliseconds in result.timings_ms.items():
                    spent[stage].append(milliseconds)
                spent["all"].append((perf_counter() - started) * 1000)
    engine.close()
    return spent


def print_table(spent: dict[str, list[float]]) -> None:
    """One row a stage: median milliseconds, and the share of the sum of the stages."""
    medians = {stage: median(values) for stage, values in spent.items() if stage != "all"}
    total = sum(medians.values())
    print(f"{'stage':20}{'ms':>9}{'share':>9}")
    for stage, value in medians.items():
        print(f"{stage:20}{value:9.2f}{value / total:9.1%}")
    outside = sum(value for stage, value in medians.items() if stage not in _MODELS)
    print(f"{'outside the models':20}{outside:9.2f}{outside / total:9.1%}")
    print(f"{'whole caption':20}{median(spent['all']):9.2f}   ({len(spent['all'])} captions)")


if __name__ == "__main__":
    main()
