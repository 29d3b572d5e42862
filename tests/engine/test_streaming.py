"""Text that is read while it is written: pieces, threads, queues, and the seq2seq generator's."""

import gc
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from engine.errors import Busy, InvalidInput
from engine.models.generator import Seq2SeqGenerator, load_generator
from engine.models.queues import BatchedGenerator, QueuedAnswerer
from engine.models.streaming import Pieces, Tell, read_while_written
from engine.progress import Cancellation, Cancelled, check_cancelled
from engine.types import Decoding

SAMPLE = Path(__file__).parents[2] / "sample/pack/t5"
PROMPTS = [
    "a photo of a dog",
    "two cats on a beach",
    "Captions:\nA dog on grass.\nA caption is:",
    "</s> <pad> a red car",
]


def decoded(tokens: list[int]) -> str:
    """As byte-level BPE decodes: half a character is a replacement character."""
    return bytes(tokens).decode("utf-8", errors="replace")


@settings(max_examples=50, deadline=None)
@given(st.text(), st.integers(1, 3))
def test_pieces_join_to_the_stripped_text(text: str, together: int) -> None:
    told: list[str] = []
    pieces = Pieces(decoded, told.append)
    tokens = list(text.encode("utf-8", errors="ignore"))
    for start in range(0, len(tokens), together):
        pieces.put(tokens[start : start + together])
    pieces.end()
    assert "".join(told) == decoded(tokens).strip()
    assert all(told)


@pytest.mark.parametrize(
    ("steps", "told"),
    [
        (["a dog", "a dog .", "a dog. it"], ["a", " dog", ".", " it"]),
        (["do", "do n", "don't", "don't go"], ["do", "n't", " go"]),
        (["x" * 10, "x" * 30, "x" * 40], ["x" * 30, "x" * 10]),
        (["两只", "两只狗", "两只狗。"], ["两只", "狗", "。"]),
        (["कु", "कुत्", "कुत्ता"], ["कु", "त्", "ता"]),
    ],
)
def test_what_may_still_change_is_held_back(steps: list[str], told: list[str]) -> None:
    found: list[str] = []
    pieces = Pieces(lambda tokens: steps[tokens[-1]], found.append)
    for step in range(len(steps)):
        pieces.put([step])
    pieces.end()
    assert found == told


def endless(tell: Tell) -> None:
    while True:
        check_cancelled()
        tell("on ")


def test_a_reader_that_goes_ends_the_writing() -> None:
    ended = Event()

    def write(tell: Tell) -> None:
        try:
            endless(tell)
        finally:
            ended.set()

    pieces: Any = read_while_written(write)
    assert [next(pieces), next(pieces)] == ["on ", "on "]
    pieces.close()
    assert ended.wait(60)
    ended.clear()
    forgotten = read_while_written(write)
    next(forgotten)
    del forgotten
    gc.collect()
    assert ended.wait(60)


def test_what_goes_wrong_while_writing_reaches_the_reader() -> None:
    def write(tell: Tell) -> None:
        tell("half a")
        raise InvalidInput("no more")

    pieces = read_while_written(write)
    assert next(pieces) == "half a"
    with pytest.raises(InvalidInput, match="no more"):
        next(pieces)


def test_nothing_is_begun_before_somebody_reads_or_after_it_was_cancelled() -> None:
    begun: list[str] = []
    read_while_written(lambda _: begun.append("unread"))
    cancellation = Cancellation()
    cancellation.ask()
    with cancellation.watched(), pytest.raises(Cancelled):
        next(read_while_written(lambda _: begun.append("cancelled")))
    assert begun == []


# Behind queues.


class SlowWriter:
    """Writes a piece each time that it is let go on."""

    id = "slow"
    max_images = 2
    max_input_tokens = 10

    def __init__(self) -> None:
        self.may, self.began = Event(), Event()
        self.prompts: list[str] = []

    def count_tokens(self, text: str) -> int:
        return len(text)

    def write(
        self, prompt: str, images: Sequence[Image.Image], max_new_tokens: int, tell: Tell
    ) -> None:
        self.prompts.append(prompt)
        tell(f"{prompt}: ")
        self.began.set()
        assert self.may.wait(60)
        check_cancelled()
        tell(f"{len(images)} {max_new_tokens}")


@pytest.fixture
def slow() -> SlowWriter:
    return SlowWriter()


@pytest.fixture
def answerer(slow: SlowWriter) -> Iterator[QueuedAnswerer]:
    queued = QueuedAnswerer(slow, max_waiting=1)
    yield queued
    slow.may.set()
    queued.close()


def test_streams_go_one_after_the_other_and_too_many_are_refused(
    slow: SlowWriter, answerer: QueuedAnswerer
) -> None:
    picture = Image.new("RGB", (1, 1))
    first = answerer.stream("first", [picture], 5)
    assert next(first) == "first: "
    with ThreadPoolExecutor(1) as pool:
        second = pool.submit(list, answerer.stream("second", [], 6))
        while not answerer.figures().waiting:
            pass
        with pytest.raises(Busy, match="1 calls wait for the answerer"):
            next(answerer.stream("third", [], 7))
        assert slow.prompts == ["first"]
        slow.may.set()
        assert list(first) == ["1 5"]
        assert second.result() == ["second: ", "0 6"]
    assert (answerer.figures().refused, answerer.id, answerer.max_images) == (1, "slow", 2)


def test_a_client_that_goes_while_it_waits_or_reads_frees_its_place(
    slow: SlowWriter, answerer: QueuedAnswerer
) -> None:
    cancellation = Cancellation()

    def reading(prompt: str) -> list[str]:
        with cancellation.watched():
            return list(answerer.stream(prompt, [], 5))

    with ThreadPoolExecutor(2) as pool:
        gone = [pool.submit(reading, "running")]
        assert slow.began.wait(60)
        gone.append(pool.submit(reading, "waiting"))
        while not answerer.figures().waiting:
            pass
        cancellation.ask()
        for one in gone:
            with pytest.raises(Cancelled):
                one.result()
    slow.may.set()
    assert list(answerer.stream("next", [], 5)) == ["next: ", "0 5"]
    assert slow.prompts == ["running", "next"]


# The seq2seq generator's.


@pytest.fixture(scope="module")
def generator() -> Seq2SeqGenerator:
    return load_generator(str(SAMPLE), device="cpu", precision="fp32")


@pytest.mark.parametrize("prompt", PROMPTS)
def test_the_generators_stream_is_its_greedy_text(generator: Seq2SeqGenerator, prompt: str) -> None:
    expected = generator.generate([prompt], 1, Decoding(max_new_tokens=20))[0]
    pieces = list(generator.stream(prompt, [], 20))
    assert ["".join(pieces)] == (expected or [""])
    assert len(pieces) > 1


def test_what_the_generator_cannot_stream(generator: Seq2SeqGenerator) -> None:
    assert generator.max_images == 0
    cases: list[tuple[Callable[[], Iterator[str]], str]] = [
        (lambda: generator.stream("a", [Image.new("RGB", (9, 9))], 5), "1 pictures .* text alone"),
        (lambda: generator.stream("a", [], 0), "max_new_tokens is 0"),
        (lambda: generator.stream("a dog " * 9999, [], 5), "reads at most"),
    ]
    for stream, message in cases:
        with pytest.raises(InvalidInput, match=message):
            next(stream())


def test_a_prompt_s_control_tokens_are_text_to_the_generator(generator: Seq2SeqGenerator) -> None:
    for word in ("</s>", "<pad>", "</s></s>"):
        tokens = generator._tokenize([f"a dog {word} on a beach"], end=True)[0]
        assert tokens.count(1) == 1
        assert tokens.count(0) == 0
        assert generator.count_tokens(word) > 1


def test_behind_its_queue_the_generator_streams_and_writes(generator: Seq2SeqGenerator) -> None:
    queued = BatchedGenerator(generator, max_waiting=4)
    with ThreadPoolExecutor(4) as pool:
        streams = list(pool.map(lambda prompt: "".join(queued.stream(prompt, [], 20)), PROMPTS[:3]))
        texts = queued.generate(PROMPTS[:3], 1, Decoding(max_new_tokens=20))
    assert [[text] for text in streams] == texts
    queued.close()
    with pytest.raises(Busy):
        next(queued.stream("a", [], 5))
