"""Rerankers over models that are told what to answer: orders, budgets, and odd input."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL.Image import Image, new

from engine.errors import InvalidInput
from engine.progress import Cancellation, Cancelled
from engine.rerank.budget import FIRST, Budget
from engine.rerank.cross_encoder import CrossEncoder
from engine.rerank.judging import Judging, Reranking, order
from engine.rerank.listwise import WINDOW, Listwise
from engine.rerank.pointwise import CAPTIONS, Pointwise
from engine.stages.protocols import Found
from engine.timing import Stopwatch
from engine.types import Vector, Vectors

LONG = Budget(top=100, seconds=1000)

Item = tuple[str, tuple[str, ...]]
Kind = Callable[..., Judging[str, Item]]


class Clock:
    """Stands still but for what models take."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class WordCounter:
    """Finds captions the better the more words of the query they have; a token is a word.

    A caption "n9" fits any query as nine words do.
    """

    id = "word-counter"

    def __init__(self, clock: Clock | None = None, each: float = 0.0, reads: int = 400) -> None:
        self._clock, self._each = clock or Clock(), each
        self.max_input_tokens = reads
        self.batches: list[list[str]] = []

    def count_tokens(self, text: str) -> int:
        return len(text.split())

    def likelihoods(self, prompts: list[str], choices: Sequence[str]) -> Vectors:
        assert all(self.count_tokens(prompt) <= self.max_input_tokens for prompt in prompts)
        self.batches.append(prompts)
        self._clock.now += self._each * max(len(choices) - 2, len(prompts))
        answer = self._of_list if choices[0] == "A" else self._of_one
        rows = [answer(prompt) for prompt in prompts]
        return np.array(rows, np.float32).reshape(len(prompts), len(choices))

    def _of_one(self, prompt: str) -> list[float]:
        found = re.fullmatch(r"Caption: (.*)\nQuery: (.*)\n.*", prompt)
        assert found, prompt
        fit = _fit(found[1], found[2])
        return [fit, -fit]

    def _of_list(self, prompt: str) -> list[float]:
        asked, *lines = prompt.splitlines()
        return [_fit(line, asked) for line in lines if line.startswith("[")]


def _fit(caption: str, asked: str) -> float:
    numbers = sum(int(word[1:]) for word in caption.split() if re.fullmatch(r"n\d+", word))
    return float(numbers + len(set(caption.split()) & set(asked.split())))


class GreyMatcher:
    """Takes the brightness of a picture for the odds."""

    id = "grey"

    def match(self, pairs: list[tuple[Image, str]]) -> Vector:
        return np.array([image.getpixel((0, 0)) for image, _ in pairs], np.float32)


def captions(count: int) -> list[tuple[str, ...]]:
    """The later, the better they fit."""
    return [(f"n{i}",) for i in range(count)]


def reranked(
    kind: Kind,
    asked: str,
    items: Sequence[tuple[str, ...]],
    budget: Budget = LONG,
    chooser: WordCounter | None = None,
) -> tuple[list[int], tuple[str, ...]]:
    """The places that the items had, in the new order; and what was said of it."""
    numbered = [(str(i), texts) for i, texts in enumerate(items)]
    judging = kind(chooser or WordCounter(), lambda query: query, lambda item: item[1])
    [found] = Reranking(judging, budget, Stopwatch()).rerank([asked], [Found(tuple(numbered))])
    return [int(name) for name, _ in found.items], found.notes


BOTH = pytest.mark.parametrize("kind", [Pointwise, Listwise])


@BOTH
def test_what_fits_best_comes_first(kind: Kind) -> None:
    places, told = reranked(kind, "dog", captions(9))
    assert places == list(range(8, -1, -1))
    assert told == ("9 of 9 reranked",)


@BOTH
def test_equal_captions_keep_their_order(kind: Kind) -> None:
    places, _ = reranked(kind, "dog", [("cat",), ("a dog",), ("cat",), ("the dog",), ("cat",)])
    assert places == [1, 3, 0, 2, 4]


@BOTH
def test_a_picture_without_a_caption_keeps_its_place(
    kind: Kind,
) -> None:
    items = [("cat",), (), ("a dog",), ("  \n ",), ("dog dog",)]
    places, told = reranked(kind, "dog", items)
    assert places == [2, 1, 4, 3, 0]
    assert told == ("3 of 5 reranked", "2 without a caption kept their places")


@BOTH
def test_of_several_captions_the_best_counts(kind: Kind) -> None:
    places, _ = reranked(kind, "red dog", [("a dog",), ("a cat", "a red dog", "x"), ("x",)])
    assert places == [1, 0, 2]


def test_of_very_many_captions_those_are_read_that_share_words_with_the_query() -> None:
    chooser = WordCounter()
    many = (*(f"x{i}" for i in range(500)), "a red dog")
    assert reranked(Pointwise, "red dog", [("a dog",), many], chooser=chooser)[0] == [1, 0]
    assert sum(map(len, chooser.batches)) == 1 + CAPTIONS


@BOTH
def test_only_the_first_are_judged(kind: Kind) -> None:
    places, told = reranked(kind, "dog", captions(9), Budget(top=4, seconds=9))
    assert places == [3, 2, 1, 0, 4, 5, 6, 7, 8]
    assert told == ("4 of 4 reranked",)


@BOTH
def test_more_are_asked_for_than_there_are(kind: Kind) -> None:
    assert reranked(kind, "dog", [("cat",), ("dog",)], Budget(top=200, seconds=9))[0] == [1, 0]
    assert reranked(kind, "dog", [])[0] == []


@BOTH
def test_no_time_is_no_reranking(kind: Kind) -> None:
    chooser = WordCounter()
    places, told = reranked(kind, "dog", captions(9), Budget(top=9, seconds=0), chooser)
    assert places == list(range(9))
    assert told == ("0 of 9 reranked within 0 s",)
    assert not chooser.batches


def test_what_there_is_no_time_for_stays_behind_in_its_order() -> None:
    clock = Clock()
    chooser = WordCounter(clock, each=0.1)
    places, told = reranked(Pointwise, "dog", captions(50), Budget(50, 2.05, clock=clock), chooser)
    assert places == [*range(19, -1, -1), *range(20, 50)]
    assert told == ("20 of 50 reranked within 2.05 s",)
    assert len(chooser.batches[0]) == FIRST
    assert clock.now <= 2.05


def test_a_slow_model_goes_beyond_the_time_by_one_small_batch() -> None:
    clock = Clock()
    chooser = WordCounter(clock, each=10)
    places, told = reranked(Pointwise, "dog", captions(50), Budget(50, 1, clock=clock), chooser)
    assert places == [*range(FIRST - 1, -1, -1), *range(FIRST, 50)]
    assert told == (f"{FIRST} of 50 reranked within 1 s",)


def test_windows_carry_the_best_from_the_end_to_the_front() -> None:
    places, told = reranked(Listwise, "dog", captions(60), Budget(60, 99))
    assert places[: WINDOW // 2] == list(range(59, 59 - WINDOW // 2, -1))
    assert told == ("60 of 60 reranked",)


def test_windows_begin_as_deep_as_there_is_time_for() -> None:
    clock = Clock()
    chooser = WordCounter(clock, each=0.1)  # 1.8 s a window of 20
    budget = Budget(60, 6, clock=clock)
    places, told = reranked(Listwise, "dog", captions(60), budget, chooser)
    assert told == ("30 of 60 reranked within 6 s",)  # one to know the pace, and two
    assert places[:10] == list(range(29, 19, -1))
    assert places[30:] == list(range(30, 60))
    assert clock.now <= 6


def test_windows_hold_as_many_as_the_prompt_has_room_for() -> None:
    chooser = WordCounter(reads=90)
    items = [(f"w{i} " * 8,) for i in range(40)]
    places, told = reranked(Listwise, "w39 w38", items, Budget(40, 99), chooser)
    assert places[:2] == [38, 39]
    assert told == ("40 of 40 reranked",)
    assert 3 < max(prompt.count("[") for [prompt] in chooser.batches) < 12


@BOTH
def test_long_captions_and_queries_are_cut_to_what_the_model_reads(
    kind: Kind,
) -> None:
    chooser = WordCounter(reads=60)
    long = "dog " * 4000
    items = [("cat " * 5000,), (long,), ("🐕 " * 3000,), ("ก" * 9000,), ("{query} {caption}",)]
    places, told = reranked(kind, "dog " + "🐈 x " * 160, items, chooser=chooser)
    assert places[0] == 1
    assert told == ("5 of 5 reranked",)


@BOTH
def test_a_model_that_reads_too_little_is_refused(
    kind: Kind,
) -> None:
    with pytest.raises(InvalidInput, match="word-counter reads 12 tokens, too few"):
        reranked(kind, "dog", [("cat",), ("dog",)], chooser=WordCounter(reads=12))


@BOTH
def test_what_is_cancelled_ends_between_two_batches(
    kind: Kind,
) -> None:
    cancellation = Cancellation()

    class Asking(WordCounter):
        def likelihoods(self, prompts: list[str], choices: Sequence[str]) -> Vectors:
            cancellation.ask()
            return super().likelihoods(prompts, choices)

    chooser = Asking()
    with cancellation.watched(), pytest.raises(Cancelled):
        reranked(kind, "dog", captions(60), chooser=chooser)
    assert len(chooser.batches) == 1


def test_questions_are_reranked_each_by_itself() -> None:
    judging: Pointwise[str, str] = Pointwise(WordCounter(), str, lambda caption: (caption,))
    found = [Found(("cat", "dog")), Found(("dog", "cat"))]
    watch = Stopwatch()
    told = Reranking(judging, LONG, watch).rerank(["dog", "cat"], found)
    assert watch.timings_ms["rerank"] > 0
    assert [one.items for one in told] == [("dog", "cat"), ("cat", "dog")]


def test_pictures_that_match_come_first_and_one_that_has_moved_keeps_its_place() -> None:
    def pair(asked: str, grey: int | None) -> tuple[Image, str] | None:
        return None if grey is None else (new("L", (2, 2), grey), asked)

    judging: CrossEncoder[str, int | None] = CrossEncoder(GreyMatcher(), pair)
    [found] = Reranking(judging, LONG, Stopwatch()).rerank(
        ["dog"], [Found((10, None, 30, *range(40, 60)))]
    )
    assert found.items == (59, None, *range(58, 39, -1), 30, 10)
    assert found.notes == ("22 of 23 reranked", "1 whose picture cannot be opened kept its place")


@given(
    st.lists(st.one_of(st.none(), st.integers(0, 3).map(float)), max_size=12),
    st.sets(st.integers(0, 12), max_size=3),
)
def test_the_judged_change_places_among_themselves(
    scores: list[float | None], parts: set[int]
) -> None:
    within = sorted(part for part in parts if part <= len(scores))
    places = order(scores, within)
    assert sorted(places) == list(range(len(scores)))
    for start, end in zip((0, *within), (*within, len(scores)), strict=True):
        assert set(places[start:end]) == set(range(start, end))
        judged = [place for place in places[start:end] if scores[place] is not None]
        assert judged == sorted(judged, key=lambda place: (-(scores[place] or 0), place))
        assert all(places[i] == i for i in range(start, end) if scores[i] is None)


@pytest.mark.parametrize("given", [{"top": 0}, {"seconds": -1}, {"seconds": float("nan")}])
def test_budgets_out_of_range(given: dict[str, float]) -> None:
    with pytest.raises(InvalidInput):
        Budget(**given)  # type: ignore[arg-type]
