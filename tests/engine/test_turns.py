"""Who waits for an answer goes between the pieces of a fill, and the fill goes on all the same."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from time import sleep
from typing import Any

import numpy as np
import pytest
from PIL import Image

from engine.errors import InvalidInput
from engine.models.loaded import Models
from engine.models.queues import BatchedEncoder
from engine.models.turns import FillingEncoder, FillingGenerator, Turns
from engine.settings import Settings
from engine.types import Decoding, Encoder, Vectors

TEXTS = ["x" * length for length in range(1, 201)]
LENGTHS = [[len(text)] for text in TEXTS]
QUESTION = "who goes first"


class Lengths:
    """Embeds a text as its length, in a millisecond or more, and notes what it was given."""

    id, dim = "lengths", 1

    def __init__(self, on_call: Callable[[int], None] = lambda _: None) -> None:
        self.calls: list[list[str]] = []
        self._on_call = on_call

    def encode_texts(self, texts: list[str]) -> Vectors:
        self.calls.append(texts)
        self._on_call(len(self.calls))
        sleep(0.001 * len(texts))
        return np.array([[len(text)] for text in texts], np.float32).reshape(-1, 1)

    def encode_images(self, images: list[Image.Image]) -> Vectors:
        return np.zeros((len(images), self.dim), np.float32)


class OneModel(Models):
    """Has one encoder already, whatever is asked for."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__(Settings())
        self._encoder = encoder

    def encoder(self, spec: str) -> Encoder:
        del spec
        return self._encoder


def test_an_answer_goes_before_the_next_piece_of_a_fill() -> None:
    begun, asked = Event(), Event()

    def wait_in_the_second_piece(call: int) -> None:
        if call == 3:
            begun.set()
            assert asked.wait(10)

    turns, encoder = Turns(), Lengths(wait_in_the_second_piece)
    batched, filling = BatchedEncoder(encoder, turns, max_waiting=9), FillingEncoder(encoder, turns)
    batched.encode_texts(["somebody is there"])
    with ThreadPoolExecutor(2) as threads:
        filled = threads.submit(filling.encode_texts, TEXTS)
        assert begun.wait(10)
        answer = threads.submit(batched.encode_texts, [QUESTION])
        while not turns.waiting("answer"):
            pass
        asked.set()
        assert answer.result(10).tolist() == [[len(QUESTION)]]
        assert filled.result(10).tolist() == LENGTHS
    batched.close()
    assert encoder.calls[3] == [QUESTION]
    assert len(encoder.calls) > 4


def test_many_answers_do_not_starve_a_fill() -> None:
    turns, ended = Turns(), Event()

    def keep_asking() -> int:
        asked = 0
        while not ended.is_set():
            with turns.take("answer"):
                asked += 1
        return asked

    with ThreadPoolExecutor(3) as threads:
        askers = [threads.submit(keep_asking) for _ in range(3)]
        for _ in range(100):
            with turns.take("fill"):
                pass
        ended.set()
        assert all(asker.result(10) for asker in askers)


def test_a_fill_is_cut_into_pieces_only_while_somebody_is_there() -> None:
    """Queue and fill of one model share their turns, whichever is made first."""
    encoder = Lengths()
    models = OneModel(encoder)
    filling = models.filling_encoder("one")
    assert filling.encode_texts(TEXTS).tolist() == LENGTHS
    assert len(encoder.calls) == 1
    models.batched_encoder("one").encode_texts([QUESTION])
    assert filling.encode_texts(TEXTS).tolist() == LENGTHS
    assert len(encoder.calls) > 3
    assert [text for call in encoder.calls[2:] for text in call] == TEXTS
    models.close()


def test_nothing_to_embed_gives_no_rows() -> None:
    assert FillingEncoder(Lengths(), Turns()).encode_texts([]).shape == (0, 1)


def test_a_fill_that_fails_lets_go(fake_generator: Callable[..., Any]) -> None:
    def fail(_: int) -> None:
        raise InvalidInput("not this one")

    turns = Turns()
    with pytest.raises(InvalidInput):
        FillingEncoder(Lengths(fail), turns).encode_texts(TEXTS)
    with turns.take("answer"):
        pass
    prompts = [f"prompt {number}" for number in range(20)]
    generator = fake_generator("a", "b")
    written = FillingGenerator(generator, turns).generate(prompts, 1, Decoding())
    assert written == [["a"]] * 20
    assert generator.prompts == prompts
