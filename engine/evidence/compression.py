"""Shortens captions to a budget of tokens: what one caption alone says goes first.

Extractive: clauses are left out, and no word is written that a caption has not.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import regex

from engine.evidence.pieces import P, votes, with_text
from engine.evidence.terms import terms
from engine.stages.protocols import Found

_CLAUSES = regex.compile(
    # After a mark that parts clauses in any script; before an English word that begins one.
    r"(?<=[,;:،؛、，；：。।.!?！？])\s*(?=\S)|\s+(?=(?:and|while|with|near|next|beside|behind|in|on|"
    r"at|under|over|by|who|which|that|as|through|along|against|wearing|holding)\b)",
    regex.IGNORECASE,
)
ALONE = 0.05
"""Where other captions have less than this of the votes for a clause, one alone says it.

To go on from there, with the least supported clause, was measured to be much worse: what is left
of many captions then says little of the place.
"""

_TRAILING = regex.compile(r"[\s,;:،؛、，；：]+$")


@dataclass(frozen=True, eq=False)
class _Clause:
    """A part of a caption, with how much of it other captions say, from 0 to 1."""

    text: str
    support: float


class Compression:
    """Leaves clauses out until what is said fits a budget of tokens.

    First those that one caption alone says, but of each its beginning; then whole captions, the
    farthest first. The nearest is never taken out: a prompt cuts it.
    """

    name = "refine: compression"

    def __init__(self, budget: int, tokens_of: Callable[[Sequence[str]], int]) -> None:
        """Take the longest that a prompt may be, and what counts the tokens of one of texts."""
        self._budget, self._tokens = budget, tokens_of

    def refine(self, asked: Sequence[Any], found: Sequence[Found[P]]) -> list[Found[P]]:
        """For each question the pieces in their order, shortened where they must be."""
        del asked
        return [self._refined(one.items) for one in found]

    def _refined(self, items: tuple[P, ...]) -> Found[P]:
        texts = [item.text for item in items]
        if not items or self._fits(texts):
            return Found(items)
        left = self._shortened(clauses_of(texts, votes(items)))
        kept = tuple(
            item if item.text == text else with_text(item, text)
            for item, text in zip(items, left, strict=False)
        )
        tokens = self._tokens(texts), self._tokens(left)
        return Found(kept, (f"{tokens[0]} tokens became {tokens[1]} of {self._budget}",))

    def _shortened(self, clauses: Sequence[Sequence[_Clause]]) -> list[str]:
        """As many of the texts as fit without what one alone says, the first at least."""
        texts = [
            _joined([one for place, one in enumerate(text) if not place or one.support >= ALONE])
            for text in clauses
        ]
        beyond = bisect_left(
            range(1, len(texts)), True, key=lambda count: not self._fits(texts[: count + 1])
        )
        return texts[: beyond + 1]

    def _fits(self, texts: Sequence[str]) -> bool:
        return self._tokens(texts) <= self._budget


def clauses_of(texts: Sequence[str], weights: Sequence[float]) -> list[list[_Clause]]:
    """The clauses of each text, with the share of the other texts' votes that says the same.

    Of each term of the clause; of the clause the mean of them.
    """
    said = [terms(text) for text in texts]
    total = sum(weights)
    by_term: dict[str, float] = {}
    for own, weight in zip(said, weights, strict=True):
        for term in own:
            by_term[term] = by_term.get(term, 0.0) + weight

    def support(part: str, own: frozenset[str], weight: float) -> float:
        others = total - weight
        shares = [by_term[term] - weight for term in terms(part) & own]
        return sum(shares) / (others * len(shares)) if shares and others > 0 else 0.0

    return [
        [_Clause(part, support(part, own, weight)) for part in _CLAUSES.split(text)]
        for text, own, weight in zip(texts, said, weights, strict=True)
    ]


def _joined(clauses: Sequence[_Clause]) -> str:
    """What is left of a caption, as a sentence."""
    parts = [one.text.strip() for one in clauses]
    text = "".join(
        part if not at or _unspaced(parts[at - 1]) else f" {part}" for at, part in enumerate(parts)
    )
    return str(_TRAILING.sub("", text))


def _unspaced(before: str) -> bool:
    """Whether nothing stands between a clause and the next: after the marks of Chinese."""
    return before[-1:] in set("、，；：。！？")
