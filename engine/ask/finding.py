"""Finds what may answer a question: captions of given pictures, or pictures of a collection."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain

from PIL.Image import Image

from engine.ask.composing import asked_words
from engine.ask.counting import Count, PictureCounter, described
from engine.ask.indexed import told
from engine.ask.inflection import NO_OTHERS, Others, stems
from engine.ask.pieces import Piece, Weight
from engine.ask.rules import ReadQuestion
from engine.ask.told import says
from engine.describe.retriever import Retriever
from engine.identity import PictureIdentity, identity_of
from engine.search.gallery import Gallery, Query
from engine.search.language import Search
from engine.stages.protocols import Found
from engine.types import CaptionHit, Filters, ImageHit, SearchSpace, Vector

PER_PICTURE = 2
"""Captions of one picture that looks alike."""

_MOST_OWN = 16
_PLACES = 1000
"""In so many pictures it is looked where they are."""


@dataclass(frozen=True, eq=False)
class Subject:
    """A picture that a question is about: its raw vector, and what the collection has of it."""

    name: str
    raw: Vector
    hit: ImageHit | None = None
    image: Image | None = None


def _silent(told: object) -> None:
    del told


@dataclass(eq=False)
class Question:
    """A question on its way to an answer.

    `filters` are those of each search as the collection has them. `k`: so many captions answer;
    `shown`: so many pictures of a list are given; `pool`: so many of either are found at least,
    for a reranker to bring the best of them first. `counts` are filled in where pictures of a
    collection are counted; `found` hears of how many pictures it is answered from, and `tell` the
    text of an answer piece by piece.
    """

    read: ReadQuestion
    searches: tuple[Search, ...]
    filters: tuple[Filters, ...]
    subjects: tuple[Subject, ...] = ()
    k: int = 8
    shown: int = 24
    pool: int = 0
    found: Callable[[int], None] = _silent
    tell: Callable[[str], None] = _silent
    counts: list[Count] = field(default_factory=list)

    @property
    def most(self) -> int:
        """So many pieces answer it at most; of given pictures so many of each."""
        if self.subjects or not self.read.is_listed:
            return self.k
        return _PLACES if self.read.kind == "place" else self.shown

    @property
    def sought(self) -> int:
        """So many pieces are found."""
        return max(self.most, self.pool)


class Finder:
    """Finds the pieces for questions; a stage of the pipeline."""

    name = "retrieve"

    def __init__(
        self, gallery: Gallery, retriever: Retriever, space: Callable[[], SearchSpace]
    ) -> None:
        """`space` is asked where words are looked for, where that matters."""
        self._gallery, self._retriever, self._space = gallery, retriever, space
        self._counter = PictureCounter(gallery)

    def retrieve(self, asked: Sequence[Question]) -> list[Found[Piece]]:
        """The pieces for each question, those that may answer best first."""
        return [self._of_subjects(one) if one.subjects else self._of_all(one) for one in asked]

    def _of_subjects(self, question: Question) -> Found[Piece]:
        pieces: list[Piece] = []
        notes = []
        for at, subject in enumerate(question.subjects):
            found = _own(subject, at) or self._alike(subject, at, question.sought)
            own = bool(found) and found[0].own
            notes.append(
                f"{subject.name}: {len(found)} {'of its own' if own else 'of pictures like it'}"
            )
            pieces += found
        return Found(tuple(pieces), tuple(notes))

    def _alike(self, subject: Subject, at: int, k: int) -> list[Piece]:
        """The captions of the pictures that look most like it, none of them its own."""
        exclude = [identity_of(subject.hit) if subject.hit else PictureIdentity()]
        (found,) = self._retriever.nearest(
            self._retriever.query_vectors(subject.raw[None], "mapped"),
            "mapped",
            k,
            per_image=PER_PICTURE,
            exclude=exclude,
        )
        return [_borrowed(hit, at) for hit in found]

    def _of_all(self, question: Question) -> Found[Piece]:
        read = question.read
        asked = zip(question.searches, question.filters, strict=True)
        question.counts[:] = [
            self._counter.count(search, among, question.sought, read.others)
            for search, among in asked
        ]
        notes = tuple(
            f"{search or 'all pictures'}: {told(count)}"
            for search, count in zip(read.searches, question.counts, strict=True)
        )
        if not read.is_listed:
            return Found(tuple(self._best(question)), notes)
        sides = [
            _pieces(count, asked_words(read, at), read.others)
            for at, count in enumerate(question.counts)
        ]
        pieces: dict[str, Piece] = {}
        for piece in chain.from_iterable(_fairly(sides, question.sought)):
            pieces.setdefault(piece.picture, piece)
        return Found(tuple(pieces.values()), notes)

    def _best(self, question: Question) -> list[Piece]:
        """The captions of pictures that say or look like what an open question asks for."""
        (count,), (search,), (filters,) = question.counts, question.searches, question.filters
        words = asked_words(question.read)
        if count.said or count.likely or not (search.text or search.plus):
            return _pieces(count, words, question.read.others)[: question.sought]
        if count.likely is not None:
            return []
        found = self._gallery.search(
            Query.of(search), self._space(), question.sought, filters=filters
        )  # it cannot be told what is likely: the nearest, which the answer must bear out
        return [
            _piece(hit, words, "near", question.read.others) for hit in found.hits if hit.captions
        ]


class AsMany:
    """Keeps as many pieces as answer, of those that were found for a reranker; a `Refiner`."""

    name = "refine: as many as answer"

    def refine(
        self, asked: Sequence[Question], found: Sequence[Found[Piece]]
    ) -> list[Found[Piece]]:
        """The first pieces of each question; of given pictures those of each, its own all."""
        return [
            Found(_of_each(one, own.items) if one.subjects else own.items[: one.most])
            for one, own in zip(asked, found, strict=True)
        ]


def _of_each(question: Question, items: Sequence[Piece]) -> tuple[Piece, ...]:
    kept: list[Piece] = []
    for at in range(len(question.subjects)):
        of_one = [piece for piece in items if piece.subject == at]
        kept += [piece for rank, piece in enumerate(of_one) if piece.own or rank < question.most]
    return tuple(kept)


def _own(subject: Subject, at: int) -> list[Piece]:
    hit = subject.hit
    if hit is None:
        return []
    texts = [text for text in dict.fromkeys(hit.captions) if text.strip()][:_MOST_OWN]
    return [
        Piece(text, hit.id, hit, subject.name, 1.0, own=True, subject=at, weight="said")
        for text in texts
    ]


def _borrowed(hit: CaptionHit, at: int) -> Piece:
    name = hit.uri or hit.image_id
    key = hit.picture or hit.id
    return Piece(hit.text, key, None, name, hit.score, subject=at, vector=hit.vector)


def _fairly(sides: Sequence[Sequence[Piece]], count: int) -> list[Sequence[Piece]]:
    """So many pieces in all: of two sides half of them each, or what the other leaves."""
    kept: list[Sequence[Piece]] = []
    for at, side in enumerate(sides):
        others = sum(len(one) for one in sides[at + 1 :])
        room = count - sum(len(one) for one in kept)
        kept.append(side[: max(room - others, room // (len(sides) - at))])
    return kept


def _pieces(count: Count, words: str, others: Others) -> list[Piece]:
    """A piece of each picture that was counted and has a caption, or is merely filtered."""
    return [
        _piece(hit, words, "said" if at < count.said else "likely", others)
        for at, hit in enumerate(count.hits)
    ]


def _piece(hit: ImageHit, words: str, weight: Weight, others: Others) -> Piece:
    text = best_caption(hit.captions, words, others)
    doubted = weight == "likely" and described(hit)
    score = hit.chance or hit.score
    return Piece(text, hit.id, hit, hit.uri, score, weight=weight, doubted=doubted)


def best_caption(captions: Iterable[str], words: str, others: Others = NO_OTHERS) -> str:
    """The caption that says all that is asked for, else the one that says most of it."""
    given = [text for text in captions if text.strip()]
    if not given:
        return ""
    wanted = stems([words])

    def worth(text: str) -> tuple[bool, int]:
        return bool(words) and says(words, text, others), len(stems([text]) & wanted)

    return max(given, key=worth)
