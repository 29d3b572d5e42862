"""What a model that sees is shown of what was found, what it is asked, and what is told of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date

import pytest
from PIL import Image

from engine.ask.answering import Answering
from engine.ask.counting import Count
from engine.ask.finding import Question, Subject
from engine.ask.known import NothingKnown
from engine.ask.pieces import Answered, Piece
from engine.ask.rules import read_question
from engine.ask.seeing import Sight, seeing_prompt, sight_of
from engine.errors import InvalidInput
from engine.search.language import read_search
from engine.stages.protocols import Found
from engine.types import Filters, ImageHit
from tests.conftest import FakeTextStream, unit

ASKED = "What is the dog doing?"
DOG, CAT, EMPTY = (
    ("dog", "A dog runs on a beach"), ("cat", "A cat {sleeps}"), ("empty", ""),
)  # fmt: skip


def piece(name: str, text: str) -> Piece:
    return Piece(text, name, ImageHit(name, name, f"/photos/{name}.jpg", 1.0), name)


PIECES = [piece(*DOG), piece("dog", "A wet dog"), piece(*EMPTY), piece(*CAT)]


def picture(name: str) -> Image.Image:
    """A picture that is known by its width."""
    return Image.new("RGB", (ord(name[0]), 1))


def seeing(*gone: str) -> Callable[[Piece], Image.Image | None]:
    return lambda one: None if one.picture in gone else picture(one.picture)


def names(images: Sequence[Image.Image]) -> str:
    return "".join(chr(image.width) for image in images)


def question(text: str = ASKED, *subjects: Subject) -> Question:
    read = read_question(text, today=date(2026, 1, 1), known=NothingKnown())
    searches = tuple(map(read_search, read.searches))
    return Question(read, searches, tuple(Filters() for _ in searches), subjects)


@pytest.mark.parametrize(
    ("gone", "most", "shown", "told"),
    [
        ((), 4, "dec", ()),
        ((), 2, "de", ("the model was shown 2 pictures",)),
        (("dog",), 2, "ec", ("the files of 1 pictures are gone",)),
        (("dog", "empty", "cat"), 2, "", ("the files of 3 pictures are gone",)),
    ],
)
def test_the_first_pictures_are_shown_whose_files_are_there(
    gone: tuple[str, ...], most: int, shown: str, told: tuple[str, ...]
) -> None:
    sight = sight_of(question(), PIECES, seeing(*gone), most)
    assert names(sight.images) == shown
    assert "".join(key[0] for key in sight.keys) == shown
    assert len(sight.notes) == len(told)
    assert all(note.startswith(begin) for note, begin in zip(sight.notes, told, strict=True))


def test_given_pictures_are_shown_themselves() -> None:
    stored = PIECES[0].hit
    given = [Subject("own", unit(1.0), None, picture("own")), Subject("dog", unit(1.0), stored)]
    sight = sight_of(question(ASKED, *given), PIECES, seeing(), 4)
    assert (names(sight.images), sight.keys, sight.notes) == ("od", (), ())
    sight = sight_of(question(ASKED, *given), PIECES, seeing("dog"), 4)
    assert names(sight.images) == "o"
    assert len(sight.notes) == 1
    assert "captions speak" in sight_of(question(ASKED, *given), [], seeing(), 1).notes[0]


def test_pictures_have_the_numbers_of_their_captions() -> None:
    writer = FakeTextStream(max_images=4)
    sight = Sight((picture("cat"), picture("empty")), ("cat", "empty"))
    with_captions = [one for one in PIECES if one.text]
    prompt = seeing_prompt("Who {captions}?", with_captions, sight, writer)
    assert "in this order: [2], [3]." in prompt
    assert "[1] A dog runs on a beach.\n[1] A wet dog.\n[2] A cat (sleeps)" in prompt
    assert "Who (captions)?" in prompt
    alone = seeing_prompt(ASKED, [], Sight((picture("own"),)), writer)
    assert "The picture is the one that the question is about" in alone
    with pytest.raises(InvalidInput, match="ask in fewer words"):
        seeing_prompt("what " * 200, [], sight, writer)


def answered(
    writer: FakeTextStream, pieces: Sequence[Piece] = PIECES, gone: tuple[str, ...] = ()
) -> tuple[Answered, list[str]]:
    asked, told = question(), list[str]()
    asked.counts.append(Count(1, 2, 9, ()))
    asked.tell = told.append
    answering = Answering(lambda: writer, seeing(*gone), sees=True)
    (answer,) = answering.answer([asked], [Found(tuple(pieces))])
    return answer, told


def test_what_the_model_sees_is_the_answer_and_rests_on_what_it_was_shown() -> None:
    writer = FakeTextStream("It is", " juggling", max_images=2)
    answer, told = answered(writer)
    assert told == ["It is", " juggling"]
    assert "It is juggling" in answer.text
    assert "no caption bears it out" in answer.text
    assert answer.by == "fake"
    assert {one.picture for one in answer.cited} == {"dog", "empty"}
    assert len(answer.notes) == 1
    ((prompt, images, _),) = writer.asked
    assert names(images) == "de"
    assert "[1], [3]" in prompt


def test_pictures_without_a_caption_are_asked_about_and_without_a_file_read_of() -> None:
    alone = FakeTextStream("A tree")
    assert answered(alone, [piece(*EMPTY)])[0].said
    assert names(alone.asked[0][1]) == "e"
    blind = FakeTextStream("A dog runs on a beach")
    answer, _ = answered(blind, gone=("dog", "cat", "empty"))
    assert blind.asked[0][1] == []
    assert "the files of 3 pictures" in answer.notes[0]
    assert [one.picture for one in answer.cited] == ["dog"]
    nothing = FakeTextStream("A tree")
    assert not answered(nothing, [piece(*EMPTY)], gone=("empty",))[0].said
    assert nothing.asked == []
