"""Rerankers of questions over judges that are told what to say: orders, parts, and what is kept."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import numpy as np
from PIL.Image import Image, new

from engine.ask.finding import AsMany, Question, Subject
from engine.ask.pieces import Piece
from engine.ask.reranked import (
    OWN,
    TWO,
    QuestionReranker,
    beside_captions,
    beside_words,
    parts_of,
)
from engine.ask.rules import read_question
from engine.describe.reranked import ByAgreement
from engine.rerank.budget import Budget
from engine.rerank.judging import Judged, Judging
from engine.search.language import read_search
from engine.search.reranked import NO_WORDS
from engine.stages.protocols import Found
from engine.types import Filters, ImageHit


class Shared(Judging[str, Piece]):
    """Judges by how many words a caption shares with what is asked, and remembers that."""

    name = "rerank: shared words"

    def __init__(self) -> None:
        self.asked: list[str] = []

    def judge(self, asked: str, items: Sequence[Piece], budget: Budget) -> Judged:
        del budget
        self.asked.append(asked)
        wanted = set(asked.split())
        scores = (float(len(wanted & set(one.text.split()))) for one in items)
        return Judged(tuple(scores), (f"{len(items)} of {len(items)} reranked",))


def question(text: str, *subjects: Subject, k: int = 8, shown: int = 24) -> Question:
    read = read_question(text, today=date(2026, 11, 30))
    searches = tuple(map(read_search, read.searches))
    return Question(read, searches, (Filters(),) * len(searches), subjects, k, shown)


def reranked(asked: Question, *pieces: Piece) -> tuple[list[str], tuple[str, ...], list[str]]:
    """The texts in their new order, the notes, and what was judged for."""
    judge = Shared()
    reranker = QuestionReranker(judge, ByAgreement(judge), Budget())
    ((found),) = reranker.rerank([asked], [Found(pieces)])
    return [one.text for one in found.items], found.notes, judge.asked


def piece(text: str, *, at: int | None = None, own: bool = False, vector: int = 0) -> Piece:
    row = np.eye(3, dtype=np.float32)[vector]
    return Piece(text, text, score=0.5, own=own, subject=at, vector=row)


def test_what_captions_say_stays_before_what_looks_likely() -> None:
    said = [Piece(text, text, weight="said") for text in ("a dog", "a dog in snow")]
    likely = [Piece(text, text, weight="likely") for text in ("a wolf", "dog snow wolf")]
    order, notes, asked = reranked(question("which pictures show a dog in snow?"), *said, *likely)
    assert order == ["a dog in snow", "a dog", "dog snow wolf", "a wolf"]
    assert asked == ["dog in snow"]
    assert notes == ("4 of 4 reranked",)
    assert parts_of([*said, *likely]) == [2]


def test_without_words_and_of_two_nothing_is_reranked_and_that_is_said() -> None:
    found = piece("a cat"), piece("a dog")
    order, notes, asked = reranked(question("how many pictures in 2020?"), *found)
    assert (order, notes, asked) == (["a cat", "a dog"], (NO_WORDS,), [])
    compared = question("are there more pictures of dogs than of cats?")
    assert reranked(compared, *found) == (["a cat", "a dog"], (TWO,), [])


def test_borrowed_captions_are_held_against_what_they_agree_on_and_not_the_question() -> None:
    subject = Subject("x.jpg", np.zeros(3, np.float32))
    of = [piece("a dog", at=0, vector=1), piece("a cat here", at=0), piece("the cat here", at=0)]
    order, _, asked = reranked(question("is there a dog?", subject), *of)
    assert asked == ["a cat here"]
    assert order[-1] == "a dog"


def test_own_captions_stay_and_each_picture_is_told_apart() -> None:
    subjects = [Subject(name, np.zeros(3, np.float32)) for name in ("own.jpg", "new.jpg")]
    own, borrowed = piece("a cat", at=0, own=True), piece("a dog", at=1)
    order, notes, asked = reranked(question("what is it?", *subjects), own, borrowed)
    assert order == ["a cat", "a dog"]
    assert asked == ["a dog"]
    assert notes == (f"own.jpg: {OWN}", "new.jpg: 1 of 1 reranked")


def test_as_many_are_kept_as_answer() -> None:
    pieces = tuple(piece(str(at)) for at in range(30))
    asked = [question("what is next to the house?", k=3), question("which pictures?", shown=5)]
    kept = AsMany().refine(asked, [Found(pieces)] * 2)
    assert [len(one.items) for one in kept] == [3, 5]
    two = [Subject(name, np.zeros(3, np.float32)) for name in "ab"]
    own = [piece(f"own {at}", at=0, own=True) for at in range(6)]
    others = [piece(f"other {at}", at=1) for at in range(6)]
    (of_two,) = AsMany().refine([question("what is it?", *two, k=4)], [Found((*own, *others))])
    assert [one.text for one in of_two.items] == [one.text for one in (*own, *others[:4])]


def test_a_model_that_looks_sees_the_picture_beside_the_words_and_opens_a_given_one_once() -> None:
    opened: list[str] = []

    def opens(hit: ImageHit) -> Image | None:
        opened.append(hit.id)
        return None if hit.id == "gone" else new("RGB", (1, 1))

    hits = [ImageHit(name, "", "", 0.0) for name in ("here", "gone")]
    beside = beside_words(opens)
    there, gone = (beside("a dog", Piece("", hit.id, hit)) for hit in hits)
    assert there is not None
    assert there[1] == "a dog"
    assert gone is None
    assert beside("a dog", piece("a caption of no picture")) is None
    opened.clear()
    captions = beside_captions(opens)
    subject = Subject("x", np.zeros(3, np.float32), hits[0])
    pairs = [captions(subject, piece(text)) for text in ("a cat", "a dog")]
    assert [pair[1] for pair in pairs if pair] == ["a cat", "a dog"]
    assert opened == ["here"]
    assert captions(Subject("y", np.zeros(3, np.float32), hits[1]), piece("a cat")) is None
