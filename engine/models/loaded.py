"""The loaded models: each once, for all collections and threads."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock, RLock
from typing import Generic, TypeVar

from engine.models.encoder import load_encoder
from engine.models.generator import load_generator
from engine.models.image_text_matching import load_matcher
from engine.models.queues import (
    BatchedEncoder,
    BatchedGenerator,
    BatchedMatcher,
    QueuedAnswerer,
    QueueFigures,
)
from engine.models.turns import FillingEncoder, FillingGenerator, Turns
from engine.models.vision_language import VisionLanguageModel, load_vision_language
from engine.settings import Settings
from engine.types import Chooser, Encoder, Generator, Matcher, TextStream

CONSENSUS = "consensus"
"""The generator that is none: the description is the consensus of the retrieved captions."""

Part = TypeVar("Part")


class _Once(Generic[Part]):
    """Makes a part for each key, once; a slow one keeps nobody from the others."""

    def __init__(self, make: Callable[[str], Part]) -> None:
        self._make = make
        self._made: dict[str, Part] = {}
        self._making: dict[str, RLock] = {}
        self._lock = Lock()

    def get(self, key: str) -> Part:
        with self._lock:
            making = self._making.setdefault(key, RLock())
        with making:
            part = self._made.get(key)  # once: `clear` may come between two looks
            if part is None:
                part = self._made[key] = self._make(key)
            return part

    def has(self, key: str) -> bool:
        return key in self._made

    def made(self) -> list[Part]:
        with self._lock:
            return list(self._made.values())

    def clear(self) -> list[Part]:
        with self._lock:
            made, self._made = list(self._made.values()), {}
        return made


class Models:
    """Encoders and generators, each loaded once for all collections and threads.

    The batched ones are for answering: calls of many sessions are run together, and too many get
    Busy. The filling ones, over the same models, let these go between small pieces. The plain
    ones are for processes that do not answer.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._encoders = _Once(self._load_encoder)
        self._generators = _Once(self._load_generator)
        self._turns = _Once(lambda _: Turns())
        self._batched_encoders = _Once(self._batch_encoder)
        self._batched_generators = _Once(self._batch_generator)
        self._matchers = _Once(self._load_matcher)
        self._batched_matchers = _Once(self._batch_matcher)
        self._answerers = _Once(self._load_answerer)
        self._queued_answerers = _Once(self._queue_answerer)

    def encoder(self, spec: str) -> Encoder:
        """The encoder of a spec (see Settings); raises ModelMissing."""
        return self._encoders.get(spec)

    def generator(self, spec: str) -> Generator | None:
        """The generator of a spec, None for `consensus`; raises ModelMissing."""
        return None if spec == CONSENSUS else self._generators.get(spec)

    def has_encoder(self, spec: str) -> bool:
        """Whether the encoder of a spec is loaded."""
        return self._encoders.has(spec)

    def has_generator(self, spec: str) -> bool:
        """Whether the generator of a spec is loaded."""
        return self._generators.has(spec)

    def batched_encoder(self, spec: str) -> Encoder:
        """The encoder of a spec, behind a queue; raises ModelMissing."""
        return self._batched_encoders.get(spec)

    def batched_generator(self, spec: str) -> Generator | None:
        """The generator of a spec, behind a queue; None for `consensus`; raises ModelMissing."""
        return None if spec == CONSENSUS else self._batched_generators.get(spec)

    def matcher(self, spec: str) -> Matcher:
        """The picture reranker of a spec (see Settings); raises ModelMissing."""
        return self._matchers.get(spec)

    def has_matcher(self, spec: str) -> bool:
        """Whether the picture reranker of a spec is loaded."""
        return self._matchers.has(spec)

    def batched_matcher(self, spec: str) -> Matcher:
        """The picture reranker of a spec, behind a queue; raises ModelMissing."""
        return self._batched_matchers.get(spec)

    def batched_chooser(self, spec: str) -> Chooser | None:
        """The generator of a spec as one that chooses, behind the queue that it writes behind."""
        return None if spec == CONSENSUS else self._batched_generators.get(spec)

    def answerer(self, spec: str) -> TextStream:
        """The model of a spec that sees pictures (see Settings); raises ModelMissing."""
        return self._answerers.get(spec)

    def has_answerer(self, spec: str) -> bool:
        """Whether the answerer of a spec is loaded."""
        return self._answerers.has(spec)

    def queued_answerer(self, spec: str, generator: str) -> TextStream | None:
        """The answerer of a spec, behind a queue; where that is "", the generator as one.

        None where that is `consensus`, which writes nothing; raises ModelMissing.
        """
        if spec:
            return self._queued_answerers.get(spec)
        return None if generator == CONSENSUS else self._batched_generators.get(generator)

    def filling_encoder(self, spec: str) -> Encoder:
        """The encoder of a spec for filling, between answers; raises ModelMissing."""
        return FillingEncoder(self.encoder(spec), self._turns.get(f"encoder {spec}"))

    def filling_generator(self, spec: str) -> Generator | None:
        """The generator of a spec for filling, as `generator`; raises ModelMissing."""
        generator = self.generator(spec)
        turns = self._turns.get(f"generator {spec}")
        return None if generator is None else FillingGenerator(generator, turns)

    def queues(self) -> dict[str, list[QueueFigures]]:
        """What the queues have seen, by what is waited for; one for each model in use."""
        return {
            "encoder": [encoder.figures() for encoder in self._batched_encoders.made()],
            "generator": [generator.figures() for generator in self._batched_generators.made()],
            "reranker": [matcher.figures() for matcher in self._batched_matchers.made()],
            "answerer": [answerer.figures() for answerer in self._queued_answerers.made()],
        }

    def close(self) -> None:
        """Answer what waits and end the queues; the models stay loaded."""
        for encoder in self._batched_encoders.clear():
            encoder.close()
        for generator in self._batched_generators.clear():
            generator.close()
        for matcher in self._batched_matchers.clear():
            matcher.close()
        for answerer in self._queued_answerers.clear():
            answerer.close()

    def _load_encoder(self, spec: str) -> Encoder:
        settings = self._settings
        return load_encoder(
            spec,
            device=settings.device,
            precision=settings.precision,
            batch_size=settings.batch_size,
            threads=settings.threads,
        )

    def _load_generator(self, spec: str) -> Generator:
        settings = self._settings
        return load_generator(
            spec,
            device=settings.device,
            precision=settings.precision,
            threads=settings.threads,
        )

    def _batch_encoder(self, spec: str) -> BatchedEncoder:
        settings = self._settings
        return BatchedEncoder(
            self.encoder(spec),
            self._turns.get(f"encoder {spec}"),
            max_waiting=settings.max_waiting,
            batch_size=settings.batch_size,
        )

    def _batch_generator(self, spec: str) -> BatchedGenerator:
        turns = self._turns.get(f"generator {spec}")
        generator = self._generators.get(spec)
        return BatchedGenerator(generator, turns, max_waiting=self._settings.max_waiting)

    def _load_matcher(self, spec: str) -> Matcher:
        settings = self._settings
        return load_matcher(
            spec,
            device=settings.device,
            precision=settings.precision,
            threads=settings.threads,
        )

    def _batch_matcher(self, spec: str) -> BatchedMatcher:
        return BatchedMatcher(self.matcher(spec), max_waiting=self._settings.max_waiting)

    def _load_answerer(self, spec: str) -> VisionLanguageModel:
        settings = self._settings
        return load_vision_language(
            spec,
            device=settings.device,
            precision=settings.precision,
            threads=settings.threads,
        )

    def _queue_answerer(self, spec: str) -> QueuedAnswerer:
        return QueuedAnswerer(self._answerers.get(spec), max_waiting=self._settings.max_waiting)
