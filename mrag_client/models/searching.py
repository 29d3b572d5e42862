"""Searches, what they find, and the filters that they have."""

from __future__ import annotations

from collections.abc import Mapping
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
    Ids,
    Rerank,
    RerankSeconds,
    RerankTop,
    Share,
    Terms,
    Timings,
    Words,
)
from mrag_client.models.describing import RetrievedCaption
from mrag_client.models.traces import Trace

SEARCH_LANGUAGE = (
    'Words, looked for together; +word and -word (or -"several words") draw nearer and move away, '
    '2:word weighs; "words in quotes" must occur in a caption; like:ID and -like:ID name pictures. '
    "Filters, of which all must hold and any value of one is enough: after:2024-05 "
    "before:2025-01-31 (both ends belong to it), or times of any day, as after:08:00 before:17:00; "
    'camera:"Canon EOS R6" lens: place:Lisbon '
    "near:38.7,-9.1,20km tag: split: by:human|generated has:caption ext:jpg rating:3 (or more) "
    "label: (given by mrag tag); "
    "-camera: -lens: -place: -tag: -split: -by: -has: -ext: -label: leave out."
)
"""How searches are written, in short."""

SearchSpace = Literal["raw", "mapped", "caption", "words", "fused"]

AskedSpace = Literal["best", "raw", "mapped", "caption", "words", "fused"]
"""`best`: where the collection was measured to answer words best, which the answer then names."""

Sort = Literal["relevance", "newest", "oldest"]


class SearchOptions(Asked):
    """What is looked for, beside a picture, and how.

    A search of filters alone finds the pictures that satisfy them, by date.
    """

    text: Annotated[Words, Field(description=SEARCH_LANGUAGE)] = ""
    plus: Terms = ()
    minus: Terms = ()
    likes: Annotated[Ids, Field(description="Like these pictures of the collection, by id.")] = ()
    unlikes: Annotated[Ids, Field(description="And not like these, by id.")] = ()
    spaces: Annotated[
        tuple[AskedSpace, ...],
        Field(
            min_length=1,
            max_length=6,
            description="Where to search. best: where this collection was measured to answer words "
            "best; for a picture alone, or with a least score that this space has not, mapped.",
        ),
    ] = ("best",)
    k: Annotated[int, Field(ge=1, le=MOST_HITS, description="Pictures found.")] = 10
    offset: Annotated[int, Field(ge=0, le=MANY, description="Best pictures to leave out.")] = 0
    diversity: Annotated[Share, Field(description="0: most alike; to 1: unlike each other.")] = 0.0
    min_score: Annotated[
        float | None, Field(ge=-1, le=1, description="Only pictures with this cosine or more.")
    ] = None
    splits: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    sort: Annotated[
        Sort,
        Field(
            description="relevance: best first, or newest first where filters alone are given; "
            "newest, oldest: what is found, by when it was taken."
        ),
    ] = "relevance"
    copies: Annotated[
        bool, Field(description="Find each copy of a picture, and not the best of them alone.")
    ] = False
    likely: Annotated[
        bool, Field(description="Only pictures that are likely what was asked for.")
    ] = False
    explain: Explain = False
    rerank: Annotated[
        Rerank, Field(description=f"A better order of the best, for the words. {RERANKING}")
    ] = "off"
    rerank_top: RerankTop = 50
    rerank_seconds: RerankSeconds = 2.0


class _Told(Answered):
    """What a picture's file and the sidecars beside it say of it.

    `places` are the names of where it was taken, the nearest first: town, region, country.
    `rating` is 1 to 5, -1 for one that was rejected. Their keywords are among its tags.
    """

    camera: str = ""
    lens: str = ""
    places: tuple[str, ...] = ()
    title: str = ""
    rating: int | None = None


class ImageHit(_Told):
    """A picture that was found; `caption` is the first of its captions.

    `uri` is where its file lies, to those who may know; to others the file's name. `copies`: how
    many more pictures show the same and satisfy the filters; they are not among what is found.
    `chance`: how likely it is what was asked for, 0 to 1; null where that cannot be told.
    Of a shot of a `video`, which is as `uri`, `start` and `end` are seconds from its beginning.
    `labels` are what taggings gave it.
    """

    id: str
    uri: str
    score: float
    caption: str
    taken_at: datetime | None = None
    copies: int = 0
    chance: float | None = None
    video: str = ""
    start: float | None = None
    end: float | None = None
    labels: tuple[str, ...] = ()


class PictureAnswer(_Told):
    """What is known of a picture of a collection; `uri` as in ImageHit.

    `source`: whether people wrote its captions, or they were generated. `latitude` and `longitude`
    are told to those alone who may know where files lie: they may be those of somebody's home.
    """

    id: str
    uri: str
    captions: tuple[str, ...]
    source: Literal["human", "generated"]
    split: str
    tags: tuple[str, ...]
    width: int
    height: int
    taken_at: datetime | None
    latitude: float | None = None
    longitude: float | None = None
    video: str = ""
    start: float | None = None
    end: float | None = None
    labels: tuple[str, ...] = ()


class SearchAnswer(Answered):
    """The pictures found in one space, in the order that was asked for.

    `query` is the search in its own language; `space` is `date` where nothing is looked for, so
    that filters alone say what is found. `hints` tell what may have been meant for a filter and
    was looked for as words, and which filter nothing here can satisfy.
    `likely` is how many of the whole ranking, from its first on, are likely what was asked for, 0
    where nothing is; null where that cannot be told.
    `reranked` says how many of the first were put in a better order, within each of the two parts,
    and what there was no time for; scores stay those of the search.
    """

    query: str
    space: SearchSpace | Literal["date"]
    hits: tuple[ImageHit, ...]
    timings_ms: Timings
    hints: tuple[str, ...] = ()
    likely: int | None = None
    trace: Trace | None = None
    reranked: tuple[str, ...] = ()


class FacetsAnswer(Answered):
    """What pictures can be filtered by: of each filter its values, the commonest first.

    `pictures` satisfy the filters of the search, and are counted; those of each value are numbers
    of them. `taken_from` and `taken_until` are when the first and the last of them were taken.
    """

    query: str
    pictures: int
    values: Mapping[str, Mapping[str, int]]
    taken_from: datetime | None = None
    taken_until: datetime | None = None


class Ranks(Answered):
    """The best rank, from 1, of what is known to be right on either side; null: beyond.

    `fitted`: the map was fitted on it, which favours the map.
    """

    raw: int | None
    mapped: int | None
    fitted: bool


class ComparisonAnswer(Answered):
    """The captions nearest to a picture, raw beside mapped.

    `overlap` is the share of the k nearest that both sides have, `rbo` their rank-biased overlap.
    `truth` is null where nothing is known to be right.
    """

    image: str
    raw: tuple[RetrievedCaption, ...]
    mapped: tuple[RetrievedCaption, ...]
    overlap: float
    rbo: float
    truth: Ranks | None
    timings_ms: Timings


class NamedAnswer(Answered):
    """The picture that is meant by an id, a path or a source's name, and its collection."""

    id: str
    collection: str
