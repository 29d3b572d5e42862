"""Pictures and videos described."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from mrag_client.models.base import (
    MANY,
    MOST_HITS,
    RERANKING,
    Answered,
    Asked,
    Explain,
    Rerank,
    RerankSeconds,
    RerankTop,
    Share,
    Timings,
)
from mrag_client.models.traces import Trace

DescribeSpace = Literal["raw", "mapped", "fused"]

Decoding = Literal["greedy", "beam", "nucleus"]

Order = Literal["nearest-first", "nearest-last"]

Refinement = Literal["near-copies", "contradictions", "compression"]


class CaptionOptions(Asked):
    """How pictures are described; the defaults are the program's."""

    space: DescribeSpace = "mapped"
    k: Annotated[int, Field(ge=1, le=MOST_HITS, description="Captions retrieved.")] = 4
    per_image: Annotated[
        int, Field(ge=1, le=MOST_HITS, description="At most so many captions of one picture.")
    ] = 2
    prompt: Annotated[
        str,
        Field(
            max_length=4000,
            description="paper, smallcap, summarise, or a text with {captions} in it.",
        ),
    ] = "paper"
    order: Order = "nearest-first"
    candidates: Annotated[int, Field(ge=1, le=100, description="Descriptions written.")] = 4
    decoding: Decoding = "greedy"
    diversity: Annotated[Share, Field(description="Above 0: captions unlike each other.")] = 0.0
    consensus: Annotated[
        Share, Field(description="Chosen by likeness to the picture (0) or to what was found (1).")
    ] = 0.0
    borrow: Annotated[bool, Field(description="A retrieved caption may be chosen, too.")] = False
    own: Annotated[
        bool, Field(description="Borrow the collection's captions of the very picture.")
    ] = False
    explain: Explain = False
    refine: Annotated[
        tuple[Refinement, ...],
        Field(
            max_length=3,
            description="What is done to captions before a prompt is made of them. near-copies: "
            "what says the same is said once; contradictions: in counts and colours most and the "
            "nearest decide; compression: clauses that no other caption says go before whole "
            "captions do.",
        ),
    ] = ()
    prompt_tokens: Annotated[
        int | None,
        Field(ge=1, le=MANY, description="The longest prompt; null: as long as the model reads."),
    ] = None
    rerank: Annotated[Rerank, Field(description=f"Order of the captions. {RERANKING}")] = "off"
    rerank_top: RerankTop = 20
    rerank_seconds: RerankSeconds = 2.0


MOST_SHOTS = 1000
"""Shots of a video that are described at once at most."""


class OutlineOptions(CaptionOptions):
    """How the shots of a video are described, and which of them."""

    start: Annotated[
        float, Field(ge=0, le=MANY, description="Seconds from the beginning, where a shot begins.")
    ] = 0.0
    shots: Annotated[int, Field(ge=1, le=MOST_SHOTS, description="Shots described.")] = 100


class Candidate(Answered):
    """A description that was written; `score` is its cosine with the picture."""

    text: str
    score: float


class RetrievedCaption(Answered):
    """A caption that was found, and the picture that it is of."""

    text: str
    score: float
    image_id: str


class MadeWith(Answered):
    """What a description was made with; the same picture is described alike with equal ones.

    `map` is the method and a name of exactly this map, `captions` how many could be borrowed.
    """

    generator: str = ""
    map: str = ""
    memory: str = ""
    captions: int = 0


class Description(Answered):
    """A picture described: the caption, what it was chosen from and what it was made of.

    `reranked` says what of the retrieved captions was put in another order, and what was not.
    """

    image: str
    caption: str
    candidates: tuple[Candidate, ...]
    retrieved: tuple[RetrievedCaption, ...]
    space: DescribeSpace
    timings_ms: Timings
    made_with: MadeWith = MadeWith()
    trace: Trace | None = None
    reranked: tuple[str, ...] = ()


class Failure(Answered):
    """A picture that nothing came of, and why; the others are answered.

    `unreadable`: it could not be opened, before anything was asked of the models.
    """

    image: str
    error: str
    unreadable: bool = False


class OutlineShot(Answered):
    """A part of a video, in seconds from its beginning, and what is seen there.

    `taken_at`: by the video's own clock. `error`: why nothing could be written of it.
    """

    start: float
    end: float
    caption: str
    taken_at: datetime | None = None
    error: str = ""


class OutlineAnswer(Answered):
    """What is seen in a video, shot by shot.

    `seconds` is how long it says that it is. `next`: where to go on, null where that was all.
    `trouble`: what of it could not be read.
    """

    video: str
    seconds: float | None
    shots: tuple[OutlineShot, ...]
    next: float | None = None
    trouble: str = ""
