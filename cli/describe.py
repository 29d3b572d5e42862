"""The command that writes descriptions out: into tables, sidecars, text files and pictures."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.doors import answering, asked, collection_named, served
from cli.ingest import followed
from cli.options import (
    CollectionOption,
    DeviceOption,
    EncoderOption,
    GeneratorOption,
    JsonOption,
    LocalOption,
    RerankerOption,
    RerankOption,
    RerankSecondsOption,
    RerankTopOption,
    named_path,
    new_file,
    new_folder,
    opened_engine,
    settings_for,
)
from cli.outline import VideoDescriber, show_part
from cli.output import emit, say, say_lines, short_path
from cli.progress import progress_bars
from engine.collection import CollectionFolder
from engine.errors import InvalidInput, SourceError
from engine.legible import legible
from engine.video.address import is_video
from mrag_client.models import MANY, CaptionOptions, Description, OutlineOptions
from mrag_client.presence import home_of_user
from service.takeaway.describing import Counts, Takeaway
from service.takeaway.embedding import InFiles
from service.takeaway.following import follow
from service.takeaway.outputs import Output
from service.takeaway.packet import Mode
from service.takeaway.pictures import pictures_of
from service.takeaway.sidecars import SidecarName, TextSidecars, XmpSidecars
from service.takeaway.subtitles import SubtitleFiles
from service.takeaway.tables import TableFile

if TYPE_CHECKING:  # httpx is loaded where a server runs
    from mrag_client.client import Client

SOME_FAILED = 1
_DEFAULT = CaptionOptions()


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command()(describe)


def describe(
    sources: Annotated[
        list[Path] | None,
        typer.Argument(metavar="FOLDER|FILE", parser=named_path, show_default=False),
    ] = None,
    collection: CollectionOption = "",
    out: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="Into one file: .jsonl, .csv or .parquet; may be repeated.",
            parser=new_file,
            show_default=False,
        ),
    ] = None,
    xmp: Annotated[bool, typer.Option("--xmp", help="Into photo.jpg.xmp beside each.")] = False,
    txt: Annotated[bool, typer.Option("--txt", help="Into photo.txt beside each.")] = False,
    vtt: Annotated[
        bool, typer.Option("--vtt", help="Of videos, shot by shot into trip.vtt beside each.")
    ] = False,
    srt: Annotated[bool, typer.Option("--srt", help="The same into trip.srt.")] = False,
    embed: Annotated[
        bool, typer.Option("--embed", help="Into the pictures; keeps photo.jpg_original.")
    ] = False,
    embed_to: Annotated[
        Path | None,
        typer.Option(
            help="Into copies of the pictures in this folder.",
            parser=new_folder,
            show_default=False,
        ),
    ] = None,
    sidecar_name: Annotated[
        SidecarName, typer.Option(help="full: photo.jpg.xmp; adobe: photo.xmp.")
    ] = "full",
    mode: Annotated[
        Mode,
        typer.Option(
            help="skip: pictures that are described there stay as they are; append: what is "
            "missing is added; overwrite: what people wrote is replaced, too."
        ),
    ] = "skip",
    watch: Annotated[
        bool, typer.Option("--watch", help="Go on with pictures that come, until Ctrl-C.")
    ] = False,
    poll: Annotated[
        float | None,
        typer.Option(
            min=0.1, max=MANY, help="With --watch: look every so many seconds.", show_default=False
        ),
    ] = None,
    again: Annotated[
        bool,
        typer.Option(
            "--again",
            help="Describe pictures of the collection again that were described with another "
            "map, memory or generator.",
        ),
    ] = False,
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
    """Write descriptions of pictures into tables, sidecars, text files or the pictures.

    Of videos into subtitles, shot by shot.
    """
    models = {"encoder": encoder, "generator": generator, "reranker": reranker, "device": device}
    options = asked(
        OutlineOptions, rerank=rerank, rerank_top=rerank_top, rerank_seconds=rerank_seconds
    )
    if again:
        others = (sources, out, xmp, txt, vtt, srt, embed, embed_to, watch, rerank != "off")
        if any(others):
            raise InvalidInput("--again is about the collection's own pictures; give it alone")
        describe_again(collection_named(collection), models, local=local, as_json=as_json)
        return
    if not sources:
        raise InvalidInput("name folders or pictures to describe; or give --again")
    if poll is not None and not watch:
        raise InvalidInput("--poll says how --watch looks; give --watch, too")
    outputs = _outputs(sources, mode, sidecar_name, out or (), xmp, txt, embed, embed_to)
    subtitles = [SubtitleFiles(kind, mode) for kind, on in (("vtt", vtt), ("srt", srt)) if on]
    show = _nothing if outputs else _printer(as_json)
    with answering(local=local, **models) as answers, progress_bars() as on_progress:
        takeaway = Takeaway(
            answers,
            outputs,
            collection=collection_named(collection),
            options=CaptionOptions(**options.model_dump(include=set(CaptionOptions.model_fields))),
            tell=_failed,
            show=show,
        )

        films = VideoDescriber(
            answers,
            subtitles,
            options,
            collection=collection_named(collection),
            show=partial(show_part, as_json=as_json),
        )

        def find(paths: Iterable[Path]) -> list[Path]:
            found = list(pictures_of(paths, takeaway.fail, without=embed_to))
            videos = [one for one in found if is_video(one)]
            if subtitles or not outputs:
                films.run(videos, on_progress)
            elif videos:
                say(f"left out {len(videos):,} videos: --vtt and --srt are for those")
            only_films = bool(subtitles) and not outputs
            return [] if only_films else [one for one in found if not is_video(one)]

        with _ended(outputs, watch=watch):
            if watch:
                say("goes on with pictures that come; end it with Ctrl-C")
                follow(takeaway, sources, find, poll=poll, on_progress=on_progress)
            else:
                takeaway.run(find(sources), on_progress)
    counts = films.added_to(takeaway.counts)
    if not (counts.all or watch):
        raise SourceError("there are no pictures in what was named; name a folder that has some")
    _tell(counts, as_json=as_json and bool(outputs or subtitles))


def _outputs(
    sources: Sequence[Path],
    mode: Mode,
    named: SidecarName,
    out: Sequence[Path],
    xmp: bool,
    txt: bool,
    embed: bool,
    embed_to: Path | None,
) -> list[Output]:
    """What descriptions are written into, all of it checked before anything is described."""
    if named != "full" and not xmp:
        raise InvalidInput("--sidecar-name names XMP sidecars; give --xmp, too")
    if embed and embed_to:
        raise InvalidInput("give --embed or --embed-to: into the pictures, or into copies of them")
    tables = {os.path.realpath(one): one for one in out}.values()
    outputs: list[Output] = [TableFile(one, mode) for one in tables]
    if xmp:
        outputs.append(XmpSidecars(mode, named))
    if txt:
        outputs.append(TextSidecars(mode))
    if embed or embed_to:
        outputs.append(InFiles(mode, embed_to, [one for one in sources if one.is_dir()]))
    return outputs


@contextmanager
def _ended(outputs: Sequence[Output], *, watch: bool) -> Iterator[None]:
    """Whatever happens inside, what was written is ended; Ctrl-C is how a watch ends."""
    done = watch
    try:
        yield
        done = True
    except KeyboardInterrupt:
        if not watch:
            raise
    finally:
        for output in outputs:
            output.close(done=done)


def _printer(as_json: bool) -> Callable[[Description], None]:
    """Shows each description on stdout, which is no longer its own while bars are drawn."""
    own = sys.stdout

    def show(told: Description) -> None:
        out = sys.stdout if own.isatty() else own
        if as_json:
            emit(told.model_dump(mode="json"), out)
        else:
            out.write(f"{legible(short_path(told.image))}: {legible(told.caption)}\n")
            out.flush()

    return show


def _nothing(told: Description) -> None:
    del told


def _failed(picture: Path, reason: str) -> None:
    say(f"mrag: {short_path(str(picture))}: {reason}")


def _tell(counts: Counts, *, as_json: bool) -> None:
    """Say what was done; ends with 1 where some failed."""
    if as_json:
        emit(asdict(counts))
    left_out = f", {counts.left_out:,} left out, as they are described" if counts.left_out else ""
    failed = f", {counts.failed:,} failed" if counts.failed else ""
    say(f"described {counts.described:,}{left_out}{failed}")
    if counts.failed:
        raise typer.Exit(SOME_FAILED)


def describe_again(name: str, models: Mapping[str, str], *, local: bool, as_json: bool) -> None:
    """Describe a collection's pictures again, here or by the server of this home."""
    with served(local=local, **models) as client:
        if client is not None:
            name = name or _only_name(client)
            CollectionFolder(home_of_user(), name).read_card()  # says so where there is none
            job = followed(client, client.describe_again(name))
            _tell_again(dict(job.result or {}), job.message, as_json)
            return
    from ingest.again import describe_again as describe_stale
    from ingest.reporting import again_json

    with opened_engine(settings_for(**models)) as engine, progress_bars() as on_progress:
        name = engine.open(name).card.name
        report = describe_stale(engine, name, on_progress=on_progress)
    _tell_again(again_json(name, report), report.text, as_json)


def _tell_again(result: Mapping[str, Any], text: str, as_json: bool) -> None:
    if as_json:
        emit(result)
    else:
        say_lines(text)
    if result.get("failed"):
        raise typer.Exit(SOME_FAILED)


def _only_name(client: Client) -> str:
    names = [one.collection for one in client.collections()]
    if len(names) != 1:
        raise InvalidInput(f"there are {len(names)} collections; name one with --collection NAME")
    return names[0]
