"""What is written of a description, whatever it is written into."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

_FORMULA = tuple("=+-@\t\r\n|")


class _Written(Protocol):
    """A text that was written, with its score."""

    @property
    def text(self) -> str: ...
    @property
    def score(self) -> float: ...


class _Chosen(Protocol):
    """A description with what it was chosen from: an engine's result, or its model."""

    @property
    def caption(self) -> str: ...
    @property
    def candidates(self) -> Sequence[_Written]: ...


def chosen_score(described: _Chosen) -> float:
    """The score of the candidate that became the caption."""
    scores = {made.text: made.score for made in described.candidates}
    return scores[described.caption]


def inert(text: str) -> str:
    """Text that a spreadsheet does not run: a leading quote mark is its sign for plain text."""
    return f"'{text}" if text.lstrip(" ").startswith(_FORMULA) else text
