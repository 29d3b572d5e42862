"""Options that several commands share, and the settings that they make."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from engine.app import Engine, build_engine
from engine.settings import Settings, read_settings

CollectionOption = Annotated[
    str,
    typer.Option(
        "--collection",
        "-c",
        help="The collection; by default MRAG_COLLECTION, or the only one.",
        show_default=False,
    ),
]
CollectionArgument = Annotated[
    str,
    typer.Argument(
        help="The collection; by default MRAG_COLLECTION, or the only one.", show_default=False
    ),
]
LimitOption = Annotated[int | None, typer.Option(min=1, help="Only a sample of so many pictures.")]
JsonOption = Annotated[
    bool, typer.Option("--json", help="One JSON object a line on stdout, all else on stderr.")
]
EncoderOption = Annotated[
    str,
    typer.Option(
        "--encoder",
        help="open_clip MODEL/TAG, hf-hub:NAME or local-dir:FOLDER.",
        show_default=False,
    ),
]
GeneratorOption = Annotated[
    str,
    typer.Option(
        "--generator",
        help="transformers seq2seq name or folder, or `consensus` (no model).",
        show_default=False,
    ),
]
ProfileOption = Annotated[
    str,
    typer.Option(
        "--profile",
        help="Models to use: fast (default), paper, or sample.",
        show_default=False,
    ),
]
DeviceOption = Annotated[
    str, typer.Option("--device", help="auto, cpu, cuda, cuda:N or mps.", show_default=False)
]


def settings_for(**given: str) -> Settings:
    """The settings of the environment, with the options that were given in place of them."""
    return read_settings({name: value for name, value in given.items() if value})


@contextmanager
def opened_engine(settings: Settings) -> Iterator[Engine]:
    """An engine that is closed after the command, whatever happens."""
    engine = build_engine(settings)
    try:
        yield engine
    finally:
        engine.close()
