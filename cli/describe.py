"""The command that writes descriptions out: into tables, sidecars, text files and pictures."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.doors import answering, collection_named, served
from cli.options import (
    CollectionOption,
    DeviceOption,
    EncoderOption,
    GeneratorOption,
    JsonOption,
    LocalOption,
    named_path,
    new_file,
    new_folder,
    opened_engine,
    settings_for,
)
from cli.output import emit, plain, say, short_path
from engine.errors import InvalidInput
from mrag_client.models import MANY, Description
from service.takeaway.packet import Mode
from service.takeaway.sidecars import SidecarName

if TYPE_CHECKING:
    from service.takeaway.describing import Counts
    from service.takeaway.outputs import Output

SOME_FAILED = 1


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command()(describe)
