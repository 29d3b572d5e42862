"""How a text model is asked which captions fit a query."""

from __future__ import annotations

YES, NO = "yes", "no"

POINTWISE = (
    "Caption: {caption}\nQuery: {query}\nDoes this caption fit this query? Answer yes or no:"
)
"""After monoT5 (Nogueira et al., 2020): the likelihood of `YES` against `NO` is the score.

The words are ours, because FLAN-T5 was tuned on instructions that end in the choices.
"""

LISTWISE = "Query: {query}\n{captions}\nThe letter of the caption that fits this query best is:"
"""After FIRST (Reddy et al., 2024): the first token's likelihoods of all letters are the order."""

LISTED = "[{letter}] {caption}"
"""A line of `LISTWISE`; letters from A on."""
