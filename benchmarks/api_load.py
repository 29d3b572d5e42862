"""Many clients of the HTTP API at once: how long they wait, beside the same calls in process.

    python -m benchmarks.api_load
    python -m benchmarks.api_load --clients 64 --seconds 120 --home ~/.local/share/mrag

Starts the server over the sample collections (made first, in a folder of its own, unless --home
names one). Each client asks one thing after the other, as fast as it is answered; where the
server is busy it waits as long as `Retry-After` says and goes on. Then the server ends, and as
many threads make the same calls of the service in this process, for a quarter of the time, and
one thread alone. Prints the median and the 95th percentile of each call in milliseconds. Ends
with 1 if anything was answered but a success or a 503.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import httpx
import numpy as np

from benchmarks.served_app import served_app
from engine.app import build_engine
from engine.errors import Busy
from engine.settings import SAMPLE_PACK, read_settings
from mrag_client.answers import NamedPicture, StoredPicture
from mrag_client.models import CaptionOptions, SearchOptions
from service.answering import LocalAnswers

WORDS = ("two cats", "a guitar at night", "three dogs on the beach", "a bus", "red fruit", "snow")
MIX = {"search": 12, "similar": 4, "compare": 3, "caption": 3, "caption by id": 2, "collections": 1}
"""How often each call is made."""

COLLECTION = "plain"
_IMAGES = sorted((SAMPLE_PACK / COLLECTION / "images").glob("*.webp"))[-50:]

Ask = Callable[[str, random.Random], bool]
"""Makes a call of a kind; whether it was answered, and not refused as busy."""


class Asker(threading.Thread):
    """Asks one thing after the other until the time is over, and notes how long each took."""

    def __init__(self, ask: Ask, number: int, until: float) -> None:
        super().__init__(name=f"asker {number}")
        self._ask, self._until = ask, until
        self._random = random.Random(number)
        self.took: list[tuple[str, float]] = []
        self.busy = 0
        self.errors: list[str] = []

    def run(self) -> None:
        """Ask until then."""
        while time.monotonic() < self._until:
            (kind,) = self._random.choices(list(MIX), list(MIX.values()))
            begun = time.perf_counter()
            try:
                if self._ask(kind, self._random):
                    self.took.append((kind, time.perf_counter() - begun))
                else:
                    self.busy += 1
            except Exception as error:  # counted and shown; the others go on
                self.errors.append(f"{kind}: {type(error).__name__}: {error}")


class OverHttp:
    """Makes the calls of a server, each thread over a connection of its own."""

    def __init__(self, address: str, ids: Sequence[str]) -> None:
        self._address, self._ids = address, ids
        self._own = threading.local()

    def __call__(self, kind: str, chance: random.Random) -> bool:
        """Make one call."""
        if not hasattr(self._own, "client"):
            self._own.client = httpx.Client(base_url=f"{self._address}/api/v1", timeout=180)
        client: httpx.Client = self._own.client
        named = {"collection": COLLECTION}
        if kind == "search":
            response = client.get("/search", params={**named, "text": _words(chance)})
        elif kind == "similar":
            response = client.get("/similar", params={**named, "id": chance.choice(self._ids)})
        elif kind == "collections":
            response = client.get("/collections")
        elif kind == "caption by id":
            response = client.post("/caption", data={**named, "id": chance.choice(self._ids)})
        else:
            files = {"image": ("a.webp", chance.choice(_IMAGES).read_bytes(), "image/webp")}
            response = client.post(f"/{kind}", data=named, files=files)
        if response.status_code == httpx.codes.SERVICE_UNAVAILABLE:
            time.sleep(float(response.headers["Retry-After"]))
            return False
        response.raise_for_status()
        return True


class InProcess:
    """Makes the same calls of the service in this process."""

    def __init__(self, answers: LocalAnswers, ids: Sequence[str]) -> None:
        self._answers, self._ids = answers, ids

    def __call__(self, kind: str, chance: random.Random) -> bool:
        """Make one call."""
        try:
            self._call(kind, chance)
        except Busy:
            time.sleep(1)
            return False
        return True

    def _call(self, kind: str, chance: random.Random) -> None:
        answers, name = self._answers, COLLECTION
        picture = NamedPicture("a.webp", chance.choice(_IMAGES).read_bytes())
        stored = StoredPicture(chance.choice(self._ids))
        if kind == "search":
            answers.search(SearchOptions(text=_words(chance)), collection=name)
        elif kind == "similar":
            answers.search(SearchOptions(likes=(stored.id,)), collection=name)
        elif kind == "collections":
            answers.collections()
        elif kind == "compare":
            list(answers.compare([picture], collection=name))
        else:
            given = [stored] if kind == "caption by id" else [picture]
            list(answers.caption(given, CaptionOptions(), collection=name))


def main() -> int:
    """Read the command line, ask, print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--home", type=Path, help="a folder of collections with the sample's")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        home = given.home or Path(scratch)
        with served_app(home) as app:
            ids = _ids(app.address)
            far = OverHttp(app.address, ids)
            _each_once(far)
            served = asked(far, given.clients, given.seconds)
        engine = build_engine(read_settings({"home": home, "profile": "sample", "threads": 1}))
        near = InProcess(LocalAnswers(engine), ids)
        _each_once(near)
        together = asked(near, given.clients, given.seconds / 4)
        alone = asked(near, 1, given.seconds / 8)
        engine.close()
    told = {
        f"server, {given.clients} clients": served,
        f"in process, {given.clients} threads": together,
        "in process, alone": alone,
    }
    _print(told)
    errors = Counter(error for askers in told.values() for one in askers for error in one.errors)
    for error, count in errors.most_common(10):
        print(f"{count} x {error}")
    return 1 if errors else 0


def asked(ask: Ask, clients: int, seconds: float) -> list[Asker]:
    """So many clients that have asked for so long."""
    until = time.monotonic() + seconds
    askers = [Asker(ask, number, until) for number in range(clients)]
    for one in askers:
        one.start()
    for one in askers:
        one.join()
    return askers


def _each_once(ask: Ask) -> None:
    """Make each call once, so that all is loaded before the time is taken."""
    for kind in MIX:
        ask(kind, random.Random(0))


def _ids(address: str) -> list[str]:
    params = {"collection": COLLECTION, "text": "a picture", "k": "100"}
    answer = httpx.get(f"{address}/api/v1/search", params=params, timeout=120).raise_for_status()
    return [hit["id"] for hit in answer.json()["results"][0]["hits"]]


def _words(chance: random.Random) -> str:
    """Words nobody has just asked for."""
    return f"{chance.choice(WORDS)} {chance.randrange(10**6)}"


def _print(told: Mapping[str, list[Asker]]) -> None:
    for name, askers in told.items():
        took = defaultdict(list)
        for one in askers:
            for kind, seconds in one.took:
                took[kind].append(1000 * seconds)
        count, busy = sum(map(len, took.values())), sum(one.busy for one in askers)
        print(f"\n{name}: {count:,} answers, {busy:,} times busy")
        print(f"  {'call':16}{'answers':>9}{'p50 ms':>9}{'p95 ms':>9}")
        for kind in MIX:
            if took[kind]:
                middle, late = np.percentile(took[kind], (50, 95))
                print(f"  {kind:16}{len(took[kind]):9,}{middle:9.1f}{late:9.1f}")


if __name__ == "__main__":
    sys.exit(main())
