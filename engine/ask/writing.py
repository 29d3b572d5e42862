"""What a model is asked: the captions with their numbers, and the question, within its tokens."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from PIL.Image import Image

from engine.ask.pieces import Piece, pictures_of
from engine.ask.prompts import ANSWER, LISTED
from engine.describe.prompts import build_prompt
from engine.types import Decoding, Generator, TextStream

MOST_WRITTEN = 40
"""Tokens of an answer."""

_BRACES = str.maketrans("{}", "()")
"""A brace of a question or a caption must not be taken for a place in the template."""


class Whole:
    """A generator that writes an answer at once, as a stream of one piece."""

    max_images = 0

    def __init__(self, generator: Generator) -> None:
        self._generator = generator
        self.id = generator.id
        self.max_input_tokens = generator.max_input_tokens

    def count_tokens(self, text: str) -> int:
        """The number of the model's tokens in the text."""
        return self._generator.count_tokens(text)

    def stream(self, prompt: str, images: Sequence[Image], max_new_tokens: int) -> Iterator[str]:
        """The whole of the likeliest text."""
        del images
        decoding = Decoding(max_new_tokens=max_new_tokens)
        (written,) = self._generator.generate([prompt], 1, decoding)
        yield next(iter(written), "")


def prompt_of(question: str, pieces: Sequence[Piece], writer: TextStream) -> str:
    """The prompt, with as many captions, the first first, as the model reads."""
    numbers = {picture: at for at, picture in enumerate(pictures_of(pieces), 1)}
    lines = [
        LISTED.format(number=numbers[piece.picture], caption=_plain(piece.text)) for piece in pieces
    ]
    template = ANSWER.replace("{question}", _plain(question))
    made = build_prompt(
        lines,
        template=template,
        budget=writer.max_input_tokens,
        count_tokens=writer.count_tokens,
    )
    return made.text


def _plain(text: str) -> str:
    return " ".join(text.translate(_BRACES).split())
