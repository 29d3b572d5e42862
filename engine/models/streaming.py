"""Text that is read while it is written: from tokens to pieces, from one thread to another."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack
from contextvars import copy_context
from queue import SimpleQueue
from threading import Thread
from typing import Protocol, TypeVar

from PIL.Image import Image

from engine.progress import Cancellation, Cancelled, check_cancelled, watched_cancellation

Tell = Callable[[str], None]
"""Takes the next piece of a text."""

_HALF = "\N{REPLACEMENT CHARACTER}"
"""What a decoder makes of a character of which a part is still to come."""

_WORD_IN_WORK = re.compile(r"(?:\s+|\A)[\x21-\x7e]{0,24}\Z")
"""The space and the Latin word at the end of a text, which the next token may change; of what is
longer than a word nothing is waited for."""


Told = TypeVar("Told")


class TextWriter(Protocol):
    """What a `types.TextStream` is made of: it writes in the thread that calls."""

    @property
    def id(self) -> str:
        """Model and weights."""

    @property
    def max_images(self) -> int:
        """The most pictures that it is shown at once; 0: it reads text alone."""

    @property
    def max_input_tokens(self) -> int:
        """The longest prompt, as `count_tokens` counts, that fits beside `max_images` pictures."""

    def count_tokens(self, text: str) -> int:
        """The number of the model's tokens in the text, without the end token."""

    def write(self, prompt: str, images: Sequence[Image], max_new_tokens: int, tell: Tell) -> None:
        """Write the likeliest text, and tell its pieces; heeds a cancellation at each token."""


class Pieces:
    """Makes pieces of tokens as they come: joined they are the decoded text, stripped.

    What a further token could change is held back: half a character, a word that may grow or
    draw a stop or an apostrophe near, and white space, of which the end has none.
    """

    def __init__(self, decode: Callable[[list[int]], str], tell: Tell) -> None:
        self._decode = decode
        self._tell = tell
        self._tokens: list[int] = []
        self._told = 0

    def put(self, tokens: list[int]) -> None:
        """Take tokens, and tell what is certain of the text now."""
        self._tokens += tokens
        text = self._decode(self._tokens).lstrip().rstrip(_HALF)
        self._tell_up_to(_WORD_IN_WORK.sub("", text))

    def end(self) -> None:
        """Tell the rest."""
        self._tell_up_to(self._decode(self._tokens).strip())

    def _tell_up_to(self, text: str) -> None:
        if new := text[self._told :]:
            self._told = len(text)
            self._tell(new)


class TokenStreamer:
    """What transformers' `generate` tells its tokens to: heeds a cancellation before each.

    It is shown the prompt first where `generate` begins with one.
    """

    def __init__(self, pieces: Pieces) -> None:
        self._pieces = pieces
        self._is_prompt = True

    def put(self, value: object) -> None:
        """Take the tokens of one step, a tensor; raises Cancelled, which ends `generate`."""
        check_cancelled()
        if self._is_prompt:
            self._is_prompt = False
        else:
            self._pieces.put(value.flatten().tolist())  # type: ignore[attr-defined]  # a tensor

    def end(self) -> None:
        """No more tokens come."""
        self._pieces.end()


class _End:
    """The last thing that a writing thread tells: what it died of, None where it is done."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


def read_while_written(
    write: Callable[[Callable[[Told], None]], object],
) -> Generator[Told, None, None]:
    """What `write` tells, as it tells it, from a thread of its own.

    The thread is begun with the first piece, never waits for the reader, and watches a
    `Cancellation`, which is asked where the reader closes the iterator or is itself asked to
    stop. What it raises is raised to the reader.
    """
    told: SimpleQueue[Told | _End] = SimpleQueue()
    writing, reading = Cancellation(), watched_cancellation()

    def stop() -> None:
        writing.ask()
        told.put(_End(Cancelled()))

    def work() -> None:
        try:
            with writing.watched():
                check_cancelled()
                write(told.put)
        except BaseException as error:  # whatever it is, the reader waits for it
            told.put(_End(error))
        else:
            told.put(_End())

    try:
        with ExitStack() as held:
            if reading is not None:
                held.enter_context(reading.waking(stop))
                reading.check()
            # In this context, so that what is told of progress finds its listener.
            Thread(target=copy_context().run, args=(work,), name="writer", daemon=True).start()
            while not isinstance(piece := told.get(), _End):
                yield piece
            if piece.error is not None:
                raise piece.error
    finally:
        writing.ask()
