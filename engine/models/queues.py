"""Runs calls of many threads together: a queue with a bound in front of each model.

A worker takes the oldest call that waits and all others like it, up to a batch, runs them as
one and hands the answers back. It never waits for company: a lone call starts at once, and
batches form while the model is busy. A call of somebody who has gone is taken out again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Lock
from types import MappingProxyType
from typing import Any, cast

from PIL.Image import Image

from engine.errors import Busy
from engine.models.encoder import TEXTS_PER_PICTURE
from engine.models.generator import prompts_together
from engine.models.image_text_matching import TEXTS_TOGETHER
from engine.models.streaming import Tell, TextWriter, read_while_written
from engine.models.turns import Turns
from engine.progress import Cancellation, Cancelled, check_cancelled, watched_cancellation
from engine.types import Chooser, Decoding, Encoder, Generator, Matcher, Vector, Vectors


@dataclass(frozen=True, eq=False)
class _Call:
    """A call that waits: items that need each other's company no more than those of others."""

    kind: Hashable
    items: list[Any]
    answer: Future[Sequence[Any]] = field(default_factory=Future)


@dataclass(frozen=True)
class QueueFigures:
    """What a queue has seen: calls that wait now, and since it began its batches by their size,
    calls that were refused as busy, and calls that were taken out as nobody waits for them.
    """

    waiting: int
    batches: Mapping[int, int]
    refused: int
    dropped: int


class BatchQueue:
    """Hands the items of calls of one kind to `run(kind, items)` together, in one thread.

    `run` gives one answer for each item. Where it raises for several calls, each is run alone,
    so that only the one to blame fails.
    """

    def __init__(
        self,
        subject: str,
        run: Callable[[Any, list[Any]], Sequence[Any]],
        *,
        max_batch: Callable[[Any], int],
        max_waiting: int,
    ) -> None:
        """`subject` names in messages what is waited for; `max_batch` gives items by kind."""
        self._subject = subject
        self._run = run
        self._max_batch = max_batch
        self._max_waiting = max_waiting
        self._lock = Lock()
        self._waiting: list[_Call] = []
        self._closed = False
        self._batches: Counter[int] = Counter()
        self._refused = self._dropped = 0
        self._worker = ThreadPoolExecutor(1, f"batch-{subject}")

    def ask(self, kind: Hashable, items: list[Any]) -> Sequence[Any]:
        """The answers to the items, in order; raises Busy where too many calls wait already.

        A call that waits heeds the `Cancellation` that its thread watches: it raises Cancelled.
        """
        check_cancelled()
        if not items:
            return self._run(kind, items)
        call = _Call(kind, items)
        with self._lock:
            if self._closed:
                raise Busy(f"the {self._subject} is being closed; try again in a moment")
            if len(self._waiting) >= self._max_waiting:
                self._refused += 1
                raise Busy(
                    f"{len(self._waiting)} calls wait for the {self._subject} already, the most "
                    "that may (MRAG_MAX_WAITING); try again in a moment"
                )
            self._waiting.append(call)
            self._worker.submit(self._work)
        cancellation = watched_cancellation()
        if cancellation is None:
            return call.answer.result()
        with cancellation.waking(lambda: self._drop(call)):
            answer = call.answer.result()
        cancellation.check()
        return answer

    def waiting(self) -> int:
        """How many calls wait, beside those that are being run."""
        with self._lock:
            return len(self._waiting)

    def figures(self) -> QueueFigures:
        """What it has seen, for whoever watches the program."""
        with self._lock:
            return QueueFigures(
                len(self._waiting),
                MappingProxyType(dict(self._batches)),
                self._refused,
                self._dropped,
            )

    def close(self) -> None:
        """Answer what waits and end the thread; later calls get Busy."""
        with self._lock:
            self._closed = True
        self._worker.shutdown()

    def _drop(self, call: _Call) -> None:
        """Take out a call that waits; one that is being run is left to its end."""
        with self._lock:
            if call not in self._waiting:
                return
            self._waiting.remove(call)
            self._dropped += 1
        call.answer.set_exception(Cancelled())

    def _work(self) -> None:
        """Run the oldest call that waits with others like it, if none has taken it along yet."""
        with self._lock:
            calls = self._next()
        if calls:
            self._answer(calls)

    def _next(self) -> list[_Call]:
        taken: list[_Call] = []
        room = 0
        for call in self._waiting:
            if not taken:
                room = self._max_batch(call.kind)
            elif call.kind != taken[0].kind or len(call.items) > room:
                continue
            taken.append(call)
            room -= len(call.items)
        self._waiting = [call for call in self._waiting if call not in taken]
        if taken:
            self._batches[sum(len(call.items) for call in taken)] += 1
        return taken

    def _answer(self, calls: list[_Call]) -> None:
        items = [item for call in calls for item in call.items]
        try:
            answers = self._run(calls[0].kind, items)
        except BaseException as error:
            if len(calls) == 1:
                calls[0].answer.set_exception(error)
                return
            for call in calls:
                self._answer([call])
            return
        start = 0
        for call in calls:
            call.answer.set_result(answers[start : start + len(call.items)])
            start += len(call.items)


class BatchedEncoder:
    """An encoder whose calls, when they arrive together, are run together; see `Encoder`."""

    def __init__(
        self,
        encoder: Encoder,
        turns: Turns | None = None,
        *,
        max_waiting: int,
        batch_size: int = 32,
    ) -> None:
        """`turns`: those of the encoder, where others use it past this queue."""
        self._encoder = encoder
        self._turns = turns or Turns()
        sizes = {"pictures": batch_size, "texts": batch_size * TEXTS_PER_PICTURE}
        self._queue = BatchQueue(
            "encoder", self._run, max_batch=sizes.__getitem__, max_waiting=max_waiting
        )

    @property
    def id(self) -> str:
        """Model and weights."""
        return self._encoder.id

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return self._encoder.dim

    def encode_images(self, images: list[Image]) -> Vectors:
        """Embed RGB pictures: (n, dim) float32 unit rows; raises Busy."""
        return cast(Vectors, self._queue.ask("pictures", images))

    def encode_texts(self, texts: list[str]) -> Vectors:
        """Embed texts: (n, dim) float32 unit rows; raises Busy."""
        return cast(Vectors, self._queue.ask("texts", texts))

    def figures(self) -> QueueFigures:
        """What its queue has seen."""
        return self._queue.figures()

    def close(self) -> None:
        """Answer what waits and take no more."""
        self._queue.close()

    def _run(self, kind: str, items: list[Any]) -> Sequence[Any]:
        encode: Any = (
            self._encoder.encode_images if kind == "pictures" else self._encoder.encode_texts
        )
        with self._turns.take("answer"):
            return cast(Sequence[Any], encode(items))


@dataclass(frozen=True)
class _Chosen:
    """A kind of call: one that chooses from these answers."""

    choices: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class _Alone:
    """A kind of call that is like no other: it writes piece by piece."""

    write: Callable[[], None]


def _written(
    queue: BatchQueue,
    writer: TextWriter,
    prompt: str,
    images: Sequence[Image],
    max_new_tokens: int,
) -> Iterator[str]:
    """What a writer tells when it is its turn in the queue; see `types.TextStream`."""

    def write(tell: Tell) -> None:
        stopping = watched_cancellation() or Cancellation()

        def when_it_is_its_turn() -> None:
            with stopping.watched():
                writer.write(prompt, images, max_new_tokens, tell)

        queue.ask(_Alone(when_it_is_its_turn), [prompt])

    return read_while_written(write)


class BatchedGenerator:
    """A generator whose calls of one kind are run together.

    It is a `Generator`, a `Chooser` and a `TextStream`, of `engine.types`. Of one kind are calls
    that write with the same decoding, and those that choose from the same answers; each stream is
    of its own.
    """

    max_images = 0

    def __init__(
        self, generator: Generator, turns: Turns | None = None, *, max_waiting: int
    ) -> None:
        """`turns`: those of the generator, where others use it past this queue."""
        self._generator = generator
        self._turns = turns or Turns()
        self._queue = BatchQueue(
            "generator",
            self._run,
            max_batch=lambda kind: prompts_together(kind[0] if isinstance(kind, tuple) else 1),
            max_waiting=max_waiting,
        )

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
        """Write up to `n` different candidates for each prompt; raises Busy."""
        return cast(list[list[str]], self._queue.ask((n, decoding), prompts))

    def likelihoods(self, prompts: list[str], choices: Sequence[str]) -> Vectors:
        """Log-probabilities of the choices after each prompt; raises Busy."""
        return cast(Vectors, self._queue.ask(_Chosen(tuple(choices)), prompts))

    def stream(self, prompt: str, images: Sequence[Image], max_new_tokens: int) -> Iterator[str]:
        """The pieces of the likeliest text, as they come; the first raises Busy."""
        writer = cast(TextWriter, self._generator)
        return _written(self._queue, writer, prompt, images, max_new_tokens)

    def figures(self) -> QueueFigures:
        """What its queue has seen."""
        return self._queue.figures()

    def close(self) -> None:
        """Answer what waits and take no more."""
        self._queue.close()

    def _run(
        self, kind: tuple[int, Decoding] | _Chosen | _Alone, prompts: list[str]
    ) -> Sequence[Any]:
        with self._turns.take("answer"):
            if isinstance(kind, _Alone):
                kind.write()
                return [None]
            if isinstance(kind, _Chosen):
                chooser = cast(Chooser, self._generator)
                return cast(Sequence[Any], chooser.likelihoods(prompts, kind.choices))
            return self._generator.generate(prompts, *kind)


class BatchedMatcher:
    """A matcher whose calls, when they arrive together, are run together; see `Matcher`."""

    def __init__(self, matcher: Matcher, *, max_waiting: int) -> None:
        self._matcher = matcher
        self._queue = BatchQueue(
            "reranker", self._run, max_batch=lambda _: TEXTS_TOGETHER, max_waiting=max_waiting
        )

    @property
    def id(self) -> str:
        """Model and weights."""
        return self._matcher.id

    def match(self, pairs: list[tuple[Image, str]]) -> Vector:
        """The log-odds that each text fits its RGB picture: (n,) float32; raises Busy."""
        return cast(Vector, self._queue.ask("pairs", pairs))

    def figures(self) -> QueueFigures:
        """What its queue has seen."""
        return self._queue.figures()

    def close(self) -> None:
        """Answer what waits and take no more."""
        self._queue.close()

    def _run(self, _: str, pairs: list[Any]) -> Sequence[Any]:
        return cast(Sequence[Any], self._matcher.match(pairs))


class QueuedAnswerer:
    """A writer whose calls wait for each other, each alone; see `types.TextStream`."""

    def __init__(self, writer: TextWriter, *, max_waiting: int) -> None:
        self._writer = writer
        self._queue = BatchQueue(
            "answerer",
            lambda kind, _: [kind.write()],
            max_batch=lambda _: 1,
            max_waiting=max_waiting,
        )

    @property
    def id(self) -> str:
        """Model and weights."""
        return self._writer.id

    @property
    def max_images(self) -> int:
        """The most pictures that it is shown at once."""
        return self._writer.max_images

    @property
    def max_input_tokens(self) -> int:
        """The longest prompt, as `count_tokens` counts, that fits beside `max_images` pictures."""
        return self._writer.max_input_tokens

    def count_tokens(self, text: str) -> int:
        """The number of the model's tokens in the text, without the end token."""
        return self._writer.count_tokens(text)

    def stream(self, prompt: str, images: Sequence[Image], max_new_tokens: int) -> Iterator[str]:
        """The pieces of the likeliest text, as they come; the first raises Busy."""
        return _written(self._queue, self._writer, prompt, images, max_new_tokens)

    def figures(self) -> QueueFigures:
        """What its queue has seen."""
        return self._queue.figures()

    def close(self) -> None:
        """Let what is written come to its end, and take no more."""
        self._queue.close()
