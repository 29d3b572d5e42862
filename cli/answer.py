"""Commands that answer: caption, search, compare."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from cli.options import (
    MANY,
    MOST_HITS,
    CollectionOption,
    DeviceOption,
    EncoderOption,
    GeneratorOption,
    JsonOption,
    named_path,
    opened_engine,
    settings_for,
)
from cli.output import console, emit, milliseconds, plain, say, short_path, side_by_side
from cli.progress import waiting
from engine.app import Collection, Engine
from engine.compare.comparison import Comparison
from engine.describe.captioner import Captioner, DescribeOptions, each_described
from engine.describe.exports import caption_hit_json, caption_json
from engine.describe.prompts import Order
from engine.errors import MragError, UnreadableImage
from engine.images import Picture
from engine.search.gallery import Query
from engine.types import (
    SPACES,
    CaptionHit,
    CaptionResult,
    Decoding,
    DescribeSpace,
    Filters,
    SearchResult,
    SearchSpace,
)

SOME_FAILED = 1
_TOGETHER = 16
"""Pictures described in one batch: enough to fill a batch, few enough to answer soon."""

_DEFAULT = DescribeOptions()


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command()(caption)
    app.command()(search)
    app.command()(compare)


def caption(
    images: Annotated[
        list[Path], typer.Argument(metavar="IMAGE", parser=named_path, show_default=False)
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
    ] = _DEFAULT.template,
    order: Annotated[Order, typer.Option(help="Order of the captions.")] = _DEFAULT.order,
    candidates: Annotated[
        int, typer.Option("-n", min=1, max=100, help="Descriptions written, to choose from.")
    ] = _DEFAULT.candidates,
    decoding: Annotated[
        Literal["greedy", "beam", "nucleus"], typer.Option(help="How text is drawn.")
    ] = _DEFAULT.decoding.method,
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
    encoder: EncoderOption = "",
    generator: GeneratorOption = "",
    device: DeviceOption = "",
    as_json: JsonOption = False,
) -> None:
    """Describe pictures; those of the collection as if they were new, unless with --own."""
    options = DescribeOptions(
        space=space,
        k=k,
        per_image=per_image,
        template=prompt,
        order=order,
        candidates=candidates,
        decoding=Decoding(decoding),
        diversity=diversity,
        consensus=consensus,
        borrow=borrow,
    )
    settings = settings_for(encoder=encoder, generator=generator, device=device)
    with opened_engine(settings) as engine:
        opened = engine.open(collection)
        captioner = opened.captioner(options)
        failed = _Failed()
        pictures = failed.skip_unreadable(engine, images)
        while batch := list(islice(pictures, _TOGETHER)):
            with waiting("describe"):
                answers = _described(captioner, [picture for _, picture in batch], opened, own)
            for (path, _), result in failed.skip_undescribed(batch, answers):
                if as_json:
                    emit(caption_json(str(path), result))
                else:
                    show_caption(path, result)
    failed.exit_if_any()


def _described(
    captioner: Captioner, pictures: list[Picture], collection: Collection, own: bool
) -> list[CaptionResult | MragError]:
    exclude = collection.excluded([picture.sha256 for picture in pictures], own=own)

    def describe(part: slice) -> list[CaptionResult]:
        images = [picture.image for picture in pictures[part]]
        return captioner.describe(images, exclude=exclude and exclude[part])

    return each_described(describe, len(pictures))


def search(
    text: Annotated[str, typer.Argument(help="What to look for.", show_default=False)] = "",
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
        str,
        typer.Option(
            metavar="ID",
            help="Like this picture of the collection, whose id --json shows.",
            show_default=False,
        ),
    ] = "",
    space: Annotated[
        SearchSpace | None,
        typer.Option(
            help="Where to search. By default raw beside mapped; with --json, mapped.",
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
    encoder: EncoderOption = "",
    device: DeviceOption = "",
    as_json: JsonOption = False,
) -> None:
    """Find pictures by words, by a picture, or by both."""
    filters = Filters(splits=frozenset(split or ()), tags=frozenset(tag or ()))
    spaces: Sequence[SearchSpace] = (space,) if space else ("mapped",) if as_json else SPACES
    with opened_engine(settings_for(encoder=encoder, device=device)) as engine:
        picture = engine.open_picture(image).image if image else None
        query = Query(text, picture, tuple(plus or ()), tuple(minus or ()), like)
        results = engine.open(collection).gallery.search_spaces(
            query,
            spaces,
            k,
            filters=filters,
            offset=offset,
            diversity=diversity,
            min_score=min_score,
        )
    if as_json:
        for result in results:
            emit(search_json(result))
    else:
        show_search(results)


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
    as_json: JsonOption = False,
) -> None:
    """Show the captions nearest to a picture: raw CLIP beside mapped."""
    with opened_engine(settings_for(encoder=encoder, device=device)) as engine:
        opened = engine.open(collection)
        failed = _Failed()
        for path, picture in failed.skip_unreadable(engine, images):
            comparison = opened.compare(picture, k)
            if as_json:
                emit(compare_json(path, comparison))
            else:
                show_comparison(path, comparison)
    failed.exit_if_any()


class _Failed:
    """Counts the pictures that nothing comes of and names each; the others go on."""

    def __init__(self) -> None:
        self._count = 0
        self._any_described = False

    def skip_unreadable(
        self, engine: Engine, paths: Iterable[Path]
    ) -> Iterator[tuple[Path, Picture]]:
        for path in paths:
            try:
                picture = engine.open_picture(path)
            except UnreadableImage as error:
                self._count += 1
                say(f"mrag: {error}")
            else:
                yield path, picture

    def skip_undescribed(
        self, batch: Sequence[tuple[Path, Picture]], answers: Sequence[CaptionResult | MragError]
    ) -> Iterator[tuple[tuple[Path, Picture], CaptionResult]]:
        """The pictures with their descriptions; raises where there is none from the start."""
        errors = [answer for answer in answers if isinstance(answer, MragError)]
        if len(errors) == len(answers) and not self._any_described:
            raise errors[0]
        self._any_described = True
        for given, answer in zip(batch, answers, strict=True):
            if isinstance(answer, MragError):
                self._count += 1
                say(f"mrag: {given[0]}: {answer}")
            else:
                yield given, answer

    def exit_if_any(self) -> None:
        if self._count:
            raise typer.Exit(SOME_FAILED)


def search_json(result: SearchResult) -> dict[str, Any]:
    """The stable JSON form of a search."""
    return {
        "query": result.query,
        "space": result.space,
        "hits": [
            {
                "id": hit.id,
                "uri": hit.uri,
                "score": hit.score,
                "caption": next(iter(hit.captions), ""),
            }
            for hit in result.hits
        ],
        "timings_ms": dict(result.timings_ms),
    }


def compare_json(image: Path, comparison: Comparison[CaptionHit]) -> dict[str, Any]:
    """The stable JSON form of a comparison; `truth` is null where nothing is known to be right."""
    truth = comparison.truth
    return {
        "image": str(image),
        "raw": [caption_hit_json(hit) for hit in comparison.raw],
        "mapped": [caption_hit_json(hit) for hit in comparison.mapped],
        "overlap": comparison.overlap,
        "rbo": comparison.rbo,
        "truth": truth and {"raw": truth.raw, "mapped": truth.mapped, "fitted": truth.fitted},
        "timings_ms": dict(comparison.timings_ms),
    }


def show_caption(image: Path, result: CaptionResult) -> None:
    """Show a description: the caption first, then what it was made of."""
    out = console()
    out.print(plain(short_path(str(image)), "dim"))
    out.print(plain(result.caption, "bold"))
    if len(result.candidates) > 1:
        out.print("  candidates, by likeness to the picture:", style="dim")
        for candidate in sorted(result.candidates, key=lambda c: c.score, reverse=True):
            out.print(f"  {candidate.score:.3f}", plain(candidate.text))
    out.print(f"  retrieved in the {result.space} space:", style="dim")
    for hit in result.retrieved:
        out.print(f"  {hit.score:.3f}", plain(hit.text))
    out.print(milliseconds(result.timings_ms))
    out.print()


def show_search(results: Sequence[SearchResult]) -> None:
    """Show what was found, one column for each space."""
    columns: dict[str, list[tuple[float, str]]] = {
        result.space: [(hit.score, _image_line(hit.uri, hit.captions)) for hit in result.hits]
        for result in results
    }
    out = console()
    out.print(side_by_side(columns, shared=_in_all(columns.values())))
    for result in results:
        if not result.hits:
            say(f"nothing was found in the {result.space} space")
    out.print(milliseconds(results[0].timings_ms))


def show_comparison(image: Path, comparison: Comparison[CaptionHit]) -> None:
    """Show a comparison, raw on the left, mapped on the right."""
    columns = {
        "raw": [(hit.score, hit.text) for hit in comparison.raw],
        "mapped": [(hit.score, hit.text) for hit in comparison.mapped],
    }
    out = console()
    out.print(plain(short_path(str(image)), "dim"))
    out.print(side_by_side(columns, shared=_in_all(columns.values())))
    out.print(f"  overlap {comparison.overlap:.0%}", style="dim")
    out.print()


def _image_line(uri: str, captions: Sequence[str]) -> str:
    path = short_path(uri)
    return f"{path}: {captions[0]}" if captions else path


def _in_all(columns: Iterable[Sequence[tuple[float, str]]]) -> set[str]:
    texts = [{text for _, text in ranked} for ranked in columns]
    return set.intersection(*texts) if len(texts) > 1 else set()
