"""Many visitors of the web app at once: how long they wait, what fails, and whether memory levels.

    python -m benchmarks.app_load
    python -m benchmarks.app_load --sessions 32 --seconds 120 --actions 40

Starts the app over the sample collections (made first, in a folder of its own, unless --home
names one) and lets every session do its actions, spread evenly over the time: the mix of a
visitor's hour. A session speaks Streamlit's protocol over a websocket, as a browser does, and an
action counts from its sending until the page has finished. Prints a table with the median and
the 95th percentile of each kind, the errors, how often the app was busy, and the memory of the
server's process at each quarter. Ends with 1 if anything failed.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlencode

import numpy as np

from benchmarks.served_app import served_app
from benchmarks.streamlit_session import Session
from engine.settings import SAMPLE_PACK

WORDS = ("two cats", "a guitar at night", "three dogs on the beach", "a bus", "red fruit", "snow")
MIX = {"search": 20, "page": 6, "other collection": 4, "describe": 6, "compare": 4}
"""Of how many actions of each kind an hour is made."""

_ERROR, _WARNING = 1, 2  # of streamlit.proto.Alert


class Visitor(threading.Thread):
    """One session and what it met."""

    def __init__(self, address: str, number: int, actions: int, seconds: float) -> None:
        super().__init__(name=f"visitor {number}")
        self._address, self._seconds = address, seconds
        self._random = random.Random(number)
        kinds = self._random.choices(list(MIX), list(MIX.values()), k=actions)
        self._actions = ["search", *kinds[1:]]
        self.waited: list[tuple[str, float]] = []
        self.errors: list[str] = []
        self.busy = 0

    def run(self) -> None:
        """Do one action after the other, each at its time or as soon as it can."""
        started = time.monotonic()
        pause = self._seconds / len(self._actions)
        with Session(self._address) as session:
            for number, kind in enumerate(self._actions):
                due = started + pause * (number + self._random.random())
                time.sleep(max(0.0, due - time.monotonic()))
                self._act(session, kind)

    def _act(self, session: Session, kind: str) -> None:
        begun = time.perf_counter()
        try:
            _ACTIONS[kind](session, self._random)
        except Exception as error:  # counted and shown; the other actions go on
            self.errors.append(f"{kind}: {type(error).__name__}: {error}")
            return
        self.waited.append((kind, time.perf_counter() - begun))
        alerts = [(alert.format, alert.body) for alert in session.all("alert")]
        self.busy += any(form == _WARNING and "busy" in body for form, body in alerts)
        self.errors += [f"{kind}: {body}" for form, body in alerts if form == _ERROR]
        self.errors += [f"{kind}: {failed.message}" for failed in session.all("exception")]


def search(session: Session, chance: random.Random) -> None:
    """Words nobody has just asked for."""
    session.open("search", urlencode({"q": f"{chance.choice(WORDS)} {chance.randrange(10**6)}"}))


def page(session: Session, chance: random.Random) -> None:
    """A later page of a search, in some space."""
    space = chance.choice(("mapped", "raw", "caption", "fused"))
    asked = {"q": chance.choice(WORDS), "page": chance.randrange(1, 4), "space": space}
    session.open("search", urlencode(asked))


def other_collection(session: Session, chance: random.Random) -> None:
    """A search in another collection."""
    session.open("search", urlencode({"q": chance.choice(WORDS), "collection": "postcards"}))


def describe(session: Session, chance: random.Random) -> None:
    """An upload, until its description is there."""
    session.open("")
    images = sorted((SAMPLE_PACK / "plain" / "images").glob("*.webp"))
    session.upload(session.find("file_uploader", "Drop pictures here"), [chance.choice(images)])
    session.run()


def compare(session: Session, chance: random.Random) -> None:
    """Raw beside mapped."""
    del chance
    session.open("compare")


_ACTIONS: dict[str, Callable[[Session, random.Random], None]] = {
    "search": search,
    "page": page,
    "other collection": other_collection,
    "describe": describe,
    "compare": compare,
}


def resident_mib(pid: int) -> float:
    """Memory of a process, in MiB."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    kib = next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS"))
    return int(kib) / 1024


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--sessions", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--actions", type=int, default=sum(MIX.values()), help="per session")
    parser.add_argument("--home", type=Path, help="folder of collections to use")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        served_app(options.home or Path(folder)) as app,
    ):
        with Session(app.address) as first:  # models load once; that wait is not a load figure
            for kind in _ACTIONS.values():
                kind(first, random.Random(0))
        memory = [resident_mib(app.pid)]
        visitors = [
            Visitor(app.address, number, options.actions, options.seconds)
            for number in range(options.sessions)
        ]
        started = time.monotonic()
        for visitor in visitors:
            visitor.start()
        for quarter in range(1, 5):
            time.sleep(max(0.0, started + quarter * options.seconds / 4 - time.monotonic()))
            memory.append(resident_mib(app.pid))
        for visitor in visitors:
            visitor.join()
        memory.append(resident_mib(app.pid))
        took = time.monotonic() - started
    return report(visitors, memory, took)


def report(visitors: list[Visitor], memory: list[float], took: float) -> int:
    """Print the table; 1 if anything failed."""
    waited = [pair for visitor in visitors for pair in visitor.waited]
    errors = Counter(error for visitor in visitors for error in visitor.errors)
    print(f"{len(visitors)} sessions, {len(waited)} actions in {took:.0f} s\n")
    print("| action | times | p50 ms | p95 ms | max ms |\n| --- | --- | --- | --- | --- |")
    for kind in (*_ACTIONS, "all"):
        spent = [1000 * seconds for name, seconds in waited if kind in {name, "all"}]
        if spent:
            p50, p95 = np.percentile(spent, [50, 95])
            print(f"| {kind} | {len(spent)} | {p50:.0f} | {p95:.0f} | {max(spent):.0f} |")
    print(f"\nerrors: {sum(errors.values())}, busy: {sum(visitor.busy for visitor in visitors)}")
    for error, times in errors.most_common(5):
        print(f"  {times} x {error[:300]}")
    print("server memory, MiB, warm and then at each quarter and the end: ", end="")
    print(", ".join(f"{size:.0f}" for size in memory))
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
