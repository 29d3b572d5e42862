"""Which refiners there are, by name, and which of them run where nobody says otherwise."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, Protocol, get_args

from engine.errors import InvalidInput
from engine.evidence.compression import Compression
from engine.evidence.contradictions import Contradictions
from engine.evidence.near_copies import NearCopies
from engine.evidence.pieces import P
from engine.stages.protocols import Found

Refinement = Literal["near-copies", "contradictions", "compression"]
"""What may be done to captions before a prompt is made of them."""

REFINEMENTS: tuple[Refinement, ...] = get_args(Refinement)

USUAL: tuple[Refinement, ...] = ()
"""Those that were measured to pay; see RESULTS.md."""


class EvidenceRefiner(Protocol):
    """A refiner of whatever has a text, a score and a vector, for questions of any kind."""

    @property
    def name(self) -> str:
        """What a trace calls it."""

    def refine(self, asked: Sequence[Any], found: Sequence[Found[P]]) -> list[Found[P]]:
        """For each question the pieces that are left."""


def choosing(names: Sequence[Refinement]) -> list[EvidenceRefiner]:
    """Those of the named refiners for whose work more is found, so that others take the places."""
    return [NearCopies()] if "near-copies" in names else []


def settling(names: Sequence[Refinement]) -> list[EvidenceRefiner]:
    """Those of the named refiners that see what was chosen alone.

    More captions would outvote those that are nearest, which was measured to be much worse.
    """
    return [Contradictions()] if "contradictions" in names else []


def shortening(
    names: Sequence[Refinement], budget: int, tokens_of: Callable[[Sequence[str]], int]
) -> list[EvidenceRefiner]:
    """Those of the named refiners that bring what was chosen within a budget of tokens."""
    return [Compression(budget, tokens_of)] if "compression" in names else []


def check_refinements(names: Sequence[str]) -> None:
    """Raise InvalidInput for a name that no refiner has."""
    unknown = [name for name in names if name not in REFINEMENTS]
    if unknown:
        raise InvalidInput(
            f"no refiner is called {unknown[0]!r}; there are {', '.join(REFINEMENTS)}"
        )
