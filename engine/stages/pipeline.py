"""Runs the stages of an answer, and writes down what each of them did."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from time import perf_counter
from typing import Generic

from engine.progress import check_cancelled
from engine.stages.protocols import Answerer, Found, Q, R, Refiner, Reranker, Retriever, T
from engine.stages.trace import MOVES_SHOWN, Named, Step, Trace, in_words, moves_between
from engine.timing import Stopwatch


class Pipeline(Generic[Q, T, R]):
    """Retriever, rerankers, refiners, answerer: questions through all of them, with a trace each.

    `key` is what makes an item the same one from stage to stage, `name` what a trace calls it.
    """

    def __init__(
        self,
        retriever: Retriever[Q, T],
        answerer: Answerer[Q, T, R],
        *,
        rerankers: Sequence[Reranker[Q, T]] = (),
        refiners: Sequence[Refiner[Q, T]] = (),
        key: Callable[[T], Hashable],
        name: Callable[[T], str],
    ) -> None:
        self._retriever = retriever
        self._answerer = answerer
        self._between = [
            *((stage.name, stage.rerank) for stage in rerankers),
            *((stage.name, stage.refine) for stage in refiners),
        ]
        self._key, self._name = key, name

    def run(self, asked: Sequence[Q], watch: Stopwatch | None = None) -> list[tuple[R, Trace]]:
        """The answer to each question and how it was made; times are shared out evenly.

        What stages measure within themselves by `watch` becomes the parts of their steps. An
        error passes as it is, with a note which stage raised it. Between stages work that was
        asked to stop ends.
        """
        if not asked:
            return []
        log = _Log(len(asked), watch or Stopwatch())
        with log.stage(self._retriever.name):
            found = _each(self._retriever.retrieve(asked), asked)
        log.tell([()] * len(asked), self._named(found), _notes(found))
        for name, run in self._between:
            check_cancelled()
            before = self._named(found)
            with log.stage(name):
                found = _each(run(asked, found), asked)
            log.tell(before, self._named(found), _notes(found))
        check_cancelled()
        with log.stage(self._answerer.name):
            answers = _each(self._answerer.answer(asked, found), asked)
        log.tell_answer([len(one.items) for one in found])
        return list(zip(answers, log.traces(), strict=True))

    def _named(self, found: Sequence[Found[T]]) -> list[Sequence[Named]]:
        return [[(self._key(item), self._name(item)) for item in one.items] for one in found]


class _Log:
    """The steps of each question, as they are taken."""

    def __init__(self, count: int, watch: Stopwatch) -> None:
        self._steps: list[list[Step]] = [[] for _ in range(count)]
        self._watch = watch
        self._stage, self._ms = "", 0.0
        self._parts_ms: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        known, started = dict(self._watch.timings_ms), perf_counter()
        try:
            yield
        except Exception as error:
            error.add_note(f"in the stage {name!r}")
            raise
        share = len(self._steps)
        self._stage = name
        self._ms = (perf_counter() - started) * 1000 / share
        self._parts_ms = {
            part: spent / share
            for part, total in self._watch.timings_ms.items()
            if (spent := total - known.get(part, 0.0)) > 0
        }

    def tell(
        self,
        before: Sequence[Sequence[Named]],
        after: Sequence[Sequence[Named]],
        notes: Sequence[tuple[str, ...]],
    ) -> None:
        for steps, old, new, said in zip(self._steps, before, after, notes, strict=True):
            moves = moves_between(old, new)
            did = in_words(moves) if old or new else "found nothing"
            shown = tuple(moves[:MOVES_SHOWN])
            step = Step(
                self._stage,
                did,
                self._ms,
                len(old),
                len(new),
                shown,
                len(moves) - len(shown),
                said,
                self._parts_ms,
            )
            steps.append(step)

    def tell_answer(self, counts: Sequence[int]) -> None:
        for steps, count in zip(self._steps, counts, strict=True):
            did = f"answered from {count}"
            steps.append(Step(self._stage, did, self._ms, count, count, parts_ms=self._parts_ms))

    def traces(self) -> list[Trace]:
        return [Trace(tuple(steps)) for steps in self._steps]


def _notes(found: Sequence[Found[T]]) -> list[tuple[str, ...]]:
    return [one.notes for one in found]


def _each(given: list[R], asked: Sequence[Q]) -> list[R]:
    if len(given) != len(asked):
        raise ValueError(f"{len(given)} results came for {len(asked)} questions")
    return given
