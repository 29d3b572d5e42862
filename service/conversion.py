"""What an engine answers as the models that all doors share, and what they ask as its values."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath

from engine.app import CollectionSummary
from engine.compare.comparison import Comparison
from engine.describe.captioner import DescribeOptions
from engine.types import CaptionHit, CaptionResult, Decoding, Filters, SearchResult
from engine.types import ImageHit as FoundImage
from mrag_client.models import (
    Candidate,
    CaptionOptions,
    CollectionAnswer,
    ComparisonAnswer,
    Description,
    ImageHit,
    Ranks,
    RetrievedCaption,
    Round,
    SearchAnswer,
    SearchOptions,
)
from refine.rounds import Round as StandingRound


def describe_options(asked: CaptionOptions) -> DescribeOptions:
    """How pictures are to be described; raises InvalidInput for a prompt without its place."""
    return DescribeOptions(
        space=asked.space,
        k=asked.k,
        per_image=asked.per_image,
        template=asked.prompt,
        order=asked.order,
        candidates=asked.candidates,
        decoding=Decoding(asked.decoding),
        diversity=asked.diversity,
        consensus=asked.consensus,
        borrow=asked.borrow,
    )


def filters(asked: SearchOptions) -> Filters:
    """What found pictures must satisfy."""
    return Filters(splits=frozenset(asked.splits), tags=frozenset(asked.tags))


def description(image: str, result: CaptionResult) -> Description:
    """A description of the picture that is called so."""
    return Description(
        image=image,
        caption=result.caption,
        candidates=tuple(Candidate(text=one.text, score=one.score) for one in result.candidates),
        retrieved=_captions(result.retrieved),
        space=result.space,
        timings_ms=result.timings_ms,
    )


def search_answer(result: SearchResult, *, paths: bool = True) -> SearchAnswer:
    """What was found; without `paths` of each file only its name is told."""
    return SearchAnswer(
        query=result.query,
        space=result.space,
        hits=tuple(image_hit(hit, paths=paths) for hit in result.hits),
        timings_ms=result.timings_ms,
    )


def image_hit(hit: FoundImage, *, paths: bool = True) -> ImageHit:
    """A picture that was found; without `paths` of its file only the name is told."""
    return ImageHit(
        id=hit.id,
        uri=hit.uri if paths else PurePath(hit.uri).name,
        score=hit.score,
        caption=next(iter(hit.captions), ""),
    )


def comparison_answer(image: str, compared: Comparison[CaptionHit]) -> ComparisonAnswer:
    """A comparison for the picture that is called so."""
    truth = compared.truth
    return ComparisonAnswer(
        image=image,
        raw=_captions(compared.raw),
        mapped=_captions(compared.mapped),
        overlap=compared.overlap,
        rbo=compared.rbo,
        truth=truth and Ranks(raw=truth.raw, mapped=truth.mapped, fitted=truth.fitted),
        timings_ms=compared.timings_ms,
    )


def collection_answer(
    summary: CollectionSummary, rounds: Sequence[StandingRound] = (), *, paths: bool = True
) -> CollectionAnswer:
    """A collection at a glance; without `paths` nothing of it says where it lies."""
    card = summary.card
    return CollectionAnswer(
        collection=card.name,
        images=summary.images,
        captions=summary.captions,
        method=summary.method,
        encoder=card.encoder_id,
        dim=card.dim,
        generator=card.generator if paths else _without_folders(card.generator),
        memory=card.memory,
        path=str(summary.path) if paths else "",
        rounds=tuple(
            Round(round=one.number, added=one.added, metric=one.metric, after=one.after or 0.0)
            for one in rounds
        ),
        trouble=summary.trouble,
        waiting=summary.waiting,
    )


def broken_collection(name: str, trouble: str) -> CollectionAnswer:
    """A collection of which nothing can be told but its trouble."""
    return CollectionAnswer(
        collection=name,
        images=None,
        captions=None,
        method="",
        encoder="",
        dim=0,
        generator="",
        memory="",
        path="",
        trouble=trouble,
    )


def _captions(hits: Sequence[CaptionHit]) -> tuple[RetrievedCaption, ...]:
    return tuple(
        RetrievedCaption(text=hit.text, score=hit.score, image_id=hit.image_id) for hit in hits
    )


def _without_folders(spec: str) -> str:
    """A hub's name as it is, of a folder of this machine its last part."""
    return PurePath(spec).name if PurePath(spec).is_absolute() else spec
