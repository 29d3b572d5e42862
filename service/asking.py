"""Answers questions over an engine: what every door does with one."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path, PurePath

from PIL.Image import Image

from engine.app import Collection, Engine
from engine.ask.answering import MODEL_FIRST, Answering, Asked, Asker
from engine.ask.finding import AsMany, Finder, Question, Subject
from engine.ask.kinds import Kind
from engine.ask.known import KnownHere
from engine.ask.pieces import Piece, pictures_of
from engine.ask.reranked import QuestionReranker
from engine.ask.rules import AS_IT_IS, ReadQuestion, edited, read_question
from engine.ask.wordings import reworded
from engine.errors import MragError
from engine.evidence.refiners import USUAL, Refinement, choosing, settling
from engine.images import Picture
from engine.models.streaming import read_while_written
from engine.rerank.budget import Budget
from engine.search.language import read_search
from engine.search.naming import not_here, spelled_out
from engine.stages.protocols import Refiner
from engine.store import picture_id
from engine.timing import Stopwatch
from engine.types import Filters, ImageHit
from mrag_client.answers import GivenPicture, StoredPicture
from mrag_client.models import (
    AskAnswer,
    AskedCount,
    AskedPicture,
    AskedRule,
    AskEvent,
    AskOptions,
)
from service.conversion import trace_answer

_UNKNOWN = 5

MARKED = 6
"""So many pictures are named by number in an answer; the others are listed below it."""

Opened = Callable[[GivenPicture, Collection], Picture | ImageHit]
"""Opens a picture that is given; raises UnreadableImage, or InvalidInput for an unknown id."""

Tell = Callable[[AskEvent], None]


def _silent(event: AskEvent) -> None:
    del event


@dataclass(frozen=True)
class Asking:
    """Answers questions over the collections of an engine.

    Without `paths` nothing that is answered says where files lie. `model_first`: what a model that
    reads captions is asked before rules are; `refine`: how captions are refined before; `reword`:
    whether words may stand in captions as others that captions of the same pictures use.
    """

    engine: Engine
    opened: Opened
    paths: bool = True
    model_first: frozenset[Kind] = MODEL_FIRST
    refine: tuple[Refinement, ...] = USUAL
    reword: bool = True

    def ask(
        self,
        options: AskOptions,
        images: Sequence[GivenPicture] = (),
        collection: str = "",
        tell: Tell = _silent,
    ) -> AskAnswer:
        """Answer a question; `tell` hears what is done on the way, and the answer at last."""
        watch = Stopwatch()
        opened = self.engine.open(collection)
        # As a form has them: first the files.
        images = sorted(images, key=lambda one: isinstance(one, StoredPicture))
        with watch.stage("read"):
            read = self._read(options, opened)
        tell(AskEvent(event="searched", searches=read.searches, rules=_rules(read)))
        with watch.stage("encode"):
            subjects = tuple(self._subject(one, opened) for one in images)
        budget = Budget(options.rerank_top, options.rerank_seconds)
        reranker = opened.question_reranker(options.rerank, budget)
        question = _question(read, subjects, options, opened, budget.top if reranker else 0)
        question.found = lambda count: tell(AskEvent(event="found", found=count))
        question.tell = lambda text: tell(AskEvent(event="text", text=text))
        (asked,) = self._asker(opened, reranker).ask([question])
        timings = watch.timings_ms | {step.stage: step.ms for step in asked.trace.steps}
        reranked = asked.trace.notes(reranker.name) if reranker else ()
        answer = self._told(question, asked, timings, opened, options, reranked)
        tell(AskEvent(event="answer", answer=answer))
        return answer

    def events(
        self, options: AskOptions, images: Sequence[GivenPicture] = (), collection: str = ""
    ) -> Generator[AskEvent, None, None]:
        """The same, event by event as they come; raises what `ask` does.

        The work runs beside who reads, and stops when the iterator is closed.
        """
        return read_while_written(partial(self.ask, options, images, collection))

    def _read(self, options: AskOptions, opened: Collection) -> ReadQuestion:
        today = options.today or datetime.now().astimezone().date()
        read = read_question(options.question, today=today, known=KnownHere(opened.images))
        searches = tuple(one for one in options.searches if one.strip())
        read = edited(read, searches) if searches else read
        return reworded(read, opened.wordings()) if self.reword else read

    def _subject(self, given: GivenPicture, opened: Collection) -> Subject:
        picture = self.opened(given, opened)
        if isinstance(picture, ImageHit):
            return _known(given.name, picture, None)
        stored = opened.images.get([picture_id(picture.sha256)], with_vectors=True)
        if stored and stored[0].vector is not None:
            return _known(given.name, stored[0], picture.image)
        (raw,) = opened.encoder.encode_images([picture.image])
        return Subject(given.name, raw, None, picture.image)

    def _asker(self, opened: Collection, reranker: QuestionReranker | None) -> Asker:
        finder = Finder(opened.gallery, opened.retriever, lambda: opened.default_space().space)
        answering = Answering(
            lambda: opened.answerer,
            self._see,
            sees=bool(self.engine.settings.answerer),
            model_first=self.model_first,
        )
        refiners: list[Refiner[Question, Piece]] = []
        if reranker is not None:
            refiners.append(AsMany())
        refiners += [*choosing(self.refine), *settling(self.refine)]
        rerankers = [] if reranker is None else [reranker]
        return Asker(finder, answering, rerankers=rerankers, refiners=refiners)

    def _see(self, piece: Piece) -> Image | None:
        if piece.hit is None:
            return None
        try:
            return self.engine.open_picture(Path(piece.hit.uri)).image
        except MragError:  # its file has moved: the captions speak for it
            return None

    def _told(
        self,
        question: Question,
        asked: Asked,
        timings: dict[str, float],
        opened: Collection,
        options: AskOptions,
        reranked: tuple[str, ...],
    ) -> AskAnswer:
        read, answered = question.read, asked.answered
        pictures = self._pictures(asked)
        marks = [f"[{one.number}]" for one in pictures if one.cited]
        text = " ".join((answered.text, *marks[:MARKED], *(["…"] if marks[MARKED:] else [])))
        return AskAnswer(
            question=read.question,
            kind=read.kind,
            answer=text,
            said=answered.said,
            by=answered.by,
            searches=read.searches,
            rules=_rules(read),
            pictures=pictures,
            counts=_counts(question),
            timings_ms=timings,
            trace=trace_answer(asked.trace) if options.explain else None,
            hints=(*_hints(question, opened), *answered.notes),
            reranked=reranked,
        )

    def _pictures(self, asked: Asked) -> tuple[AskedPicture, ...]:
        """The pictures by number: those that the answer rests on, then what else was looked at."""
        cited = pictures_of(asked.answered.cited)
        order = dict.fromkeys((*cited, *pictures_of(asked.pieces)))
        pieces = list(dict.fromkeys((*asked.answered.cited, *asked.pieces)))
        of: dict[str, list[Piece]] = {}
        for piece in pieces:
            of.setdefault(piece.picture, []).append(piece)
        return tuple(
            self._picture(number, of[key], cited=key in cited)
            for number, key in enumerate(order, 1)
        )

    def _picture(self, number: int, pieces: Sequence[Piece], *, cited: bool) -> AskedPicture:
        first = pieces[0]
        uri = first.hit.uri if first.hit is not None else first.name
        return AskedPicture(
            number=number,
            id=first.hit.id if first.hit is not None else "",
            uri=uri if self.paths else PurePath(uri).name,
            captions=tuple(piece.text for piece in pieces if piece.text),
            cited=cited,
            why=first.weight,
            given=None if first.subject is None else first.subject + 1,
        )


def _known(name: str, hit: ImageHit, image: Image | None) -> Subject:
    if hit.vector is None:
        raise TypeError("a picture that is asked about comes with its vector")
    return Subject(name, hit.vector, hit, image)


def _question(
    read: ReadQuestion,
    subjects: tuple[Subject, ...],
    options: AskOptions,
    opened: Collection,
    pool: int,
) -> Question:
    searches = tuple(map(read_search, read.searches))
    filters = tuple(spelled_out(one.filters, opened.images) for one in searches)
    return Question(read, searches, filters, subjects, options.k, options.shown, pool)


def _rules(read: ReadQuestion) -> tuple[AskedRule, ...]:
    return tuple(
        AskedRule(rule=one.rule, said=one.said, told=one.told, gave=one.gave) for one in read.fired
    )


def _counts(question: Question) -> tuple[AskedCount, ...]:
    counted = zip(question.read.searches, question.counts, strict=False)
    return tuple(
        AskedCount(
            search=search,
            said=one.said,
            likely=one.likely,
            among=one.among,
            by_filters=one.by_filters,
            doubted=one.doubted,
            at_least=one.at_least,
            undescribed=one.undescribed,
        )
        for search, one in counted
    )


def _is_timed(filters: Filters) -> bool:
    asked = (filters.taken_from, filters.taken_until, filters.clock_from, filters.clock_until)
    return any(one is not None for one in asked)


def _not_known(question: Question) -> Iterator[str]:
    """Which words no caption has, and of how many pictures captions say nothing."""
    if question.read.fires(AS_IT_IS):
        yield "no rule reads this language: ask in English to have pictures counted"
        return
    for count in question.counts:
        if count.unknown:
            named = " or ".join(f"“{word}”" for word in count.unknown[:_UNKNOWN])
            yield f"no caption here has the word {named}; captions may call it otherwise"
        if count.undescribed and not count.by_filters:
            told = "nothing says" if count.without else "what looks likely alone tells"
            yield (
                f"{count.undescribed:,} of the {count.among:,} pictures have no caption: {told} "
                "whether they show it"
            )


def _hints(question: Question, opened: Collection) -> tuple[str, ...]:
    """What may have been meant otherwise, and which filter nothing here satisfies."""
    hints = [hint for search in question.searches for hint in search.hints]
    if question.subjects:
        if any(filters != Filters() for filters in question.filters):
            hints.append("filters are for collections: of pictures that are given none is left out")
    elif any(not one.among for one in question.counts):
        facets = opened.images.facets()
        hints += [hint for filters in question.filters for hint in not_here(filters, facets)]
        if facets.taken_from is None and any(map(_is_timed, question.filters)):
            hints.append("no picture here says when it was taken")
    hints += _not_known(question)
    return tuple(dict.fromkeys(hints))
