"""The two kinds of model, and what many of them have: limits, texts, times, reranking."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

MOST_HITS = 10_000
"""What is found at once at most: all of it is held, shown and, for captions, put in a prompt."""

MANY = 1_000_000_000
"""More pictures, points or bytes of them than one machine holds: no count is larger."""

MAX_WORDS = 500
"""Characters of one text of a query."""

MOST_TERMS = 16
"""Texts, or pictures, to draw nearer to or to move away from: each text is embedded."""

MOST_RERANKED, MOST_RERANK_SECONDS = 200, 60
"""How many, and for how long, are reranked at most: a visitor waits for it."""

Rerank = Literal["off", "pointwise", "listwise", "picture"]

SINGULAR = {
    "spaces": "space",
    "splits": "split",
    "tags": "tag",
    "likes": "like",
    "unlikes": "unlike",
    "searches": "search",
}
"""Fields that are repeated for each of their values, by the name that they then have."""

Words = Annotated[str, Field(max_length=MAX_WORDS)]

Terms = Annotated[tuple[Words, ...], Field(max_length=MOST_TERMS)]

Ids = Annotated[tuple[Annotated[str, Field(max_length=64)], ...], Field(max_length=MOST_TERMS)]

Share = Annotated[float, Field(ge=0, le=1)]

RERANKING = (
    "pointwise: the text model judges captions one by one; listwise: lists of them; picture: a "
    "model that looks at the pictures."
)

RerankTop = Annotated[
    int, Field(ge=1, le=MOST_RERANKED, description="The first so many are put in a better order.")
]

RerankSeconds = Annotated[
    float,
    Field(
        ge=0,
        le=MOST_RERANK_SECONDS,
        description="For so long; what there is no time for keeps its place.",
    ),
]

Timings = Mapping[str, float]

Explain = Annotated[bool, Field(description="Tell how the answer was made, stage by stage.")]


class Asked(BaseModel):
    """What is asked: a field that nobody knows is an error, not an option that does nothing."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class Answered(BaseModel):
    """What is answered: a client of an earlier version passes over fields that are new."""

    model_config = ConfigDict(frozen=True, defer_build=True)
