"""A process to be killed: `python -m tests.kills.child SCENARIO HOME STOP SIDE`.

Says "ready" and does the scenario's work; says "done" and how many steps that took.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import get_args

from tests.kills.hook import Side, Steps
from tests.kills.scenarios import SCENARIOS


def main(name: str, home: str, stop: str, side: str) -> None:
    scenario = next(one for one in SCENARIOS if one.name == name)
    chosen: Side = next(one for one in get_args(Side) if one == side)
    steps = Steps(int(stop), chosen)
    print("ready", flush=True)
    steps.install()
    scenario.work(Path(home))
    print("done", steps.taken, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
