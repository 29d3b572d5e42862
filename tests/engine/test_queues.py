"""Calls of many threads: run together, answered each with its own, and never without bound."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event
from typing import Any

import numpy as np
import pytest
from PIL import Image

from engine.errors import Busy, InvalidInput
from engine.models.queues import BatchedEncoder, BatchedGenerator, BatchQueue
from engine.progress import Cancellation, Cancelled
from engine.types import Decoding, Vectors


class Door:
    """Doubles numbers, behind a door: shut, the first batch waits in it and others pile up."""

    def __init__(self) -> None:
        self.batches: list[tuple[Any, list[int]]] = []
        self.entered, self.opened = Event(), Event()

    def __call__(self, kind: Any, items: list[int]) -> Sequence[int]:
        self.batches.append((kind, items))
        self.entered.set()
        assert self.opened.wait(10)
        if 13 in items:
            raise InvalidInput("13 is not for us")
        return [2 * item for item in items]


@pytest.fixture
def door() -> Door:
    return Door()


@pytest.fixture
def queue(door: Door) -> Iterator[BatchQueue]:
    made = BatchQueue("door", door, max_batch=lambda _: 4, max_waiting=6)
    yield made
    door.opened.set()
    made.close()


Ask = Callable[..., list[Future[Sequence[int]]]]


@pytest.fixture
def ask(queue: BatchQueue, door: Door) -> Iterator[Ask]:
    """Asks from as many threads as there are calls, the later ones while the first is at work."""
    with ThreadPoolExecutor(16) as threads:

        def ask(*calls: tuple[Any, list[int]]) -> list[Future[Sequence[int]]]:
            answers = [threads.submit(queue.ask, *calls[0])]
            assert door.entered.wait(10)
            for place, call in enumerate(calls[1:], start=1):
                answers.append(threads.submit(queue.ask, *call))
                while queue.waiting() < place and not answers[-1].done():
                    pass
            door.opened.set()
            return answers

        yield ask


def test_a_lone_call_is_run_at_once(queue: BatchQueue, door: Door) -> None:
    door.opened.set()
    assert queue.ask("a", [1, 2]) == [2, 4]
    assert door.batches == [("a", [1, 2])]


def test_calls_that_wait_are_run_together_up_to_a_batch(ask: Ask, door: Door) -> None:
    answers = ask(("a", [1]), ("a", [2]), ("a", [3, 4]), ("a", [5]), ("a", [6]))
    assert [answer.result(10) for answer in answers] == [[2], [4], [6, 8], [10], [12]]
    assert door.batches == [("a", [1]), ("a", [2, 3, 4, 5]), ("a", [6])]


def test_kinds_do_not_mix_and_the_oldest_goes_first(ask: Ask, door: Door) -> None:
    answers = ask(("a", [1]), ("b", [2]), ("a", [3]), ("b", [4]))
    assert [answer.result(10) for answer in answers] == [[2], [4], [6], [8]]
    assert door.batches == [("a", [1]), ("b", [2, 4]), ("a", [3])]


def test_a_call_larger_than_a_batch_goes_alone(ask: Ask, door: Door) -> None:
    answers = ask(("a", [1]), ("a", [2, 3, 4, 5, 6]), ("a", [7]))
    assert answers[1].result(10) == [4, 6, 8, 10, 12]
    assert door.batches[1:] == [("a", [2, 3, 4, 5, 6]), ("a", [7])]


def test_only_the_call_to_blame_fails(ask: Ask) -> None:
    answers = ask(("a", [1]), ("a", [2]), ("a", [13]), ("a", [4]))
    with pytest.raises(InvalidInput, match="13 is not for us"):
        answers[2].result(10)
    assert [answers[place].result(10) for place in (1, 3)] == [[4], [8]]


def test_beyond_the_bound_it_is_busy_and_later_free_again(ask: Ask, queue: BatchQueue) -> None:
    answers = ask(("a", [0]), *[("a", [number]) for number in range(1, 9)])
    told = [answer.exception(10) for answer in answers]
    assert [type(error) for error in told] == [type(None)] * 7 + [Busy] * 2
    assert "6 calls wait for the door" in str(told[-1])
    assert "try again" in str(told[-1])
    assert queue.ask("a", [9]) == [18]


def test_closing_answers_what_waits_and_refuses_what_comes(ask: Ask, queue: BatchQueue) -> None:
    answers = ask(("a", [1]), ("b", [2]))
    queue.close()
    assert [answer.result(10) for answer in answers] == [[2], [4]]
    with pytest.raises(Busy, match="closed"):
        queue.ask("a", [1])


def test_a_call_of_somebody_who_has_gone_is_taken_out_and_not_run(
    queue: BatchQueue, door: Door
) -> None:
    gone = Cancellation()

    def ask_watched(cancellation: Cancellation, item: int) -> Sequence[int]:
        with cancellation.watched():
            return queue.ask("a", [item])

    with ThreadPoolExecutor(4) as threads:
        first = threads.submit(ask_watched, Cancellation(), 1)
        assert door.entered.wait(10)
        waits, stays = (
            threads.submit(ask_watched, gone, 2),
            threads.submit(ask_watched, Cancellation(), 3),
        )
        while queue.waiting() < 2:
            pass
        gone.ask()
        assert isinstance(waits.exception(10), Cancelled)  # while the first is still at work
        door.opened.set()
        assert [first.result(10), stays.result(10)] == [[2], [6]]
    assert door.batches == [("a", [1]), ("a", [3])]
    figures = queue.figures()
    assert (figures.waiting, figures.dropped, figures.batches) == (0, 1, {1: 2})


def test_who_has_gone_before_or_during_its_run_gets_no_answer(
    queue: BatchQueue, door: Door
) -> None:
    gone, during = Cancellation(), Cancellation()
    gone.ask()
    with gone.watched(), pytest.raises(Cancelled):
        queue.ask("a", [1])

    def ask_watched() -> Sequence[int]:
        with during.watched():
            return queue.ask("a", [2])

    with ThreadPoolExecutor(1) as threads:
        answer = threads.submit(ask_watched)
        assert door.entered.wait(10)
        during.ask()
        door.opened.set()
        assert isinstance(answer.exception(10), Cancelled)
    assert door.batches == [("a", [2])]


class Lengths:
    """Vectors that tell the length of a text, or the width of a picture, and the batch's size."""

    id = "lengths"
    dim = 2

    def encode_texts(self, texts: list[str]) -> Vectors:
        rows = [(len(text), len(texts)) for text in texts]
        return np.array(rows, np.float32).reshape(-1, 2)

    def encode_images(self, images: list[Image.Image]) -> Vectors:
        return np.array([(image.width, 0) for image in images], np.float32).reshape(-1, 2)


def test_an_encoder_behind_a_queue_gives_the_same_vectors() -> None:
    plain = Lengths()
    batched = BatchedEncoder(plain, max_waiting=100)
    texts = ["a" * length for length in range(50)]
    with ThreadPoolExecutor(16) as threads:
        found = list(threads.map(lambda text: batched.encode_texts([text, "four"]), texts))
    assert [(row[0, 0], row[1, 0]) for row in found] == [(length, 4) for length in range(50)]
    picture = Image.new("RGB", (7, 3))
    assert batched.encode_images([picture])[0, 0] == 7
    assert batched.encode_texts([]).shape == batched.encode_images([]).shape == (0, 2)
    assert (batched.id, batched.dim) == (plain.id, plain.dim)
    batched.close()


def test_a_generator_behind_a_queue_keeps_decodings_apart(
    fake_generator: Callable[..., Any],
) -> None:
    plain = fake_generator("one", "two", "three")
    batched = BatchedGenerator(plain, max_waiting=100)
    asked = [(n, Decoding(seed=seed)) for n in (1, 2, 3) for seed in range(8)]
    with ThreadPoolExecutor(16) as threads:
        found = list(threads.map(lambda call: batched.generate(["a prompt"], *call), asked))
    assert [len(texts) for (texts,) in found] == [n for n, _ in asked]
    assert batched.count_tokens("two words") == 2
    assert batched.max_input_tokens == plain.max_input_tokens
    assert plain.prompts == ["a prompt"] * len(asked)
    batched.close()
