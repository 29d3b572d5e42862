"""The captions that may answer a question, and what comes of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from engine.types import ImageHit, Vector

Weight = Literal["said", "likely", "near"]
"""Why a picture was found: its captions say so, it looks likely, or it is merely the nearest."""


@dataclass(frozen=True)
class Piece:
    """A caption, and the picture that it is of.

    `picture` makes it this picture and no other; `hit` is what the collection knows of it, None
    where the caption is of no picture, or of one that is not stored here. `subject` is the place
    of the given picture that it tells of, None where the question is about a collection; `own`: it
    is a caption of that very picture, and not of one that looks alike. `doubted`: the picture looks
    likely, and what people wrote of it does not say so.
    """

    text: str
    picture: str
    hit: ImageHit | None = None
    name: str = ""
    score: float = 0.0
    own: bool = False
    subject: int | None = None
    weight: Weight = "near"
    doubted: bool = False
    vector: Vector | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True)
class Answered:
    """An answer in words, and the pieces that it rests on; not `said`: nothing answers it.

    `by` is what wrote it: `captions` (by rules), `index`, or a model. `notes` tell what a model
    that sees was not shown.
    """

    text: str
    said: bool
    cited: tuple[Piece, ...] = ()
    by: str = "captions"
    notes: tuple[str, ...] = ()


def pictures_of(pieces: Iterable[Piece]) -> tuple[str, ...]:
    """The pictures of the pieces, each once, in their order."""
    return tuple(dict.fromkeys(piece.picture for piece in pieces))
