"""The web app, served by the real command over a folder of collections, for as long as needed."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

ROOT = Path(__file__).parent.parent
_START_S = 300


@dataclass(frozen=True)
class Served:
    """Where the app answers, and its process."""

    address: str
    pid: int


def environment(home: Path) -> dict[str, str]:
    """What a process over `home` with the sample models is started with."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MRAG_")}
    # One thread: the sample models are so small that more of them wait for each other.
    given = {"MRAG_HOME": str(home), "MRAG_PROFILE": "sample", "OMP_NUM_THREADS": "1"}
    return {**kept, **given, "HF_HUB_OFFLINE": "1"}


@contextmanager
def served_app(home: Path) -> Iterator[Served]:
    """`mrag app` on a free port of this machine; raises RuntimeError if it does not start.

    An empty home is filled with the sample collections first. What it prints is in `app.log`.
    """
    address = f"http://127.0.0.1:{(port := _free_port())}"
    command = [sys.executable, "-m", "mrag", "app", "--port", str(port)]
    with (home / "app.log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment(home), stdout=log, stderr=subprocess.STDOUT
        )
        try:
            _wait_for(address, process, home / "app.log")
            yield Served(address, process.pid)
        finally:
            process.terminate()
            process.wait(timeout=30)


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def _wait_for(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    started = time.monotonic()
    while process.poll() is None and time.monotonic() - started < _START_S:
        try:
            if httpx.get(f"{address}/_stcore/health", timeout=5).is_success:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    raise RuntimeError(f"the app did not start: {log.read_text(errors='replace')[-2000:]}")
