"""Does a piece of work in a process that is killed, checks what is left, and finishes it."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.kills.hook import Side

_REPOSITORY = Path(__file__).parents[2]
_LONG = 300


@dataclass(frozen=True)
class Scenario:
    """A piece of work that may be killed at any moment and finished by doing it again.

    `prepare` makes the home that it begins with; what the home refers to lies beside it, and
    stays. `work` is done in a process of its own. `check` says after each kill that nothing is
    lost: it is given the home, and that which the work began with. `compare` says that a home in
    which the work was finished is as one in which it was never disturbed. Both raise
    AssertionError.
    """

    name: str
    prepare: Callable[[Path], None]
    work: Callable[[Path], None]
    check: Callable[[Path, Path], None]
    compare: Callable[[Path, Path], None]


@dataclass(frozen=True)
class Moment:
    """When to kill: on a side of a step (from 1), or after some seconds."""

    step: int = 0
    side: Side = "before"
    seconds: float = _LONG

    def __str__(self) -> str:
        return f"{self.side} step {self.step}" if self.step else f"after {self.seconds:.2f} s"


@dataclass(frozen=True)
class Whole:
    """What a run took that was not disturbed."""

    steps: int
    seconds: float


def start(scenario: Scenario, home: Path, moment: Moment) -> subprocess.Popen[str]:
    """Begin the work; it is at it when this returns."""
    arguments = [scenario.name, str(home), str(moment.step), moment.side]
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.kills.child", *arguments],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(_REPOSITORY), "OMP_NUM_THREADS": "1"},
        cwd=home.parent,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def finish(scenario: Scenario, home: Path) -> Whole:
    """Do the work, undisturbed."""
    with start(scenario, home, Moment()) as process:
        started = time.monotonic()
        assert process.wait(timeout=_LONG) == 0
        assert process.stdout is not None
        word, steps = process.stdout.read().split()
        assert word == "done"
        return Whole(int(steps), time.monotonic() - started)


def kill(scenario: Scenario, home: Path, moment: Moment) -> bool:
    """Kill the work at a moment; whether it was still at it."""
    with start(scenario, home, moment) as process:
        try:
            process.wait(timeout=moment.seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(timeout=30)
        assert process.stdout is not None
        done = process.stdout.read().startswith("done")
        assert done or process.returncode == -9, f"it failed by itself: {process.returncode}"
        return not done


def kill_and_finish(scenario: Scenario, place: Path, kills: int, seed: int) -> None:
    """Kill the work so many times, one after the other, check each time, finish and compare.

    Every other kill comes at a step, every other at any moment. Where the work is done before
    its moment comes, it is compared and begun anew.
    """
    begun, undisturbed, home = place / "begun", place / "undisturbed", place / "home"
    scenario.prepare(begun)
    shutil.copytree(begun, undisturbed)
    shutil.copytree(begun, home)
    whole = finish(scenario, undisturbed)
    assert whole.steps > 0
    rng = random.Random(seed)
    done = 0
    while done < kills:
        if done % 2:
            moment = Moment(seconds=rng.uniform(0, whole.seconds))
        else:
            side: Side = rng.choice(["before", "after"])
            moment = Moment(rng.randint(1, whole.steps), side)
        print(f"{scenario.name}: kill {done + 1} of {kills} {moment}")
        if kill(scenario, home, moment):
            done += 1
            scenario.check(home, begun)
        else:
            scenario.compare(home, undisturbed)
            shutil.rmtree(home)
            shutil.copytree(begun, home)
    finish(scenario, home)
    scenario.compare(home, undisturbed)
