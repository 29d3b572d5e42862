"""What a server that ends, gently or not, leaves to the next one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event

import pytest

from engine.app import Engine
from engine.settings import Settings
from ingest.delete import delete
from ingest.jobs.background import Jobs
from tests.worlds import OneEncoder, PixelEncoder

_REPOSITORY = Path(__file__).parents[2]
_SERVER = """
import sys, time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from engine.app import Engine
from engine.models.loaded import Models
from engine.settings import Settings
from ingest import building
from ingest.jobs.background import Jobs
from tests.worlds import PixelEncoder

building.SHARD_SECONDS = 0.05
pixels = PixelEncoder()

class Slow:
    id, dim, encode_texts = pixels.id, pixels.dim, pixels.encode_texts

    def encode_images(self, images):
        time.sleep(0.1)
        return pixels.encode_images(images)

class Only(Models):
    def encoder(self, spec):
        return Slow()

home, root = map(Path, sys.argv[1:])
settings = Settings(home=home, source_root=root, generator="consensus", batch_size=2, qdrant_url="")
engine = Engine(settings)
engine.models = Only(settings)
jobs = Jobs(engine)
jobs.start("noise", root)
while not list((home / "collections" / "noise" / "embeddings").glob("shard-*")):
    time.sleep(0.01)
print("half", flush=True)
sys.stdin.read()
# An answer is being made when it ends, and waited for: by then no thread can be started any more.
ThreadPoolExecutor(1).submit(time.sleep, 0.5)
"""


@pytest.fixture
def root(tmp_path: Path, painted: Callable[[Path, int], None]) -> Path:
    for seed in range(40):
        painted(tmp_path / "root" / f"{seed:02}.png", seed)
    return tmp_path / "root"


@pytest.fixture
def server(tmp_path: Path, root: Path) -> Iterator[subprocess.Popen[str]]:
    """A process in the middle of an ingest."""
    command = [sys.executable, "-c", _SERVER, str(tmp_path / "home"), str(root)]
    environment = {**os.environ, "PYTHONPATH": str(_REPOSITORY), "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=_REPOSITORY,
        env=environment,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "half\n"
        yield process
        process.kill()


@pytest.fixture
def engine(tmp_path: Path, root: Path, encoder: PixelEncoder) -> Engine:
    settings = Settings(
        home=tmp_path / "home", source_root=root, generator="consensus", qdrant_url=""
    )
    engine = Engine(settings)
    engine.models = OneEncoder(settings, encoder)
    return engine


def test_a_killed_server_leaves_a_job_that_goes_on(
    server: subprocess.Popen[str], engine: Engine, encoder: PixelEncoder
) -> None:
    watching = Jobs(engine)
    (job,) = watching.all()
    assert job.state == "running"
    server.send_signal(signal.SIGKILL)
    server.wait(10)
    jobs = Jobs(engine)
    assert [one.state for one in jobs.all()] == ["interrupted"]
    assert not list((engine.settings.home / "jobs").glob("*.lock"))
    jobs.resume(job.id)
    while jobs.get(job.id).is_active:
        Event().wait(0.01)
    assert jobs.get(job.id).state == "done"
    assert 0 < encoder.pictures < 40
    assert engine.open("noise").summary().images == 40
    jobs.close()
    engine.close()


def test_a_server_that_ends_gently_does_not_wait_for_its_job(
    server: subprocess.Popen[str], engine: Engine
) -> None:
    assert server.stdin is not None
    server.stdin.close()
    assert server.wait(10) == 0
    (job,) = Jobs(engine).all()
    assert (job.state, job.message) == ("interrupted", "")
    assert job.ended is not None
    delete(engine, "noise")
    assert engine.names() == []
