"""Resolves what captions contradict each other in, towards what most and the nearest say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from engine.evidence.claims import Subject, claims_of
from engine.evidence.pieces import P, noted, votes
from engine.stages.protocols import Found

Losers = Literal["drop", "last"]
"""What becomes of captions that most contradict: left out, or moved to the end."""


@dataclass(frozen=True)
class Dispute:
    """Captions that claim of one thing what cannot be both; `weights` are the votes by value."""

    kind: str
    thing: str
    weights: tuple[tuple[str, float], ...]
    losers: tuple[int, ...]

    def __str__(self) -> str:
        told = [f"{value} ({weight:.2f})" for value, weight in self.weights]
        return f"{self.kind} of {self.thing!r}: {told[0]} against {', '.join(told[1:])}"


def disputes(texts: Sequence[str], weights: Sequence[float]) -> list[Dispute]:
    """What texts, the nearest first, contradict each other in.

    A value has the weights of the texts that claim it, equal ones go to the nearer text. Losers
    are the texts that claim something of the thing, and not that.
    """
    said: dict[Subject, dict[int, frozenset[str]]] = {}
    for at, text in enumerate(texts):
        for subject, values in claims_of(text).items():
            said.setdefault(subject, {})[at] = values
    found = (_dispute(subject, of_it, weights) for subject, of_it in said.items())
    return [one for one in found if one is not None]


def _dispute(
    subject: Subject, said: Mapping[int, frozenset[str]], weights: Sequence[float]
) -> Dispute | None:
    """What is said of one thing, by the places of the texts, held against each other."""
    sums: dict[str, float] = {}
    for at, values in said.items():
        for value in sorted(values):
            sums[value] = sums.get(value, 0.0) + weights[at]
    # Rounded, so that the last bits of sums do not decide between equal ones.
    ranked = sorted(sums.items(), key=lambda one: -round(one[1], 9))
    losers = tuple(at for at, values in said.items() if ranked[0][0] not in values)
    return Dispute(*subject, tuple(ranked), losers) if losers else None


class Contradictions:
    """Leaves out captions, or moves them to the end, that most contradict in counts or colours."""

    name = "refine: contradictions"

    def __init__(self, losers: Losers = "drop") -> None:
        self._losers = losers

    def refine(self, asked: Sequence[Any], found: Sequence[Found[P]]) -> list[Found[P]]:
        """For each question the pieces that agree; all of them where none would be left."""
        del asked
        return [self._refined(one.items) for one in found]

    def _refined(self, items: tuple[P, ...]) -> Found[P]:
        against = disputes([item.text for item in items], votes(items))
        lost = {at for one in against for at in one.losers}
        if not lost or len(lost) == len(items):
            return Found(items)
        kept = tuple(item for at, item in enumerate(items) if at not in lost)
        if self._losers == "last":
            kept += tuple(item for at, item in enumerate(items) if at in lost)
        return Found(kept, noted(map(str, against)))
