"""Commands that answer: caption, search, compare."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated

import typer

from cli.doors import answering, asked, collection_named
from cli.options import (
    CollectionOption,
    DeviceOption,
    EncoderOption,
    ExplainOption,
    GeneratorOption,
    JsonOption,
    LocalOption,
    RerankerOption,
    RerankOption,
    RerankSecondsOption,
    RerankTopOption,
    named_path,
)
from cli.outline import outlines, show_part
from cli.output import console, emit, milliseconds, plain, say, short_path, side_by_side
from cli.tracing import show_reranked, show_trace
from cli.typed import TypedCommand
from cli.waiting import each_waited_for
from engine.errors import UnreadableImage
from engine.video.address import clock, is_video
from mrag_client.answers import Answers, NamedPicture
from mrag_client.models import (
    MANY,
    MOST_HITS,
    SEARCH_LANGUAGE,
    AskedSpace,
    CaptionOptions,
    ComparisonAnswer,
    Decoding,
    DescribeSpace,
    Description,
    FacetsAnswer,
    Failure,
    ImageHit,
    Order,
    OutlineOptions,
    SearchAnswer,
    SearchOptions,
    Sort,
)

SOME_FAILED = 1
_SIDE_BY_SIDE: tuple[AskedSpace, ...] = ("best", "raw", "mapped")

_DEFAULT = CaptionOptions()
_CAPTION_FIELDS = tuple(CaptionOptions.model_fields)
_SEARCH = SearchOptions()


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command()(caption)
    app.command(cls=TypedCommand)(search)
    app.command()(compare)


def caption(
    images: Annotated[
        list[Path], typer.Argument(metavar="IMAGE|VIDEO", parser=named_path, show_default=False)
    ],
    collection: CollectionOption = "",
    space: Annotated[
        DescribeSpace,
        typer.Option(help="Where captions are retrieved: raw CLIP, mapped, or both fused."),
    ] = _DEFAULT.space,
    k: Annotated[
        int, typer.Option("-k", min=1, max=MOST_HITS, help="Captions retrieved.")
    ] = _DEFAULT.k,
    per_image: Annotated[
        int, typer.Option(min=1, max=MOST_HITS, help="At most so many captions of one picture.")
    ] = _DEFAULT.per_image,
    prompt: Annotated[
        str, typer.Option(help="paper, smallcap, summarise, or a text with {captions} in it.")
    ] = _DEFAULT.prompt,
    order: Annotated[Order, typer.Option(help="Order of the captions.")] = _DEFAULT.order,
    candidates: Annotated[
        int, typer.Option("-n", min=1, max=100, help="Descriptions written, to choose from.")
    ] = _DEFAULT.candidates,
    decoding: Annotated[Decoding, typer.Option(help="How text is drawn.")] = _DEFAULT.decoding,
    diversity: Annotated[
        float, typer.Option(min=0, max=1, help="Above 0: retrieved captions unlike each other.")
    ] = _DEFAULT.diversity,
    consensus: Annotated[
        float,
        typer.Option(
            min=0, max=1, help="Choose by likeness to the picture (0) or to what was retrieved (1)."
        ),
    ] = _DEFAULT.consensus,
    borrow: Annotated[
        bool, typer.Option("--borrow", help="Let a retrieved caption be chosen, too.")
    ] = _DEFAULT.borrow,
    own: Annotated[
        bool, typer.Option("--own", help="Borrow the collection's captions of the very picture.")
    ] = False,
    refine: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Before a prompt is made: near-copies, contradictions, compression; may be "
            "repeated.",
            show_default=False,
        ),
    ] = None,
    prompt_tokens: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=MANY,
            help="The longest prompt, in the generator's tokens.",
            show_default=False,
        ),
    ] = None,
    explain: ExplainOption = False,
    rerank: RerankOption = _DEFAULT.rerank,
    rerank_top: RerankTopOption = _DEFAULT.rerank_top,
    rerank_seconds: RerankSecondsOption = _DEFAULT.rerank_seconds,
    encoder: EncoderOption = "",
    generator: GeneratorOption = "",
    reranker: RerankerOption = "",
    device: DeviceOption = "",
    local: LocalOption = False,
    as_json: JsonOption = False,
) -> None:
    """Describe pictures, and videos shot by shot; as if they were new, unless with --own."""
    options = asked(
        OutlineOptions,
        space=space,
        k=k,
        per_image=per_image,
        prompt=prompt,
        order=order,
        candidates=candidates,
        decoding=decoding,
        diversity=diversity,
        consensus=consensus,
        borrow=borrow,
        own=own,
        refine=_DEFAULT.refine if refine is None else tuple(dict.fromkeys(refine)),
        prompt_tokens=prompt_tokens,
        explain=explain,
        rerank=rerank,
        rerank_top=rerank_top,
        rerank_seconds=rerank_seconds,
    )
    failed = _Failed()
    models = {"encoder": encoder, "generator": generator, "reranker": reranker, "device": device}
    with answering(local=local, **models) as answers:
        named = collection_named(collection)
        for video in filter(is_video, images):
            _outline(answers, video, options, named, failed, as_json=as_json)
        pictures = _named(one for one in images if not is_video(one))
        asked_of_pictures = CaptionOptions(**options.model_dump(include=set(_CAPTION_FIELDS)))
        told = answers.caption(pictures, asked_of_pictures, collection=named)
        for answer in each_waited_for("describe", told):
            if isinstance(answer, Failure):
                failed.tell(answer)
            elif as_json:
                emit(answer.model_dump(mode="json"))
            else:
                show_caption(answer)
    failed.exit_if_any()


def _outline(
    answers: Answers,
    video: Path,
    options: OutlineOptions,
    collection: str,
    failed: _Failed,
    *,
    as_json: bool,
) -> None:
    try:
        parts = outlines(answers, video, options, collection)
        for part in each_waited_for("watch", parts):
            show_part(part, as_json=as_json)
    except UnreadableImage as error:
        told = str(error).removeprefix(f"{video}: ")
        failed.tell(Failure(image=str(video), error=told, unreadable=True))


def search(
    text: Annotated[
        str, typer.Argument(help=f"What to look for. {SEARCH_LANGUAGE}", show_default=False)
    ] = "",
    collection: CollectionOption = "",
    image: Annotated[
        Path | None,
        typer.Option(
            parser=named_path, help="Look for pictures like this one, too.", show_default=False
        ),
    ] = None,
    plus: Annotated[
        list[str] | None, typer.Option(help="Nearer to these words.", show_default=False)
    ] = None,
    minus: Annotated[
        list[str] | None, typer.Option(help="Away from these words.", show_default=False)
    ] = None,
    like: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ID",
            help="Like this picture of the collection, whose id --json shows; may be repeated.",
            show_default=False,
        ),
    ] = None,
    unlike: Annotated[
        list[str] | None,
        typer.Option(metavar="ID", help="Not like this one; may be repeated.", show_default=False),
    ] = None,
    space: Annotated[
        AskedSpace | None,
        typer.Option(
            help="Where to search. By default where the collection was measured to answer "
            "best, beside raw and mapped; with --json or --rerank, there alone.",
            show_default=False,
        ),
    ] = None,
    k: Annotated[int, typer.Option("-k", min=1, max=MOST_HITS, help="Pictures shown.")] = 10,
    offset: Annotated[int, typer.Option(min=0, max=MANY, help="Best pictures to leave out.")] = 0,
    diversity: Annotated[
        float, typer.Option(min=0, max=1, help="0: most alike; towards 1: unlike each other.")
    ] = 0.0,
    min_score: Annotated[
        float | None,
        typer.Option(
            min=-1, max=1, help="Only pictures with this cosine or more.", show_default=False
        ),
    ] = None,
    split: Annotated[
        list[str] | None, typer.Option(help="Only these splits.", show_default=False)
    ] = None,
    tag: Annotated[
        list[str] | None, typer.Option(help="Only these tags.", show_default=False)
    ] = None,
    sort: Annotated[
        Sort,
        typer.Option(help="By relevance, or by date where filters alone are given; or by date."),
    ] = "relevance",
    facets: Annotated[
        bool,
        typer.Option(
            "--facets",
            help="Count instead what the pictures that satisfy the filters can be filtered by.",
        ),
    ] = False,
    copies: Annotated[
        bool, typer.Option("--copies", help="Each copy of a picture, not the best of them alone.")
    ] = False,
    likely: Annotated[
        bool, typer.Option("--likely", help="Only what is likely meant, nothing below the line.")
    ] = False,
    explain: ExplainOption = False,
    rerank: RerankOption = _SEARCH.rerank,
    rerank_top: RerankTopOption = _SEARCH.rerank_top,
    rerank_seconds: RerankSecondsOption = _SEARCH.rerank_seconds,
    encoder: EncoderOption = "",
    generator: GeneratorOption = "",
    reranker: RerankerOption = "",
    device: DeviceOption = "",
    local: LocalOption = False,
    as_json: JsonOption = False,
) -> None:
    """Find pictures by words, by a picture, or by both.

    Put the search in single quotes, so that the shell leaves it as it is: mrag search
    'dog -cat "red car" after:2024'.
    """
    alone = as_json or rerank != "off"
    spaces = (space,) if space else ("best",) if alone else _SIDE_BY_SIDE
    options = asked(
        SearchOptions,
        text=text,
        plus=plus or (),
        minus=minus or (),
        likes=like or (),
        unlikes=unlike or (),
        spaces=spaces,
        k=k,
        offset=offset,
        diversity=diversity,
        min_score=min_score,
        splits=split or (),
        tags=tag or (),
        sort=sort,
        copies=copies,
        likely=likely,
        explain=explain,
        rerank=rerank,
        rerank_top=rerank_top,
        rerank_seconds=rerank_seconds,
    )
    if facets:
        with answering(local=local, encoder=encoder, device=device) as answers:
            counted = answers.facets(options, collection=collection_named(collection))
        emit(counted.model_dump(mode="json")) if as_json else show_facets(counted)
        return
    picture = NamedPicture(str(image), image) if image else None
    models = {"encoder": encoder, "generator": generator, "reranker": reranker, "device": device}
    with answering(local=local, **models) as answers:
        results = answers.search(options, image=picture, collection=collection_named(collection))
    for hint in results[0].hints:
        say(f"mrag: {hint}")
    if as_json:
        for result in results:
            emit(result.model_dump(mode="json"))
    elif results[0].space == "date":
        show_by_date(results[0])
    else:
        show_search(results, offset, dated=sort != "relevance")


def compare(
    images: Annotated[
        list[Path], typer.Argument(metavar="IMAGE", parser=named_path, show_default=False)
    ],
    collection: CollectionOption = "",
    k: Annotated[
        int, typer.Option("-k", min=1, max=MOST_HITS, help="Captions retrieved in each space.")
    ] = 5,
    encoder: EncoderOption = "",
    device: DeviceOption = "",
    local: LocalOption = False,
    as_json: JsonOption = False,
) -> None:
    """Show the captions nearest to a picture: raw CLIP beside mapped."""
    failed = _Failed()
    with answering(local=local, encoder=encoder, device=device) as answers:
        for answer in answers.compare(_named(images), k, collection=collection_named(collection)):
            if isinstance(answer, Failure):
                failed.tell(answer)
            elif as_json:
                emit(answer.model_dump(mode="json"))
            else:
                show_comparison(answer)
    failed.exit_if_any()


def _named(images: Iterable[Path]) -> list[NamedPicture]:
    return [NamedPicture(str(path), path) for path in images]


class _Failed:
    """Counts the pictures that nothing comes of and names each; the others go on."""

    def __init__(self) -> None:
        self._count = 0

    def tell(self, failure: Failure) -> None:
        self._count += 1
        say(f"mrag: {failure.image}: {failure.error}")

    def exit_if_any(self) -> None:
        if self._count:
            raise typer.Exit(SOME_FAILED)


def show_caption(result: Description) -> None:
    """Show a description: the caption first, then what it was made of."""
    out = console()
    out.print(plain(short_path(result.image), "dim"))
    out.print(plain(result.caption, "bold"))
    if len(result.candidates) > 1:
        out.print("  candidates, by likeness to the picture:", style="dim")
        for candidate in sorted(result.candidates, key=lambda c: c.score, reverse=True):
            out.print(f"  {candidate.score:.3f}", plain(candidate.text))
    out.print(f"  retrieved in the {result.space} space:", style="dim")
    for hit in result.retrieved:
        out.print(f"  {hit.score:.3f}", plain(hit.text))
    show_reranked(result.reranked)
    out.print(milliseconds(result.timings_ms))
    show_trace(result.trace)
    out.print()


def show_search(results: Sequence[SearchAnswer], offset: int = 0, *, dated: bool = False) -> None:
    """Show what was found after the first `offset`, one column for each space.

    A line stands below what is likely what was asked for; `dated`: with when each was taken.
    """
    columns: dict[str, list[tuple[float, str]]] = {
        result.space: [
            (hit.score, f"{_date(hit)} {_image_line(hit)}" if dated else _image_line(hit))
            for hit in result.hits
        ]
        for result in results
    }
    likely: dict[str, int] = {
        result.space: result.likely - offset
        for result in results
        if result.likely is not None and not dated
    }
    out = console()
    out.print(side_by_side(columns, shared=_in_all(columns.values()), likely=likely))
    if any(result.likely == 0 for result in results):
        nearest = "; the nearest are shown with --sort relevance" if dated else ""
        say(f"nothing here is likely what was asked for{nearest}")
    for result in results:
        if not result.hits and result.likely != 0:
            say(f"nothing was found in the {result.space} space")
    for result in results:
        show_reranked(result.reranked, f"{result.space}: " if len(results) > 1 else "")
    out.print(milliseconds(results[0].timings_ms))
    for result in results:
        show_trace(result.trace)


def show_by_date(result: SearchAnswer) -> None:
    """Show pictures that filters alone have found, with when each was taken."""
    out = console()
    for rank, hit in enumerate(result.hits, 1):
        out.print(f"{rank:>3}", _date(hit), plain(_image_line(hit), "bold"))
    if not result.hits:
        say("no picture satisfies the filters")
    out.print(milliseconds(result.timings_ms))
    show_trace(result.trace)


def show_facets(counted: FacetsAnswer) -> None:
    """Show what pictures can be filtered by, with counts."""
    out = console()
    out.print(f"{counted.pictures:,} pictures")
    if counted.taken_from and counted.taken_until:
        out.print(f"  taken from {counted.taken_from:%Y-%m-%d} to {counted.taken_until:%Y-%m-%d}")
    for name, values in counted.values.items():
        if values:
            out.print(f"  {name}:", style="dim")
        for value, count in values.items():
            out.print(f"  {count:>7,}", plain(value, "bold"))


def show_comparison(comparison: ComparisonAnswer) -> None:
    """Show a comparison, raw on the left, mapped on the right."""
    columns = {
        "raw": [(hit.score, hit.text) for hit in comparison.raw],
        "mapped": [(hit.score, hit.text) for hit in comparison.mapped],
    }
    out = console()
    out.print(plain(short_path(comparison.image), "dim"))
    out.print(side_by_side(columns, shared=_in_all(columns.values())))
    out.print(f"  overlap {comparison.overlap:.0%}", style="dim")
    out.print()


def _image_line(hit: ImageHit) -> str:
    path = short_path(hit.uri)
    if hit.start is not None:
        path = f"{short_path(hit.video)} at {clock(hit.start)}"
    told = f"{path}: {hit.caption}" if hit.caption else path
    if not hit.copies:
        return told
    # First, as long lines are cut at their end.
    return f"(+{hit.copies} {'copy' if hit.copies == 1 else 'copies'}) {told}"


def _date(hit: ImageHit) -> str:
    return f"{hit.taken_at:%Y-%m-%d}" if hit.taken_at else "no date   "


def _in_all(columns: Iterable[Sequence[tuple[float, str]]]) -> set[str]:
    texts = [{text for _, text in ranked} for ranked in columns]
    return set.intersection(*texts) if len(texts) > 1 else set()
