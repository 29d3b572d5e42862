"""What rerankers have in common: they judge items for a query, and the judged change places."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic

from engine.rerank.budget import Budget, judged_in_time
from engine.stages.protocols import Found, Q, T
from engine.timing import Stopwatch

Scores = tuple[float | None, ...]


@dataclass(frozen=True)
class Judged:
    """How well items fit a query, in their order: a score each, the higher the better.

    None for one that was not judged, as time ran out or there was nothing to judge it by.
    """

    scores: Scores
    notes: tuple[str, ...] = ()


class Judging(ABC, Generic[Q, T]):
    """Judges what was found for one question."""

    name: str

    @abstractmethod
    def judge(self, asked: Q, items: Sequence[T], budget: Budget) -> Judged:
        """Score the first `budget.top` items; the others are not judged."""


class Reranking(Generic[Q, T]):
    """Reranks what was found for each question, within a budget each; a `Reranker`.

    A watch is told its time as "rerank".
    """

    def __init__(self, judging: Judging[Q, T], budget: Budget, watch: Stopwatch) -> None:
        self._judging, self._budget, self._watch = judging, budget, watch
        self.name = judging.name

    def rerank(self, asked: Sequence[Q], found: Sequence[Found[T]]) -> list[Found[T]]:
        """For each question the same items in their new order; what was not judged keeps its."""
        told = []
        for one, own in zip(asked, found, strict=True):
            with self._watch.stage("rerank"):
                judged = self._judging.judge(one, own.items, self._budget)
            items = tuple(own.items[place] for place in order(judged.scores))
            told.append(Found(items, judged.notes))
        return told


def order(scores: Sequence[float | None], parts: Sequence[int] = ()) -> list[int]:
    """The places of items in their new order: the judged sorted over the places that they had.

    Equal scores keep their order. No item crosses the places that `parts` names, ascending.
    """
    places = list(range(len(scores)))
    for start, end in zip((0, *parts), (*parts, len(scores)), strict=True):
        judged = [
            (one, place) for place, one in enumerate(scores[start:end], start) if one is not None
        ]
        best_first = sorted(judged, key=lambda one: -one[0])
        for (_, place), (_, better) in zip(judged, best_first, strict=True):
            places[place] = better
    return places


def in_batches(
    count: int,
    places: Sequence[int],
    score: Callable[[list[int]], Sequence[float | None]],
    budget: Budget,
    *,
    together: int,
    without: str,
) -> Judged:
    """Judge of `count` items those at `places`, as far as there is time.

    `without` says what the others, and those that `score` gives None for, lack.
    """
    given = judged_in_time(places, score, budget, together)
    scores: list[float | None] = [None] * count
    for place, one in zip(places, given, strict=False):
        scores[place] = one
    lacking = min(count, budget.top) - len(places) + sum(one is None for one in given)
    late = len(given) < len(places)
    return Judged(tuple(scores), notes(scores, budget, late=late, lacking=lacking, without=without))


def notes(
    scores: Sequence[float | None], budget: Budget, *, late: bool, lacking: int, without: str
) -> tuple[str, ...]:
    """What an answer says of it: how many were judged, and why not the others."""
    head, done = min(len(scores), budget.top), sum(one is not None for one in scores)
    told = f"{done} of {head} reranked" + (f" within {budget.seconds:g} s" if late else "")
    if not lacking:
        return (told,)
    places = "its place" if lacking == 1 else "their places"
    return told, f"{lacking} {without} kept {places}"
