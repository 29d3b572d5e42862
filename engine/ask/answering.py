"""Answers questions: what was found, refined, then put into words by rules or by a model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from engine.ask.citing import checked, hopeless
from engine.ask.composing import asked_words, not_said, of_pictures
from engine.ask.finding import Finder, Question
from engine.ask.indexed import of_collection
from engine.ask.kinds import Kind
from engine.ask.pieces import Answered, Piece, pictures_of
from engine.ask.rules import ReadQuestion
from engine.ask.seeing import See, Sight, seeing_prompt, sight_of
from engine.ask.understood import not_understood
from engine.ask.writing import MOST_WRITTEN, prompt_of
from engine.errors import InvalidInput
from engine.stages.pipeline import Pipeline
from engine.stages.protocols import Found, Refiner, Reranker
from engine.stages.trace import Trace
from engine.types import TextStream

MODEL_FIRST: frozenset[Kind] = frozenset()
"""Kinds of questions that a model that reads captions is asked before rules are.

None: by the samples' model each is answered worse so (RESULTS.md). It is asked open questions that
rules cannot answer.
"""


@dataclass(frozen=True)
class Asked:
    """An answer, all that was looked at for it, and how it was made."""

    answered: Answered
    pieces: tuple[Piece, ...]
    trace: Trace


class Answering:
    """Puts answers into words; the last stage of the pipeline."""

    name = "answer"

    def __init__(
        self,
        writer: Callable[[], TextStream | None],
        see: See,
        *,
        sees: bool = False,
        model_first: frozenset[Kind] = MODEL_FIRST,
    ) -> None:
        """The writer is asked for when it is needed; without one all goes by rules.

        `sees`: it takes pictures, which `see` opens, and answers what is asked of given ones.
        """
        self._writer, self._see, self._sees = writer, see, sees
        self._model_first = model_first

    def answer(self, asked: Sequence[Question], found: Sequence[Found[Piece]]) -> list[Answered]:
        """The answer to each question."""
        return [self._one(one, it.items) for one, it in zip(asked, found, strict=True)]

    def _one(self, question: Question, pieces: Sequence[Piece]) -> Answered:
        read = question.read
        question.found(len(pictures_of(pieces)))
        if (refused := _refused(question)) is not None:
            return refused
        if not question.subjects and (read.is_listed or not _any_among(question)):
            return of_collection(read, question.counts, pieces)
        with_captions = [piece for piece in pieces if piece.text]
        if not with_captions and not self._sees:
            return not_said("nothing that was found says anything of it")
        ruled = of_pictures(read, with_captions)
        writer = self._writer() if self._sees or self._reads(read, ruled, with_captions) else None
        if writer is None:
            return ruled
        most = writer.max_images
        sight = sight_of(question, pieces, self._see, most) if self._sees else Sight()
        if not (with_captions or sight.images):
            return not_said("nothing that was found says anything of it")
        answered = self._written(question, with_captions, sight, writer)
        if sight.images and answered.said and not answered.cited:
            shown = tuple(piece for piece in pieces if piece.picture in sight.keys)
            answered = replace(answered, cited=shown)
        return replace(answered, notes=sight.notes)

    def _reads(self, read: ReadQuestion, ruled: Answered, pieces: Sequence[Piece]) -> bool:
        """Whether a model that reads is asked: first, or where rules give no answer and it may."""
        asked = read.kind in self._model_first or (read.kind == "open" and not ruled.said)
        return asked and hopeless(read, pieces) is None

    def _written(
        self,
        question: Question,
        pieces: Sequence[Piece],
        sight: Sight,
        writer: TextStream,
    ) -> Answered:
        """What the model writes, as far as the captions, or its sight of the pictures, bear it."""
        read = question.read
        try:
            if sight.images:
                prompt = seeing_prompt(read.question, pieces, sight, writer)
            else:
                prompt = prompt_of(read.question, pieces, writer)
        except InvalidInput:  # no caption fits beside a question of that length
            return of_pictures(read, pieces)
        written = []
        for text in writer.stream(prompt, sight.images, MOST_WRITTEN):
            question.tell(text)
            written.append(text)
        answered = checked("".join(written), read, pieces, writer.id, seen=bool(sight.images))
        if answered.said:
            return answered
        ruled = of_pictures(read, pieces)
        return ruled if ruled.said else answered


def _refused(question: Question) -> Answered | None:
    """That the question is not understood, or asks a collection for nothing at all."""
    read = question.read
    if (refused := not_understood(read)) is not None:
        return refused
    named = read.is_listed or asked_words(read) or question.searches[0].asks
    if not (question.subjects or named):
        return not_said("the question names nothing to look for")
    return None


def _any_among(question: Question) -> bool:
    return any(count.among for count in question.counts)


class Asker:
    """Answers questions: retrieve, rerank, refine, answer."""

    def __init__(
        self,
        finder: Finder,
        answering: Answering,
        *,
        rerankers: Sequence[Reranker[Question, Piece]] = (),
        refiners: Sequence[Refiner[Question, Piece]] = (),
    ) -> None:
        self._answering = answering
        self._pipeline = Pipeline(
            finder,
            self,
            rerankers=rerankers,
            refiners=refiners,
            key=lambda piece: (piece.picture, piece.text),
            name=lambda piece: piece.text or piece.name,
        )

    @property
    def name(self) -> str:
        """What a trace calls the last stage."""
        return self._answering.name

    def answer(
        self, asked: Sequence[Question], found: Sequence[Found[Piece]]
    ) -> list[tuple[Answered, tuple[Piece, ...]]]:
        """The answers, and the pieces that were left for them."""
        answers = self._answering.answer(asked, found)
        return [(one, it.items) for one, it in zip(answers, found, strict=True)]

    def ask(self, asked: Sequence[Question]) -> list[Asked]:
        """Answer questions, each with a trace of how it was made."""
        return [
            Asked(answered, pieces, trace)
            for (answered, pieces), trace in self._pipeline.run(asked)
        ]
