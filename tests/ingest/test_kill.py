"""kill -9 at random moments of an ingest, then finish: the index of an undisturbed run."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import qdrant_edge as edge

from corpus.ledger import Ledger
from corpus.shards import read_contents, read_described, shard_path, shard_sizes
from engine.collection import CollectionFolder

_REPOSITORY = Path(__file__).parents[2]
_SCRIPT = Path(__file__).with_name("killable.py")
_PICTURES = 40


@pytest.fixture
def source(tmp_path: Path, painted: Callable[[Path, int], None]) -> Path:
    """Pictures, every other with captions beside it, a copy, and two that cannot be read."""
    folder = tmp_path / "source"
    for seed in range(_PICTURES):
        painted(folder / f"{seed:02d}.png", seed)
        if seed % 2:
            sidecar = folder / f"{seed:02d}.txt"
            sidecar.write_text(f"caption a of {seed}\ncaption b of {seed}\n", encoding="utf-8")
    shutil.copy(folder / "03.png", folder / "copy.png")
    (folder / "10a.png").write_bytes(b"")
    (folder / "20a.png").write_bytes((folder / "20.png").read_bytes()[:60])
    return folder


def start(home: Path, source: Path, batch_seconds: float = 0.02) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(_REPOSITORY), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, str(_SCRIPT), str(home), str(source), str(batch_seconds)],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def finish(home: Path, source: Path) -> float:
    with start(home, source) as process:
        started = time.monotonic()
        assert process.wait(timeout=120) == 0
        return time.monotonic() - started


def kill_after(seconds: float, home: Path, source: Path) -> bool:
    """Whether it was still at work when it was killed."""
    with start(home, source) as process:
        try:
            process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(timeout=30)
            return True
        assert process.returncode == 0
        return False


def index(home: Path) -> dict[tuple[str, str], Any]:
    """Every point of both stores as it lies on disk."""
    points = {}
    for name in ("images", "captions"):
        shard = edge.EdgeShard.load(str(home / "collections/killed/index" / name / "shard"))
        request = edge.ScrollRequest(limit=10_000, with_payload=True, with_vector=True)
        records, rest = shard.scroll(request)
        assert rest is None
        points.update({(name, str(record.id)): record for record in records})
        shard.close()
    return points


def assert_same(home: Path, undisturbed: Path) -> None:
    found, expected = index(home), index(undisturbed)
    assert found.keys() == expected.keys()
    for key, record in expected.items():
        assert found[key].payload == record.payload
        assert found[key].vector.keys() == record.vector.keys()
        for name in record.vector.keys() - {"bm25"}:
            np.testing.assert_allclose(found[key].vector[name], record.vector[name], atol=4e-3)
        words, same_words = found[key].vector["bm25"], record.vector["bm25"]
        assert (words.indices, words.values) == (same_words.indices, same_words.values)


def embedded(home: Path) -> tuple[int, int, int]:
    """Pictures, loose captions and descriptions ever written, superseded ones too."""
    folder = CollectionFolder(home, "killed")
    shards = [
        read_contents(shard_path(folder.embeddings, n)) for n in shard_sizes(folder.embeddings)
    ]
    described = [
        read_described(shard_path(folder.generated, n)) for n in shard_sizes(folder.generated)
    ]
    return (
        sum(len(contents.entries) for contents in shards),
        sum(len(contents.loose) for contents in shards),
        sum(len(shard.described) for shard in described),
    )


def kill_and_finish(tmp_path: Path, source: Path, kills: int, seed: int) -> None:
    undisturbed, home = tmp_path / "undisturbed", tmp_path / "home"
    seconds = finish(undisturbed, source)
    assert embedded(undisturbed) == (_PICTURES, 50, _PICTURES // 2)
    rng = random.Random(seed)
    done = 0
    while done < kills:
        if kill_after(rng.uniform(0, seconds), home, source):
            done += 1
        else:
            assert_same(home, undisturbed)
            shutil.rmtree(home)
    finish(home, source)
    assert_same(home, undisturbed)
    assert embedded(home) == (_PICTURES, 50, _PICTURES // 2)
    folder = CollectionFolder(home, "killed")
    assert not list(folder.path.rglob("*.partial"))
    assert len(folder.skipped.read_text(encoding="utf-8").splitlines()) == 3
    with Ledger.open(folder) as ledger:
        assert ledger.undescribed() == 0


def test_three_kills_leave_the_same_index(tmp_path: Path, source: Path) -> None:
    kill_and_finish(tmp_path, source, kills=3, seed=1)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [2, 3])
def test_twenty_kills_leave_the_same_index(tmp_path: Path, source: Path, seed: int) -> None:
    kill_and_finish(tmp_path, source, kills=20, seed=seed)


def test_the_lock_goes_with_the_killed_process(tmp_path: Path, source: Path) -> None:
    home = tmp_path / "home"
    with start(home, source, batch_seconds=1.0) as process:
        folder = CollectionFolder(home, "killed")
        while not list(folder.embeddings.glob("shard-*")):
            time.sleep(0.01)
        with start(home, source) as second:
            assert second.wait(timeout=60) == 1
        process.kill()
        process.wait(timeout=30)
    finish(home, source)
