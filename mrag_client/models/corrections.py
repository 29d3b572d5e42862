"""What people say of pictures, and what a collection learns from it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from mrag_client.models.base import Answered, Asked

MOST_SAID = 1000
"""Characters of a description that somebody writes."""


class CorrectionOptions(Asked):
    """What somebody says of a picture in place of what is said of it."""

    text: Annotated[
        str, Field(max_length=4 * MOST_SAID, description="What the picture shows, in a sentence.")
    ] = ""
    accept: Annotated[
        bool,
        Field(description="The text was generated, and is right; without one, what is shown now."),
    ] = False


class CorrectionAnswer(Answered):
    """What somebody said of a picture; `replaced` was shown before.

    `undone` in `kind`: a correction was taken back. `waiting`: it is safe, and found once what
    else is written to the collection is done.
    """

    id: str
    kind: Literal["edited", "accepted", "undone"]
    text: str
    replaced: str
    who: str
    when: datetime
    stands: bool = False
    undone: bool = False
    waiting: bool = False


class CorrectionsAnswer(Answered):
    """All that was said of a picture, the latest first, and what is shown of it now."""

    picture: str
    caption: str
    corrections: tuple[CorrectionAnswer, ...]


class LearnedStep(Answered):
    """A collection's map after so many corrections.

    `score` is the mean reciprocal rank of the right caption and picture on `held_out` pairs that
    the map was not fitted on, `without` that of the best map that nothing was learned for, on the
    same pairs; null where there were too few to measure.
    """

    when: datetime
    corrections: int
    method: str
    reason: str
    score: float | None = None
    held_out: int = 0
    without: float | None = None


class DifferingPicture(Answered):
    """A picture whose generated description is `now`, and would be `then` if it were made anew."""

    id: str
    uri: str
    now: str
    then: str


class LearnedAnswer(Answered):
    """What a collection has learned from corrections, and what it does about them.

    `state` is empty where nothing is left to do; `waiting` corrections are safe and not taken in.
    Of `checked` pictures with generated descriptions, those most like the corrected ones,
    `differing` would be described otherwise now; `checked` is null before anybody looked.
    """

    collection: str
    state: str = ""
    trouble: str = ""
    waiting: int = 0
    first: LearnedStep | None = None
    before: LearnedStep | None = None
    now: LearnedStep | None = None
    checked: int | None = None
    differing: tuple[DifferingPicture, ...] = ()
