"""What may answer a question in a reranker's order, before as much is taken as answers it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

from PIL.Image import Image

from engine.ask.composing import asked_words
from engine.ask.finding import Question, Subject
from engine.ask.pieces import Piece
from engine.rerank.budget import Budget
from engine.rerank.cross_encoder import Pair
from engine.rerank.judging import Judging, order
from engine.search.reranked import NO_WORDS
from engine.stages.protocols import Found
from engine.types import ImageHit

TWO = "nothing is reranked, as two are compared"
OWN = "its own captions are all read, in their order"

Opened = Callable[[ImageHit], Image | None]
"""A picture of the collection; None where its file cannot be read any more."""


class QuestionReranker:
    """Puts in order what was found for questions; a `Reranker`.

    Pictures of a collection are judged for the words that are searched, and none goes past one
    whose captions say it, or that is likelier. Captions that were borrowed for a given picture
    are judged by that picture alone: for the words of a question those would win that say what it
    asks for, whatever the picture shows.
    """

    def __init__(
        self, for_words: Judging[str, Piece], for_picture: Judging[Subject, Piece], budget: Budget
    ) -> None:
        self._for_words, self._for_picture = for_words, for_picture
        self.budget = budget
        self.name = for_words.name

    def rerank(
        self, asked: Sequence[Question], found: Sequence[Found[Piece]]
    ) -> list[Found[Piece]]:
        """For each question the same pieces in their new order."""
        return [
            self._of_subjects(one, own.items) if one.subjects else self._of_all(one, own.items)
            for one, own in zip(asked, found, strict=True)
        ]

    def _of_all(self, question: Question, items: tuple[Piece, ...]) -> Found[Piece]:
        words = asked_words(question.read)
        if len(question.searches) > 1 or not words:
            return Found(items, (TWO if words else NO_WORDS,))
        judged = self._for_words.judge(words, items, self.budget)
        places = order(judged.scores, parts_of(items))
        return Found(tuple(items[place] for place in places), judged.notes)

    def _of_subjects(self, question: Question, items: tuple[Piece, ...]) -> Found[Piece]:
        ordered: list[Piece] = []
        notes: list[str] = []
        for at, subject in enumerate(question.subjects):
            own = [piece for piece in items if piece.subject == at]
            given, told = self._beside(subject, own)
            ordered += given
            several = len(question.subjects) > 1
            notes += (f"{subject.name}: {note}" if several else note for note in told)
        return Found(tuple(ordered), tuple(notes))

    def _beside(
        self, subject: Subject, pieces: Sequence[Piece]
    ) -> tuple[Sequence[Piece], Sequence[str]]:
        if not pieces or pieces[0].own:
            return pieces, (OWN,) if pieces else ()
        judged = self._for_picture.judge(subject, pieces, self.budget)
        return [pieces[place] for place in order(judged.scores)], judged.notes


def parts_of(pieces: Sequence[Piece]) -> list[int]:
    """Where what is of another weight begins."""
    kinds = [(one.weight, one.doubted) for one in pieces]
    return [at for at in range(1, len(kinds)) if kinds[at] != kinds[at - 1]]


def text_of(piece: Piece) -> Sequence[str]:
    """What a model that reads judges a piece by."""
    return (piece.text,)


def beside_words(opened: Opened) -> Callable[[str, Piece], Pair | None]:
    """The picture of a piece beside the words; None where it is not there to be seen."""

    def beside(words: str, piece: Piece) -> Pair | None:
        image = None if piece.hit is None else opened(piece.hit)
        return None if image is None else (image, words)

    return beside


def beside_captions(opened: Opened) -> Callable[[Subject, Piece], Pair | None]:
    """The given picture beside a caption; None where it is not there to be seen."""

    @lru_cache(maxsize=1)  # one is looked at once, in all its pairs
    def image_of(subject: Subject) -> Image | None:
        stored = None if subject.hit is None else opened(subject.hit)
        return subject.image or stored

    def beside(subject: Subject, piece: Piece) -> Pair | None:
        image = image_of(subject)
        return None if image is None else (image, piece.text)

    return beside
