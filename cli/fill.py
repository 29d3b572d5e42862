"""Commands that make a collection step by step: embed, fit, push, and memory."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import typer

from cli.options import (
    CollectionArgument,
    JsonOption,
    ModelOptions,
    expanded,
    named_path,
    opened_engine,
    settings_for,
)
from cli.output import emit, say, say_lines
from cli.progress import progress_bars
from cli.reports import exit_if_skipped, show_choices, show_ingest
from cli.source import MethodOption, NameOption, SourceOptions, name_after
from corpus.records import Record
from engine.alignment.closed_form import AnyMethod
from engine.app import Engine
from engine.errors import InvalidInput
from ingest import filling, pipeline
from ingest.fit import fit as fit_map
from ingest.memory import COCO, coco_records
from ingest.parts import Part, adopt_parts
from ingest.pipeline import IngestReport, trouble_lines
from ingest.push import push as push_points
from ingest.reporting import alignment_json, embed_json
from ingest.sources import Source
from mrag_client.models import MANY

StrengthOption = Annotated[
    float | None,
    typer.Option(help="Of ridge and shrink; by default chosen.", show_default=False),
]


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    for command in (embed, fit, push, memory):
        app.command()(expanded(command))


def embed(
    *,
    source: SourceOptions,
    part: Annotated[
        str,
        typer.Option(
            help="Only this share of the source, like 3/8: several processes or machines that "
            "share the folder of collections embed at once, the next ingest joins their parts.",
            show_default=False,
        ),
    ] = "",
    models: ModelOptions,
    as_json: JsonOption = False,
) -> None:
    """Embed a source and no more; `mrag fit` and `mrag push` make the rest of an ingest."""
    name, records = source.name(), source.records()
    share = Part.parse(part) if part else None
    settings = models.settings()
    with opened_engine(settings) as engine, progress_bars() as on_progress:
        encoder_spec, generator_spec = filling.specs(engine, name, source.memory)
        report = pipeline.embed_only(
            records,
            name=name,
            encoder=engine.models.encoder(encoder_spec),
            encoder_spec=encoder_spec,
            generator_spec=generator_spec,
            settings=settings,
            memory=source.memory,
            part=share,
            source=source.known(),
            on_progress=on_progress,
        )
    if as_json:
        emit({"collection": name, **embed_json(report)})
    else:
        for line in pipeline.embed_lines(report):
            say(line)
    exit_if_skipped(report, engine.folder(name))


def fit(
    collection: CollectionArgument = "",
    method: MethodOption = "auto",
    strength: StrengthOption = None,
    alignment: Annotated[
        str, typer.Option(help="Take the map of this collection instead.", show_default=False)
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """Fit a collection's map again; `mrag push` then brings the index level with it."""
    with opened_engine(settings_for()) as engine, progress_bars() as on_progress:
        opened = engine.open(collection)
        adopt_parts(opened.folder, on_progress)
        found = fit_map(
            opened.folder,
            opened.card,
            method=method,
            strength=strength,
            other=alignment,
            on_progress=on_progress,
        )
        name = opened.card.name
    if as_json:
        emit({"collection": name, **alignment_json(found)})
        return
    show_choices(found)
    say(f"{found.method}: {found.reason}")
    say(f"now: mrag push {name}")


def push(
    collection: CollectionArgument = "",
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="Write the whole index anew, whatever it holds.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Bring a collection's index level with its embeddings and its map."""
    settings = settings_for()
    with opened_engine(settings) as engine, progress_bars() as on_progress:
        opened = engine.open(collection)
        report = push_points(
            opened.folder, opened.card, settings, rebuild=rebuild, on_progress=on_progress
        )
        name = opened.card.name
    if as_json:
        emit({"collection": name, **asdict(report)})
    else:
        say(
            f"wrote {report.images:,} pictures and {report.captions:,} captions, "
            f"deleted {report.deleted:,} points ({report.seconds:.1f} s)"
        )
        for line in trouble_lines(report):
            say(line)


def memory(
    *,
    kind: Annotated[
        Literal["coco", ""],
        typer.Argument(help="coco: the captions of COCO 2017.", show_default=False),
    ] = "",
    collection: NameOption = "",
    captions: Annotated[
        Path | None,
        typer.Option(help="A file of captions instead.", parser=named_path, show_default=False),
    ] = None,
    copy: Annotated[
        Path | None,
        typer.Option(
            "--from",
            help="Folder with a copy of COCO: no network is used.",
            parser=named_path,
            show_default=False,
        ),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=MANY,
            help="Only so many captions: of COCO besides the pairs.",
            show_default=False,
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before fetching.")] = False,
    method: MethodOption = "auto",
    models: ModelOptions,
    as_json: JsonOption = False,
) -> None:
    """Make a memory: captions that describe the pictures of other collections."""
    if bool(kind) == (captions is not None):
        raise InvalidInput("name one memory: `mrag memory coco`, or --captions FILE")
    settings = models.settings()
    name = collection or (kind or name_after(captions or Path()))
    source = Source(COCO.name, "public", name=COCO.name)
    records: Iterable[Record] | None = None
    if captions:
        source = Source(str(captions.absolute()), limit=limit, captions_only=True)
        records = source.records()
    with opened_engine(settings) as engine:
        if records is None:
            # The models come first: a gigabyte is not fetched for an encoder that is missing.
            engine.models.encoder(filling.specs(engine, name)[0])
            records = _coco(engine, copy, limit, yes)
        report = fill(engine, records, name, source=source, method=method)
        show_ingest(engine.folder(name), report, as_json)
        say(f"describe pictures from it with: mrag ingest FOLDER --memory {name}")


def _coco(engine: Engine, copy: Path | None, limit: int | None, yes: bool) -> Iterable[Record]:
    if copy is None:
        say_lines(COCO.announcement())
        if not yes and sys.stdin.isatty():
            typer.confirm("Fetch it?", abort=True, err=True)
    with progress_bars() as on_progress:
        return coco_records(
            engine.settings.home, from_folder=copy, limit=limit, on_progress=on_progress
        )


def fill(
    engine: Engine,
    records: Iterable[Record],
    name: str,
    *,
    source: Source,
    memory: str = "",
    alignment: str = "",
    method: AnyMethod = "auto",
) -> IngestReport:
    """Bring records into a collection, with progress on stderr."""
    with progress_bars() as on_progress:
        return filling.fill(
            engine,
            records,
            name,
            models=filling.specs(engine, name, memory),
            memory=memory,
            alignment=alignment,
            method=method,
            source=source,
            on_progress=on_progress,
        )
