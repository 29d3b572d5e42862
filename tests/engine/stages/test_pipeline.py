from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from engine.progress import Cancellation, Cancelled
from engine.stages.pipeline import Pipeline
from engine.stages.protocols import Found
from engine.stages.trace import MOVES_SHOWN, Move
from engine.timing import Stopwatch


@dataclass
class Words:
    """Finds the words of a question; says how often it was asked."""

    name: str = "retrieve: words"
    asked: list[int] = field(default_factory=list)

    def retrieve(self, asked: Sequence[str]) -> list[Found[str]]:
        self.asked.append(len(asked))
        return [Found(tuple(question.split()), ("as typed",)) for question in asked]


class Shortest:
    name = "rerank: shortest"

    def rerank(self, asked: Sequence[str], found: Sequence[Found[str]]) -> list[Found[str]]:
        del asked
        return [Found(tuple(sorted(one.items, key=len))) for one in found]


@dataclass
class Without:
    word: str
    name: str = "refine: without"

    def refine(self, asked: Sequence[str], found: Sequence[Found[str]]) -> list[Found[str]]:
        del asked
        return [
            Found(tuple(item for item in one.items if item != self.word), (f"no {self.word}",))
            for one in found
        ]


@dataclass
class Joined:
    name: str = "answer"
    watch: Stopwatch | None = None

    def answer(self, asked: Sequence[str], found: Sequence[Found[str]]) -> list[str]:
        del asked
        with (self.watch or Stopwatch()).stage("join"):
            return ["+".join(one.items) for one in found]


def pipeline(**stages: object) -> Pipeline[str, str, str]:
    parts: dict[str, object] = {
        "retriever": Words(),
        "answerer": Joined(),
        "rerankers": [Shortest()],
        "refiners": [Without("the")],
        "key": str,
        "name": str,
    }
    return Pipeline(**(parts | stages))  # type: ignore[arg-type]


def test_questions_go_through_all_stages_together_and_each_keeps_its_own_answer() -> None:
    words = Words()
    answers = pipeline(retriever=words).run(["three by the sea", "the end"])
    assert [answer for answer, _ in answers] == ["by+sea+three", "end"]
    assert words.asked == [2]


def test_the_trace_says_what_each_stage_did() -> None:
    ((_, trace),) = pipeline().run(["three by the sea"])
    retrieve, rerank, refine, answer = trace.steps
    assert [step.stage for step in trace.steps] == [
        "retrieve: words",
        "rerank: shortest",
        "refine: without",
        "answer",
    ]
    assert (retrieve.came, retrieve.went, retrieve.did) == (0, 4, "found 4")
    assert rerank.moves == (Move("three", 1, 4),)
    assert (refine.came, refine.went, refine.did) == (4, 3, "dropped 1")
    assert refine.moves == (Move("the", 2, None),)
    assert answer.did == "answered from 3"


def test_notes_are_of_the_stage_that_gave_them() -> None:
    ((_, trace),) = pipeline().run(["the sea"])
    assert [step.notes for step in trace.steps] == [("as typed",), (), ("no the",), ()]


def test_nothing_found_goes_through_all_stages_to_an_answer() -> None:
    ((answer, trace),) = pipeline().run([""])
    assert answer == ""
    assert [step.did for step in trace.steps] == [
        "found nothing",
        "found nothing",
        "found nothing",
        "answered from 0",
    ]


def test_no_question_runs_no_stage() -> None:
    words = Words()
    assert pipeline(retriever=words).run([]) == []
    assert words.asked == []


def test_a_long_list_of_moves_is_cut_and_the_others_counted() -> None:
    ((_, trace),) = pipeline().run([" ".join(f"word{n}" for n in range(100))])
    found = trace.steps[0]
    assert len(found.moves) == MOVES_SHOWN
    assert found.others == 100 - MOVES_SHOWN
    assert found.did == "found 100"


def test_times_are_of_stages_and_shared_out_over_the_questions() -> None:
    watch = Stopwatch()
    with watch.stage("encode"):
        pass
    with watch.stage("join"):
        pass
    before = watch.timings_ms["join"]
    answers = pipeline(answerer=Joined(watch=watch)).run(["a b", "c d"], watch)
    joined = (watch.timings_ms["join"] - before) / 2
    for _, trace in answers:
        assert trace.steps[-1].parts_ms == pytest.approx({"join": joined})
        assert joined <= trace.steps[-1].ms
        assert all(step.parts_ms == {} for step in trace.steps[:-1])
        assert trace.ms == pytest.approx(sum(step.ms for step in trace.steps))


class Broken:
    name = "rerank: broken"

    def rerank(self, asked: Sequence[str], found: Sequence[Found[str]]) -> list[Found[str]]:
        raise LookupError(f"{len(asked)} questions, {len(found)} rankings")


def test_a_stage_that_fails_is_named() -> None:
    with pytest.raises(LookupError, match="1 questions") as raised:
        pipeline(rerankers=[Shortest(), Broken()]).run(["the sea"])
    assert raised.value.__notes__ == ["in the stage 'rerank: broken'"]


class Forgetful:
    name = "refine: forgetful"

    def refine(self, asked: Sequence[str], found: Sequence[Found[str]]) -> list[Found[str]]:
        del asked
        return list(found[1:])


def test_a_stage_that_loses_a_question_fails_instead_of_mixing_answers_up() -> None:
    with pytest.raises(ValueError, match="1 results came for 2 questions") as raised:
        pipeline(refiners=[Forgetful()]).run(["a", "b"])
    assert raised.value.__notes__ == ["in the stage 'refine: forgetful'"]


@dataclass
class Stopping:
    cancellation: Cancellation
    name: str = "refine: stopping"

    def refine(self, asked: Sequence[str], found: Sequence[Found[str]]) -> list[Found[str]]:
        del asked
        self.cancellation.ask()
        return list(found)


def test_work_that_is_asked_to_stop_ends_between_two_stages() -> None:
    cancellation = Cancellation()
    asked = pipeline(refiners=[Stopping(cancellation)])
    with cancellation.watched(), pytest.raises(Cancelled):
        asked.run(["a"])
