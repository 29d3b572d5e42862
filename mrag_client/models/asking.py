"""Questions about pictures, and their answers."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from pydantic import Field

from mrag_client.models.base import (
    MOST_HITS,
    RERANKING,
    Answered,
    Asked,
    Explain,
    Rerank,
    RerankSeconds,
    RerankTop,
    Timings,
)
from mrag_client.models.searching import SEARCH_LANGUAGE
from mrag_client.models.traces import Trace

MOST_ASKED = 500
"""Characters of a question."""

MOST_SEARCHED = 1000
"""Characters of a search that a question is given: filters take more than the words for them."""

QuestionKind = Literal[
    "pictures", "things", "existence", "listing", "place", "time", "comparison", "open"
]
"""`pictures`: how many pictures; `things`: how many of a thing; `comparison`: more of which;
`time`: when pictures were taken."""


class AskOptions(Asked):
    """A question, and how it is answered.

    Without `searches` rules read a search from the question, which the answer shows; with them
    these are searched instead. Of a comparison there are two.
    """

    question: Annotated[
        str, Field(max_length=MOST_ASKED, description="A question, as to a person.")
    ] = ""
    searches: Annotated[
        tuple[Annotated[str, Field(max_length=MOST_SEARCHED)], ...],
        Field(
            max_length=2,
            description="In place of what is read from the question; two where two are compared. "
            + SEARCH_LANGUAGE,
        ),
    ] = ()
    k: Annotated[
        int, Field(ge=1, le=100, description="Captions that a question is answered from.")
    ] = 8
    shown: Annotated[
        int, Field(ge=1, le=MOST_HITS, description="Pictures of a list that are told.")
    ] = 24
    today: Annotated[
        date | None, Field(description="The day that `yesterday` comes before; null: now.")
    ] = None
    explain: Explain = False
    rerank: Annotated[
        Rerank,
        Field(description=f"A better order of what is found, before it is answered. {RERANKING}"),
    ] = "off"
    rerank_top: RerankTop = 50
    rerank_seconds: RerankSeconds = 2.0


class AskedRule(Answered):
    """A rule that took `said` out of a question: what for, and what it gave, as in a search."""

    rule: str
    said: str
    told: str
    gave: str = ""


class AskedPicture(Answered):
    """A picture that an answer rests on, or that was looked at, by the number it is cited by.

    `id` is empty for one that is not of the collection; `uri` as in ImageHit. `captions` are those
    that speak to the question. `why`: its captions say it, it looks likely, or it is the nearest.
    `given`: which of the given pictures it speaks of, from 1.
    """

    number: int
    id: str
    uri: str
    captions: tuple[str, ...]
    cited: bool
    why: Literal["said", "likely", "near"] = "near"
    given: int | None = None


class AskedCount(Answered):
    """How many pictures there are of what a search asks for.

    `said` have it in their captions, exactly; so many more look `likely`, null where that cannot
    be told; what people wrote of `doubted` of these does not say it. `among` satisfy the filters.
    `by_filters`: these alone were asked for. `at_least`: more may look likely than were ranked.
    Of `undescribed` no caption says anything.
    """

    search: str
    said: int
    likely: int | None
    among: int
    by_filters: bool = False
    doubted: int = 0
    at_least: bool = False
    undescribed: int = 0


class AskAnswer(Answered):
    """A question answered: in words, with numbers in brackets for the pictures it rests on.

    `said` is false where what was found does not answer it. `searches` are what was searched, in
    the language of searches, and `rules` how they were read from the question. `by` is what wrote
    the answer: the index, rules over captions, or a model. `reranked` says how much of what was
    found was put in a better order, and what was not; empty where that was not asked for.
    """

    question: str
    kind: QuestionKind
    answer: str
    said: bool
    by: str
    searches: tuple[str, ...]
    rules: tuple[AskedRule, ...]
    pictures: tuple[AskedPicture, ...]
    counts: tuple[AskedCount, ...]
    timings_ms: Timings
    hints: tuple[str, ...] = ()
    trace: Trace | None = None
    reranked: tuple[str, ...] = ()

    @property
    def cited(self) -> tuple[AskedPicture, ...]:
        """The pictures that the answer rests on."""
        return tuple(one for one in self.pictures if one.cited)


class AskEvent(Answered):
    """A step towards an answer: what is searched, what was found, a piece of text, the answer.

    Pieces of text are what a model writes before it is held against the captions: the `answer`,
    which comes last, is what counts.
    """

    event: Literal["searched", "found", "text", "answer"]
    searches: tuple[str, ...] = ()
    rules: tuple[AskedRule, ...] = ()
    found: int = 0
    text: str = ""
    answer: AskAnswer | None = None
