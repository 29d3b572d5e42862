"""Lets those who wait for an answer go between the pieces of what fills a collection.

A fill hands long lists to a model; the model's own lock would go from one piece of such a list
to the next, as who lets go of a lock is the first to take it again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import Condition
from time import monotonic, perf_counter
from typing import Any, Literal, TypeVar

import numpy as np
from PIL.Image import Image

from engine.types import Decoding, Encoder, Generator, Vectors

PIECE_S = 0.025
"""How long a piece takes, about, on a quiet machine: what an answer may have to wait for."""

LEAST_PICTURES, LEAST_TEXTS = 4, 16
"""The smallest pieces: a picture or a text of smaller ones costs a tenth more, or more than that.
Measured on two cores with the sample CLIP; ViT-B-32 differs by less."""

LEAST_PROMPTS = 8
"""Of a generator, for which a prompt alone costs as much as four together."""

RECENT_S = 60.0
"""For so long after an answer lists are cut into pieces: somebody is there."""

Who = Literal["answer", "fill"]
T = TypeVar("T")
R = TypeVar("R")


class Turns:
    """Who may use a model: one at a time, those who answer and those who fill by turns."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._waiting: dict[Who, int] = {"answer": 0, "fill": 0}
        self._busy = False
        self._last: Who = "fill"
        self._answered_at = -np.inf

    @contextmanager
    def take(self, who: Who) -> Iterator[None]:
        """Wait for the turn, and have it until the block ends."""
        with self._changed:
            if who == "answer":
                self._answered_at = monotonic()
            self._waiting[who] += 1
            try:
                self._changed.wait_for(lambda: self._may_go(who))
            finally:
                self._waiting[who] -= 1
            self._busy, self._last = True, who
        try:
            yield
        finally:
            with self._changed:
                self._busy = False
                self._changed.notify_all()

    def waiting(self, who: Who) -> int:
        """How many wait for their turn."""
        with self._changed:
            return self._waiting[who]

    def in_demand(self) -> bool:
        """Whether somebody has asked for an answer of late."""
        return monotonic() - self._answered_at < RECENT_S

    def _may_go(self, who: Who) -> bool:
        other: Who = "fill" if who == "answer" else "answer"
        return not self._busy and (who != self._last or not self._waiting[other])


class _Pieces:
    """Runs lists for a fill, in pieces of about PIECE_S while the model is in demand."""

    def __init__(self, turns: Turns, least: int) -> None:
        self._turns = turns
        self._least = self._size = least
        self._item_s = np.inf  # at best, as other work on the machine comes and goes

    def run(self, call: Callable[[list[T]], R], items: Sequence[T]) -> list[R]:
        """What the call gives for each piece."""
        given, start = [], 0
        while start < len(items):
            size = self._size if self._turns.in_demand() else len(items)
            piece = list(items[start : start + size])
            with self._turns.take("fill"):
                began = perf_counter()
                given.append(call(piece))
                spent = perf_counter() - began
            self._item_s = min(self._item_s, max(spent, 1e-6) / len(piece))
            self._size = max(self._least, int(PIECE_S / self._item_s))
            start += len(piece)
        return given


class FillingEncoder:
    """An encoder that is handed over to answers between small pieces of long lists."""

    def __init__(self, encoder: Encoder, turns: Turns) -> None:
        self._encoder = encoder
        self._pictures = _Pieces(turns, LEAST_PICTURES)
        self._texts = _Pieces(turns, LEAST_TEXTS)

    @property
    def id(self) -> str:
        """Model and weights."""
        return self._encoder.id

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return self._encoder.dim

    def encode_images(self, images: list[Image]) -> Vectors:
        """Embed RGB pictures: (n, dim) float32 unit rows."""
        return self._stack(self._pictures.run(self._encoder.encode_images, images))

    def encode_texts(self, texts: list[str]) -> Vectors:
        """Embed texts: (n, dim) float32 unit rows."""
        return self._stack(self._texts.run(self._encoder.encode_texts, texts))

    def _stack(self, parts: list[Any]) -> Vectors:
        return np.concatenate([np.empty((0, self.dim), np.float32), *parts])


class FillingGenerator:
    """A generator that is handed over to answers between batches."""

    def __init__(self, generator: Generator, turns: Turns) -> None:
        self._generator = generator
        self._prompts = _Pieces(turns, LEAST_PROMPTS)

    @property
    def id(self) -> str:
        """Model and weights."""
        return self._generator.id

    @property
    def max_input_tokens(self) -> int:
        """The longest prompt, as `count_tokens` counts."""
        return self._generator.max_input_tokens

    def count_tokens(self, text: str) -> int:
        """The number of the model's tokens in the text, without the end token."""
        return self._generator.count_tokens(text)

    def generate(self, prompts: list[str], n: int, decoding: Decoding) -> list[list[str]]:
        """Write up to `n` different candidates for each prompt, the likeliest first."""
        parts = self._prompts.run(
            lambda piece: self._generator.generate(piece, n, decoding), prompts
        )
        return [texts for part in parts for texts in part]
