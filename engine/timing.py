"""The time of each stage of an answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from time import perf_counter


class Stopwatch:
    """Adds up wall-clock milliseconds by stage name."""

    def __init__(self) -> None:
        self.timings_ms: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count the time spent in the block towards `name`."""
        started = perf_counter()
        try:
            yield
        finally:
            spent = (perf_counter() - started) * 1000
            self.timings_ms[name] = self.timings_ms.get(name, 0.0) + spent


def shared_out(timings_ms: Mapping[str, float], count: int) -> dict[str, float]:
    """What each of `count` that were worked on together has of the times."""
    return {stage: spent / count for stage, spent in timings_ms.items()}
