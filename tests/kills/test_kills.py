"""kill -9 at any moment: nothing is lost, nothing is double, and the work can be finished."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.kills.harness import Moment, Scenario, finish, kill_and_finish, start
from tests.kills.scenarios import INGEST, SCENARIOS, collection, paint_source

FEW, MANY = 2, 8
"""Kills of each kind of work: MANY of all are 50 and more."""

_QUICK = "ingest"
"""Killed in every run of the suite; the others, which take longer, with the slow tests."""

_FEW_NIGHTLY, _NIGHTLY = ("new map", "migration"), ("first start",)
"""Killed in CI, too, a few times or often."""

_IN_CI = [pytest.mark.slow, pytest.mark.nightly]

_each = pytest.mark.parametrize(
    "scenario",
    [
        pytest.param(one, marks=[pytest.mark.nightly] if one.name in _NIGHTLY else [], id=one.name)
        for one in SCENARIOS
    ],
)


@pytest.mark.parametrize(
    "scenario",
    [
        pytest.param(one, marks=[] if one.name == _QUICK else _IN_CI, id=one.name)
        for one in SCENARIOS
        if one.name in {_QUICK, *_FEW_NIGHTLY}
    ],
)
def test_a_few_kills_leave_what_an_undisturbed_run_does(scenario: Scenario, tmp_path: Path) -> None:
    kill_and_finish(scenario, tmp_path, FEW, seed=1)


@pytest.mark.slow
@_each
def test_many_kills_leave_what_an_undisturbed_run_does(scenario: Scenario, tmp_path: Path) -> None:
    kill_and_finish(scenario, tmp_path, MANY, seed=2)


def test_the_lock_goes_with_the_killed_process(tmp_path: Path) -> None:
    home = tmp_path / "home"
    paint_source(home)
    with start(INGEST, home, Moment()) as process:
        while not list(collection(home).embeddings.glob("shard-*")):
            time.sleep(0.01)
        with start(INGEST, home, Moment()) as second:
            assert second.wait(timeout=60) == 1
        assert process.poll() is None, "the first was done too early"
        process.kill()
        process.wait(timeout=30)
    finish(INGEST, home)


@pytest.mark.parametrize(
    ("side", "left"), [("before", {"a", "b"}), ("after", {"b"})], ids=["before", "after"]
)
def test_a_step_is_taken_or_not(side: str, left: set[str], tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).touch()
    script = (
        "from pathlib import Path; from tests.kills.hook import Steps; "
        f"Steps(1, {side!r}).install(); Path('a').unlink(); Path('b').unlink()"
    )
    assert run(script, tmp_path) == -9
    assert {path.name for path in tmp_path.iterdir()} == left


@pytest.mark.parametrize(("side", "rows"), [("before", 0), ("after", 1)])
def test_a_commit_is_a_step(side: str, rows: int, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "db") as db:
        db.execute("create table t (a)")
    db.close()
    script = (
        f"import sqlite3; from tests.kills.hook import Steps; Steps(1, {side!r}).install()\n"
        "with sqlite3.connect('db') as db: db.execute('insert into t values (1)')"
    )
    assert run(script, tmp_path) == -9
    db = sqlite3.connect(tmp_path / "db")
    assert db.execute("select count(*) from t").fetchone() == (rows,)
    db.close()


def run(script: str, folder: Path) -> int:
    repository = str(Path(__file__).parents[2])
    environment = {**os.environ, "PYTHONPATH": repository}
    return subprocess.run(
        [sys.executable, "-c", script], cwd=folder, env=environment, check=False
    ).returncode
