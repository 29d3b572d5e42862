"""How long `mrag search` takes as a whole process: beside a running server, and alone.

    python -m benchmarks.start              9 runs of each, in turn
    python -m benchmarks.start --runs 5

Over the sample collections, in a home of its own; the first run of each is not counted. The CPU
seconds of a process say more than its wall seconds on a machine that does other things, too.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

from mrag_client.presence import running_server

ROOT = Path(__file__).parents[1]
SEARCH = ("search", "a dog", "--collection", "plain", "--json")
COMMANDS = {
    "search, beside a server": SEARCH,
    "search, alone": (*SEARCH, "--local"),
    "--help": ("--help",),
    "--version": ("--version",),
}
_PATIENCE_S = 120


@dataclass(frozen=True)
class Run:
    """What one process took."""

    wall_s: float
    cpu_s: float


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=9)
    runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory(prefix="mrag-start-") as folder:
        served, alone = Path(folder, "served"), Path(folder, "alone")
        _mrag(served, "demo")
        shutil.copytree(served, alone)
        with _server(served):
            homes = {name: alone if "alone" in name else served for name in COMMANDS}
            taken: dict[str, list[Run]] = {name: [] for name in COMMANDS}
            for number in range(runs + 1):
                for name, command in COMMANDS.items():
                    run = _mrag(homes[name], *command)
                    if number:  # the first one finds nothing in the disk's cache
                        taken[name].append(run)
    _show(taken)


def _mrag(home: Path, *args: str) -> Run:
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(_command(*args), env=_environment(home), capture_output=True, check=True)
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Run(wall, cpu)


@contextmanager
def _server(home: Path) -> Iterator[None]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    process = subprocess.Popen(_command("serve", "--port", port), env=_environment(home))
    try:
        ends = time.monotonic() + _PATIENCE_S
        while running_server(home) is None:
            if process.poll() is not None or time.monotonic() > ends:
                raise SystemExit("the server did not start; what it says above is why")
            time.sleep(0.1)
        _mrag(home, *SEARCH)  # its models are loaded now
        yield
    finally:
        process.terminate()
        process.wait()


def _command(*args: str) -> list[str]:
    return [sys.executable, "-m", "mrag", *args]


def _environment(home: Path) -> dict[str, str]:
    return os.environ | {"MRAG_HOME": str(home), "PYTHONPATH": str(ROOT)}


def _show(taken: dict[str, list[Run]]) -> None:
    table = Table("mrag", "wall s", "CPU s", title="medians of whole processes")
    for name, runs in taken.items():
        wall, cpu = median(run.wall_s for run in runs), median(run.cpu_s for run in runs)
        table.add_row(name, f"{wall:.2f}", f"{cpu:.2f}")
    beside, alone = (taken[name] for name in list(COMMANDS)[:2])
    ratio = median(b.wall_s / a.wall_s for a, b in zip(beside, alone, strict=True))
    console = Console()
    console.print(table)
    console.print(f"alone takes {ratio:.1f} times as long as beside a server (run by run)")


if __name__ == "__main__":
    main()
