"""What a collection costs on disk, in time and in memory, before and after, in one run.

    git worktree add --detach /tmp/old 8b99010
    python -m benchmarks.corpus --old /tmp/old --dir /a/folder/with/room

Pictures are made up: random unit vectors of 512 dimensions, five captions each (one each from a
million on) of the length and the word frequencies of real ones, real paths and times. Each task
runs in a process of its own, whose peak memory is its own; the encoder gives vectors that are
there already, so that only what the program does beside it is timed. `--sides` leaves one out,
`--pictures` names the sizes. A million pictures take about 6 GB of disk while they are measured.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
MILLION = 1_000_000
DIM = 512


@dataclass(frozen=True)
class Told:
    """What a task told: seconds, peak memory in MB (of which imports), and how much it found."""

    seconds: float
    before_mb: float
    peak_mb: float
    found: int | None


Figures = dict[str, str]


class Program:
    """One side: a tree of sources, and the module that knows its interfaces."""

    def __init__(self, name: str, tree: Path, shelf: Path) -> None:
        self.name = name
        # This tree's benchmarks, but the other rooms of the side's tree.
        shelf.mkdir(parents=True, exist_ok=True)
        if not (shelf / "benchmarks").exists():
            (shelf / "benchmarks").symlink_to(REPOSITORY / "benchmarks")
        self._path = f"{shelf}{os.pathsep}{tree}"

    def run(self, task: str, home: Path, count: int, captions: int) -> Told:
        """Run a task in a process of its own; raises CalledProcessError where it fails."""
        module = f"benchmarks.scale.{self.name}"
        done = subprocess.run(
            [sys.executable, "-P", "-m", module, task, str(home), str(count), str(captions)],
            env={**os.environ, "PYTHONPATH": self._path},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        return Told(**json.loads(done.stdout.splitlines()[-1]))


def measure(program: Program, work: Path, count: int, options: argparse.Namespace) -> Figures:
    """All figures of one side at one size; its data are deleted."""
    captions = 1 if count >= MILLION else 5
    home = work / f"{program.name}-{count}"
    figures: Figures = {}

    def run(task: str) -> Told:
        told = program.run(task, home, count, captions)
        print(f"  {program.name} {count:,} {task}: {told}", file=sys.stderr, flush=True)
        return told

    try:
        wrote = run("write")
        figures["write, pictures/s"] = f"{count / wrote.seconds:,.0f}"
        figures["write, peak MB"] = f"{wrote.peak_mb:,.0f}"
        shards, ledger = _bytes(home)
        beyond = shards - count * (1 + captions) * DIM * 2
        figures["shards beyond vectors, bytes/picture"] = f"{beyond / count:,.0f}"
        figures["ledger, bytes/picture"] = f"{ledger / count:,.0f}"
        figures["all beyond vectors, bytes/picture"] = f"{(beyond + ledger) / count:,.0f}"
        for task in ("open", "rebuild", "split", "pairs", "gather"):
            told = run(task)
            figures[f"{NAMES[task]}, s"] = f"{told.seconds:,.2f}"
            figures[f"{NAMES[task]}, peak MB"] = f"{told.peak_mb:,.0f}"
        if count <= options.push_up_to:
            pushed = run("push")
            figures["push, s"] = f"{pushed.seconds:,.1f}"
            figures["push, peak MB"] = f"{pushed.peak_mb:,.0f}"
        figures["add 1 %, s"] = f"{run('add').seconds:,.2f}"
        if count <= options.push_up_to:
            figures["push of 1 % more, s"] = f"{run('push').seconds:,.1f}"
        if count <= options.touch_up_to:
            figures |= _touched(run, home)
    finally:
        shutil.rmtree(home, ignore_errors=True)
    return figures


NAMES = {
    "open": "open the ledger",
    "rebuild": "rebuild the ledger",
    "split": "read a split of a tenth",
    "pairs": "read all pairs",
    "gather": "read all pairs with moments",
}


def _touched(run: Callable[[str], Told], home: Path) -> Figures:
    """Ten ingests of the same pictures, all files touched, then what compaction leaves."""
    before = sum(_bytes(home))
    told = run("touch")
    grown = sum(_bytes(home)) / before
    compacted = run("compact")
    left = sum(_bytes(home)) / before
    return {
        "ten touched ingests, s": f"{told.seconds:,.1f}",
        "bytes after these": f"{grown:.2f} times",
        "compact, s": f"{compacted.seconds:,.1f}",
        "compact, peak MB": f"{compacted.peak_mb:,.0f}",
        "bytes after that": f"{left:.2f} times",
    }


def _bytes(home: Path) -> tuple[int, int]:
    """Bytes of the shards, and of the ledger."""
    folder = home / "collections" / "scale"
    parts = ("embeddings", "generated", "rounds")
    files = [path for part in parts for path in (folder / part).rglob("*") if path.is_file()]
    files += folder.glob("ledger*")
    ledger = sum(path.stat().st_size for path in files if path.name.startswith("ledger"))
    return sum(path.stat().st_size for path in files) - ledger, ledger


def print_table(sizes: Sequence[int], found: Mapping[tuple[str, int], Figures]) -> None:
    """Print the figures as a Markdown table, the sides of a size side by side."""
    columns = [(side, size) for size in sizes for side, at in found if at == size]
    names = dict.fromkeys(name for column in columns for name in found[column])
    print("| | " + " | ".join(f"{side}, {size:,}" for side, size in columns) + " |")
    print("| --- |" + " ---: |" * len(columns))
    for name in names:
        cells = [found[column].get(name, "") for column in columns]
        print(f"| {name} | " + " | ".join(cells) + " |")


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--old", type=Path, help="a worktree of commit 8b99010")
    parser.add_argument("--new", type=Path, default=REPOSITORY, help="another tree than this one")
    parser.add_argument("--dir", type=Path, help="where the data may lie (default: temporary)")
    parser.add_argument("--pictures", type=int, nargs="+", default=[10_000, 100_000, MILLION])
    parser.add_argument("--sides", nargs="+", default=["old", "new"], choices=["old", "new"])
    parser.add_argument("--push-up-to", type=int, default=100_000, help="pictures (default 100000)")
    parser.add_argument("--touch-up-to", type=int, default=10_000, help="pictures (default 10000)")
    args = parser.parse_args()
    if "old" in args.sides and args.old is None:
        parser.error("the old side needs --old PATH, a worktree of commit 8b99010; or --sides new")
    found: dict[tuple[str, int], Figures] = {}
    with tempfile.TemporaryDirectory(prefix="corpus-", dir=args.dir) as folder:
        work = Path(folder)
        trees = {"old": args.old, "new": args.new}
        programs = [Program(name, trees[name], work / f"path-{name}") for name in args.sides]
        for count in args.pictures:
            for program in programs:
                found[program.name, count] = measure(program, work, count, args)
    print_table(args.pictures, found)


if __name__ == "__main__":
    main()
