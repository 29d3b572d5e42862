"""The first start of the real command, stopped at ten moments and started again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from corpus.ledger import Ledger
from engine.collection import CollectionFolder
from ingest.samples import SAMPLES, waiting
from tests.cli.conftest import PACK, ROOT
from tests.refine.refining import points

MOMENTS = 10
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)
PICTURES = 350


def demo(home: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "mrag", "demo"],
        cwd=ROOT,
        env={"MRAG_HOME": str(home), "PATH": os.environ["PATH"], "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(home: Path) -> None:
    with demo(home) as process:
        _, told = process.communicate(timeout=900)
        assert process.returncode == 0, told


def loose_captions() -> int:
    return len((PACK / "memory.txt").read_text(encoding="utf-8").splitlines())


def is_whole(home: Path, name: str) -> None:
    folder = CollectionFolder(home, name)
    with Ledger.open(folder) as ledger:
        captions = ledger.captions()
        assert ledger.pictures() == PICTURES
    assert captions == PICTURES * 5 + loose_captions()
    kinds = [store for store, _ in points(folder, most=captions)]
    assert (kinds.count("images"), kinds.count("captions")) == (PICTURES, captions)


@pytest.mark.slow
def test_a_first_start_goes_on_where_it_was(tmp_path: Path) -> None:
    """Each moment is reached in a home of its own, by the time that a whole start takes."""
    started = time.monotonic()
    finish(tmp_path / "undisturbed")
    whole = time.monotonic() - started
    ended = 0
    for number in range(MOMENTS):
        home = tmp_path / str(number)
        with demo(home) as process:
            try:
                process.wait(whole * (number + 0.5) / MOMENTS)
            except subprocess.TimeoutExpired:
                sent = SIGNALS[number % len(SIGNALS)]
                process.send_signal(sent)
                _, told = process.communicate(timeout=60)
                # While Python itself still starts, a signal ends it as it ends any program.
                assert process.returncode in {130, -sent}, told
                ended += 1
        print(f"moment {number}: {process.returncode}, waits for {waiting(home)}", flush=True)
        finish(home)
        assert waiting(home) == []
        for name in SAMPLES:
            is_whole(home, name)
    assert ended >= MOMENTS / 2
