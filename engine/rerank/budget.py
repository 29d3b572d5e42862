"""How much is reranked, and in which time: what is not judged keeps its place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import TypeVar

from engine.errors import InvalidInput
from engine.progress import check_cancelled

T = TypeVar("T")
S = TypeVar("S")

FIRST = 4
"""Judged before the pace is known: few, as a slow model must not take all of the time with them."""


@dataclass(frozen=True)
class Budget:
    """The first `top` of what was found are judged, and none after so many seconds.

    One batch of the model's may go beyond the time: the first, whose pace nobody knew.
    """

    top: int = 50
    seconds: float = 2.0
    clock: Callable[[], float] = field(default=perf_counter, compare=False, repr=False)

    def __post_init__(self) -> None:
        if self.top < 1:
            raise InvalidInput(f"{self.top} are to be reranked; it must be 1 or more, or none")
        if not 0 <= self.seconds < float("inf"):
            raise InvalidInput(f"reranking may take {self.seconds} seconds; it must be 0 or more")


def judged_in_time(
    items: Sequence[T], judge: Callable[[list[T]], Sequence[S]], budget: Budget, together: int
) -> list[S]:
    """What is judged of as many of the items, from the first on, as there is time for.

    At most `together` are judged at once, and no more than the pace so far lets end in time.
    Between two batches work that was asked to stop raises Cancelled.
    """
    given: list[S] = []
    start = now = budget.clock()
    size = min(FIRST, together)
    while len(given) < len(items) and now - start < budget.seconds and size:
        check_cancelled()
        batch = list(items[len(given) : len(given) + size])
        given += judge(batch)
        began, now = now, budget.clock()
        left = budget.seconds - (now - start)
        size = min(together, steps_within(left, (now - began) / len(batch)))
    return given


def steps_within(left: float, each: float) -> int:
    """How many steps of so many seconds each end within the time that is left."""
    return max(0, int(left / max(each, 1e-9)))
