"""One ranking for all pages of a search, so that they neither repeat nor miss a hit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

from engine.store.interface import Ranked

RANKED = 256
"""How many points are ranked whatever page is asked for.

A graph answers another limit with other points, so every page within this depth is cut from the
answer to the same question. Beyond it `_DEEPER` times as many are ranked, as often as it takes, and
what was not ranked before follows what was.
"""

_DEEPER = 4
_BY_GRAPH = 1024
"""To this depth a graph ranks, which costs less in a large store than to look at all of it."""

NOTHING: Mapping[str, int] = {}

FUSED_DEPTH = 1000
"""How deep rankings go that are fused, at least: those ranks count, too."""

RRF_K = 60
"""Constant of reciprocal rank fusion: a hit at rank r of a list adds 1 / (RRF_K + r)."""


class Ranks(Protocol):
    """Ranks points, best first, in the same way each time that it is asked the same."""

    def __call__(self, depth: int, *, exact: bool) -> list[Ranked]:
        """At least `depth` points; if `exact`, fewer are all that there are."""


def ranking(rank: Ranks, end: int, same: Mapping[str, int] = NOTHING) -> list[Ranked]:
    """The first `end` points at least, or all: a longer ranking begins with every shorter one.

    Of points with the same number in `same` the best alone is among them.
    """
    return first_of_each(whole_ranking(rank, end, same), same)


def whole_ranking(rank: Ranks, end: int, same: Mapping[str, int] = NOTHING) -> list[Ranked]:
    """As `ranking`, with all points of the same number: so deep that `end` are left without."""
    ranked: dict[str, float] = {}
    depth, exact = RANKED, False
    while True:
        found = rank(depth, exact=exact)
        for key, score in found:
            ranked.setdefault(key, score)
        kept = len(first_of_each(ranked.items(), same)) if same else len(ranked)
        if kept >= end or (exact and len(found) < depth):
            return list(ranked.items())
        depth *= _DEEPER
        exact = depth > _BY_GRAPH


def first_of_each(ranked: Iterable[Ranked], same: Mapping[str, int]) -> list[Ranked]:
    """A ranking without those points that have the number of an earlier one."""
    if not same:
        return list(ranked)
    seen: set[int] = set()
    kept: list[Ranked] = []
    for key, score in ranked:
        number = same.get(key)
        if number is None or number not in seen:
            kept.append((key, score))
        if number is not None:
            seen.add(number)
    return kept


def best_first(found: Iterable[Ranked]) -> list[Ranked]:
    """Ordered by score, equal scores by id, as engines order these at will."""
    return sorted(found, key=lambda one: (-one[1], one[0]))


def fused(rankings: Iterable[Iterable[Ranked]]) -> list[Ranked]:
    """Several rankings in one, by the sums of their reciprocal ranks."""
    ids = [[key for key, _ in best_first(found)] for found in rankings]
    return best_first(reciprocal_ranks(ids).items())


def reciprocal_ranks(rankings: Iterable[Iterable[str]]) -> dict[str, float]:
    """The sum over rankings of 1 / (RRF_K + rank) for each id (Cormack et al. 2009)."""
    sums: dict[str, float] = {}
    for ids in rankings:
        for rank, key in enumerate(ids, 1):
            sums[key] = sums.get(key, 0.0) + 1 / (RRF_K + rank)
    return sums
