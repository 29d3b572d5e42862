"""Commands that fill, and the one that deletes: ingest, embed, fit, push, memory, delete."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Literal

import typer

from cli.options import (
    MANY,
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
from corpus.records import Record
from engine.alignment.closed_form import AnyMethod
from engine.app import Engine
from engine.errors import InvalidInput
from ingest import filling, pipeline
from ingest.delete import delete as delete_collection
from ingest.fit import fit as fit_map
from ingest.memory import COCO, coco_records
from ingest.parts import Part, adopt_parts
from ingest.pipeline import IngestReport, trouble_lines
from ingest.push import push as push_points
from ingest.readers import open_captions, open_source, pictures_of
from ingest.readers.detect import KINDS
from ingest.reporting import alignment_json, embed_json

SourceArgument = Annotated[
    Path,
    typer.Argument(
        help=f"{KINDS[0].upper()}{KINDS[1:]}.",
        parser=named_path,
        show_default=False,
    ),
]
NameOption = Annotated[
    str,
    typer.Option(
        "--collection",
        "-c",
        help="The collection to fill; by default named after the source.",
        show_default=False,
    ),
]
ImagesOption = Annotated[
    Path | None,
    typer.Option(
        help="Folder that a file's pictures lie in.", parser=named_path, show_default=False
    ),
]
SplitOption = Annotated[
    list[str] | None,
    typer.Option("--split", help="Only these splits (repeatable).", show_default=False),
]
LimitOption = Annotated[
    int | None, typer.Option(min=1, max=MANY, help="Only so many pictures.", show_default=False)
]
ImageColumnOption = Annotated[
    str, typer.Option(help="Column of picture paths in a table.", show_default=False)
]
CaptionColumnOption = Annotated[
    str, typer.Option(help="Column of captions in a table.", show_default=False)
]
MemoryOption = Annotated[
    str,
    typer.Option(help="Collection whose captions describe these pictures.", show_default=False),
]


@dataclass(frozen=True)
class SourceOptions:
    """A source, what of it is taken, and what it fills."""

    source: SourceArgument
    collection: NameOption = ""
    images: ImagesOption = None
    split: SplitOption = None
    limit: LimitOption = None
    image_column: ImageColumnOption = ""
    caption_column: CaptionColumnOption = ""
    memory: MemoryOption = ""

    def name(self) -> str:
        """The collection to fill."""
        return self.collection or name_after(self.source)

    def records(self) -> Iterator[Record]:
        """What the source holds of what is wanted; says where its pictures were found."""
        images = self.images or pictures_of(self.source)
        if images is not None and self.images is None:
            say(f"its pictures lie in {images}")
        return open_source(
            self.source,
            images=images,
            split=frozenset(self.split or ()),
            limit=self.limit,
            image_column=self.image_column,
            caption_column=self.caption_column,
        )


MethodOption = Annotated[
    AnyMethod, typer.Option(help="How the map is fitted; auto chooses on held-out pairs.")
]
StrengthOption = Annotated[
    float | None,
    typer.Option(help="Of ridge and shrink; by default chosen.", show_default=False),
]


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    for command in (ingest, embed, fit, push, memory, delete):
        app.command()(expanded(command))


def ingest(
    *,
    source: SourceOptions,
    alignment: Annotated[
        str, typer.Option(help="Collection whose map is used.", show_default=False)
    ] = "",
    method: MethodOption = "auto",
    models: ModelOptions,
    as_json: JsonOption = False,
) -> None:
    """Fill a collection: embed, fit the map, push, and describe what has no caption."""
    name, records = source.name(), source.records()
    settings = models.settings()
    with opened_engine(settings) as engine:
        report = fill(
            engine, records, name, memory=source.memory, alignment=alignment, method=method
        )
        show_ingest(engine.folder(name), report, as_json)


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
    records: Iterable[Record] | None = open_captions(captions, limit=limit) if captions else None
    with opened_engine(settings) as engine:
        if records is None:
            # The models come first: a gigabyte is not fetched for an encoder that is missing.
            engine.models.encoder(filling.specs(engine, name)[0])
            records = _coco(engine, copy, limit, yes)
        report = fill(engine, records, name, method=method)
        show_ingest(engine.folder(name), report, as_json)
        say(f"describe pictures from it with: mrag ingest FOLDER --memory {name}")


def delete(
    name: Annotated[str, typer.Argument(help="The collection.", show_default=False)],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Delete a collection; your pictures stay where they are."""
    with opened_engine(settings_for()) as engine:
        if not yes:
            engine.folder(name).read_card()
            if not sys.stdin.isatty():
                raise InvalidInput(f"nobody is here to ask; say so with: mrag delete {name} --yes")
            typer.confirm(f"Delete collection {name} for good?", abort=True, err=True)
        delete_collection(engine, name)
    say(f"deleted {name}")


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
            on_progress=on_progress,
        )


def name_after(source: Path) -> str:
    """A collection name made of the source's own."""
    name = re.sub(r"[^a-z0-9]+", "-", source.resolve().stem.lower()).strip("-")[:63]
    if not name:
        raise InvalidInput(f"{source} gives no collection name; name one with --collection NAME")
    return name
