"""A source that fills a collection, as options of the commands that take one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.options import named_path
from cli.output import say
from engine.errors import InvalidInput
from mrag_client.models import MANY, MapMethod

if TYPE_CHECKING:  # the readers are loaded where something is read
    from corpus.records import Record
    from ingest.sources import Source

SourceArgument = Annotated[
    Path,
    typer.Argument(
        help="A folder of pictures and videos, a video, captions in COCO's or Karpathy's JSON, a "
        "table (.csv, .tsv, .jsonl, .json) with columns for picture and caption, or a .txt file of "
        "captions, one a line.",
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


StartedOption = Annotated[
    str,
    typer.Option(
        metavar="TIME",
        help="When a video began, like 2024-05-01T09:00; by default as its file says.",
        show_default=False,
    ),
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
    started: StartedOption = ""

    def name(self) -> str:
        """The collection to fill."""
        return self.collection or name_after(self.source)

    def records(self) -> Iterator[Record]:
        """What the source holds of what is wanted; says where its pictures were found."""
        from ingest.readers import open_source

        images = self.images or self.pictures_found()
        return open_source(
            self.source,
            images=images,
            split=frozenset(self.split or ()),
            limit=self.limit,
            image_column=self.image_column,
            caption_column=self.caption_column,
            started=self.started,
        )

    def known(self) -> Source:
        """The source as its collection knows it from now on."""
        from ingest.sources import Source

        return Source(
            str(self.source.absolute()),
            images=str(self.images.absolute()) if self.images else "",
            splits=tuple(self.split or ()),
            limit=self.limit,
            image_column=self.image_column,
            caption_column=self.caption_column,
            started=self.started,
        )

    def pictures_found(self) -> Path | None:
        """Where the pictures that a file lists were found near it, which is said."""
        from ingest.readers import pictures_of

        found = pictures_of(self.source)
        if found is not None:
            say(f"its pictures lie in {found}")
        return found


MethodOption = Annotated[
    MapMethod, typer.Option(help="How the map is fitted; auto chooses on held-out pairs.")
]


def name_after(source: Path) -> str:
    """A collection name made of the source's own."""
    name = re.sub(r"[^a-z0-9]+", "-", source.resolve().stem.lower()).strip("-")[:63]
    if not name:
        raise InvalidInput(f"{source} gives no collection name; name one with --collection NAME")
    return name
