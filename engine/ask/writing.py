"""What a model is asked: the captions with their numbers, and the question, within its tokens."""

from __future__ import annotations

from collections.abc import Sequence

from engine.ask.pieces import Piece, pictures_of
from engine.ask.prompts import ANSWER, LISTED
from engine.describe.prompts import build_prompt
from engine.types import TextStream

MOST_WRITTEN = 40
"""Tokens of an answer."""

_BRACES = str.maketrans("{}", "()")
"""A brace of a question or a caption must not be taken for a place in the template."""


def prompt_of(question: str, pieces: Sequence[Piece], writer: TextStream) -> str:
    """The prompt, with as many captions, the first first, as the model reads."""
    numbers = {picture: at for at, picture in enumerate(pictures_of(pieces), 1)}
    lines = [
        LISTED.format(number=numbers[piece.picture], caption=plainly(piece.text))
        for piece in pieces
    ]
    template = ANSWER.replace("{question}", plainly(question))
    made = build_prompt(
        lines,
        template=template,
        budget=writer.max_input_tokens,
        count_tokens=writer.count_tokens,
    )
    return made.text


def plainly(text: str) -> str:
    """A question or a caption on one line, without braces."""
    return " ".join(text.translate(_BRACES).split())
