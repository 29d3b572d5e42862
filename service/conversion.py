"""What an engine answers as the models that all doors share, and what they ask as its values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import PurePath
from typing import Any, Literal

from engine.app import CollectionSummary
from engine.compare.comparison import Comparison
from engine.describe.captioner import DescribeOptions
from engine.search.filter_terms import FILTER_TERMS
from engine.search.language import Filter, Item, Like, Search, Term, read_search
from engine.stages.trace import Trace as MadeBy
from engine.types import CaptionHit, CaptionResult, Decoding, Facets, SearchSpace
from engine.types import ImageHit as FoundImage
from engine.video.address import Clip
from ingest.jobs.records import Job
from ingest.sources import Source
from mrag_client.models import (
    Candidate,
    CaptionOptions,
    CollectionAnswer,
    ComparisonAnswer,
    Description,
    FacetsAnswer,
    ImageHit,
    JobAnswer,
    JobProgress,
    MadeWith,
    Move,
    PictureAnswer,
    Ranks,
    RetrievedCaption,
    Round,
    SearchAnswer,
    SearchOptions,
    SourceAnswer,
    Step,
    Trace,
)
from refine.rounds import Round as StandingRound

_NAME_SHOWN = 200

Hide = Callable[[str], str]
"""Takes out of a text what those who may not know places of this machine are not told."""


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
        refine=asked.refine,
        prompt_tokens=asked.prompt_tokens,
        rerank=asked.rerank,
        rerank_top=asked.rerank_top,
        rerank_seconds=asked.rerank_seconds,
    )


def search_asked(asked: SearchOptions) -> Search:
    """What is looked for: the text, read in its language, and what is given beside it.

    Raises InvalidSearch for a text that cannot be read.
    """
    beside: list[Item] = [
        *(Term(text) for text in asked.plus),
        *(Term(text, unwanted=True) for text in asked.minus),
        *map(Like, asked.likes),
        *(Like(id_, unwanted=True) for id_ in asked.unlikes),
        *(Filter("split", value) for value in asked.splits),
        *(Filter("tag", value) for value in asked.tags),
    ]
    return read_search(asked.text, beside)


def trace_answer(trace: MadeBy, names: Mapping[str, str] | None = None) -> Trace:
    """How an answer was made; `names` of items that a stage knew by something else."""
    known = names or {}
    return Trace(
        steps=tuple(
            Step(
                stage=step.stage,
                did=step.did,
                ms=step.ms,
                came=step.came,
                went=step.went,
                moves=tuple(
                    Move(
                        item=known.get(move.item, move.item),
                        before=move.before,
                        after=move.after,
                        became=move.became,
                    )
                    for move in step.moves
                ),
                others=step.others,
                notes=step.notes,
                parts_ms=step.parts_ms,
            )
            for step in trace.steps
        )
    )


def picture_names(hits: Iterable[FoundImage]) -> dict[str, str]:
    """What a trace calls pictures, by their ids: their files' names, with the first caption."""
    return {
        hit.id: ": ".join([PurePath(hit.uri).name, *hit.captions[:1]])[:_NAME_SHOWN] for hit in hits
    }


def description(image: str, result: CaptionResult, *, explain: bool = False) -> Description:
    """A description of the picture that is called so; `explain`: with how it was made."""
    return Description(
        image=image,
        caption=result.caption,
        candidates=tuple(Candidate(text=one.text, score=one.score) for one in result.candidates),
        retrieved=_captions(result.retrieved),
        space=result.space,
        timings_ms=result.timings_ms,
        made_with=MadeWith(**asdict(result.made_with)),
        trace=trace_answer(result.trace) if explain else None,
        reranked=result.reranked,
    )


def search_answer(
    search: Search,
    space: SearchSpace | Literal["date"],
    hits: Iterable[FoundImage],
    timings_ms: Mapping[str, float],
    *,
    likely: int | None = None,
    trace: Trace | None = None,
    reranked: tuple[str, ...] = (),
    paths: bool = True,
) -> SearchAnswer:
    """What was found; without `paths` of each file only its name is told."""
    return SearchAnswer(
        query=str(search),
        space=space,
        hits=tuple(image_hit(hit, paths=paths) for hit in hits),
        timings_ms=timings_ms,
        likely=likely,
        trace=trace,
        reranked=reranked,
    )


def facets_answer(search: Search, pictures: int, facets: Facets) -> FacetsAnswer:
    """What the pictures that satisfy the filters of a search can be filtered by further."""
    return FacetsAnswer(
        query=str(search),
        pictures=pictures,
        values={
            name: getattr(facets, term.field) for name, term in FILTER_TERMS.items() if term.many
        },
        taken_from=facets.taken_from,
        taken_until=facets.taken_until,
    )


def image_hit(hit: FoundImage, *, paths: bool = True) -> ImageHit:
    """A picture that was found; without `paths` of its file only the name is told."""
    return ImageHit(
        id=hit.id,
        uri=hit.uri if paths else PurePath(hit.uri).name,
        score=hit.score,
        caption=next(iter(hit.captions), ""),
        taken_at=hit.payload["taken_at"],
        copies=hit.copies,
        chance=hit.chance,
        labels=tuple(hit.payload["labels"]),
        **_told(hit),
        **_span(hit, paths=paths),
    )


def _told(hit: FoundImage) -> dict[str, Any]:
    """What the file of a picture says of it."""
    return {name: hit.payload[name] for name in ("camera", "lens", "places", "title", "rating")}


def _span(hit: FoundImage, *, paths: bool) -> dict[str, Any]:
    """Of which video a shot is, and from when to when."""
    clip = Clip.at(hit.uri)
    if clip is None:
        return {}
    video = str(clip.file) if paths else clip.file.name
    return {"video": video, "start": clip.start, "end": clip.end}


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
    summary: CollectionSummary,
    rounds: Sequence[StandingRound] = (),
    sources: Sequence[Source] = (),
    *,
    paths: bool = True,
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
        sources=tuple(source_answer(source, paths=paths) for source in sources),
    )


def picture_answer(hit: FoundImage, *, paths: bool = True) -> PictureAnswer:
    """What is known of a picture; without `paths` not where it lies, nor where on the globe."""
    known = hit.payload
    place = (paths and known["location"]) or {}
    return PictureAnswer(
        id=hit.id,
        uri=hit.uri if paths else PurePath(hit.uri).name,
        captions=hit.captions,
        source=known["source"],
        split=known["split"],
        tags=tuple(known["tags"]),
        width=known["width"],
        height=known["height"],
        taken_at=known["taken_at"],
        latitude=place.get("lat"),
        longitude=place.get("lon"),
        labels=tuple(known["labels"]),
        **_told(hit),
        **_span(hit, paths=paths),
    )


def job_answer(job: Job, *, paths: bool = True, hide: Hide = str) -> JobAnswer:
    """A background ingest; without `paths` nothing of it says where its source lies.

    `hide` takes the places of this machine out of what it says.
    """
    progress = job.progress and JobProgress(
        stage=job.progress.stage,
        done=job.progress.done,
        total=job.progress.total,
        share=job.progress.share,
        amount=job.progress.amount,
    )
    return JobAnswer(
        id=job.id,
        collection=job.collection,
        source=str(job.source) if paths and not job.name else job.shown,
        state=job.state,
        started=job.started,
        ended=job.ended,
        progress=progress,
        stopping=job.stopping,
        message=job.message if paths else _hidden(job, hide),
        error=job.error,
        skipped=job.skipped,
        result=job.result if paths else _without_places(job.result),
        kind="description" if job.again else "sync" if job.sync else "ingest",
    )


def source_answer(source: Source, *, paths: bool = True) -> SourceAnswer:
    """A source of a collection; without `paths` only its name is told."""
    return SourceAnswer(
        name=source.shown,
        can_sync=source.can_sync,
        path=source.path if paths else "",
        images=source.images if paths else "",
        splits=source.splits,
        limit=source.limit,
    )


def _hidden(job: Job, hide: Hide) -> str:
    """What a job did, for those who may not know where its source lies."""
    return job.plain or hide(job.message.replace(str(job.source), job.shown))


def _without_places(result: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """The counts of a job alone: a sync also names files and sources."""
    named = ("examples", "sources")
    return result and {name: value for name, value in result.items() if name not in named}


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
