"""Commands that fill a collection in one go, and delete one: ingest, delete."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from cli.doors import answering, asked, error_named, served
from cli.options import JsonOption, LocalOption, ModelOptions, expanded, opened_engine
from cli.output import emit, say, say_lines
from cli.reports import exit_if_told_skipped, show_ingest
from cli.source import MethodOption, SourceOptions
from engine.collection import CollectionFolder
from engine.errors import InvalidInput, Missing, MragError
from engine.progress import Progress
from mrag_client.models import IngestOptions, JobAnswer, JobProgress, MapMethod
from mrag_client.presence import home_of_user

if TYPE_CHECKING:  # httpx is loaded where a server runs
    from mrag_client.client import Client


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    for command in (ingest, delete):
        app.command()(expanded(command))


def ingest(
    *,
    source: SourceOptions,
    alignment: Annotated[
        str, typer.Option(help="Collection whose map is used.", show_default=False)
    ] = "",
    method: MethodOption = "auto",
    models: ModelOptions,
    local: LocalOption = False,
    as_json: JsonOption = False,
) -> None:
    """Fill a collection: embed, fit the map, push, and describe what has no caption."""
    name = source.name()
    with served(local=local, **asdict(models)) as client:
        if client is not None:
            _ingest_there(client, name, source, alignment, method, as_json)
            return
    _ingest_here(name, source, alignment, method, models, as_json)


def delete(
    name: Annotated[str, typer.Argument(help="The collection.", show_default=False)],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    local: LocalOption = False,
) -> None:
    """Delete a collection; your pictures stay where they are."""
    folder = CollectionFolder(home_of_user(), name)
    with answering(local=local) as answers:
        if not folder.path.is_dir():
            folder.read_card()  # says so
        if not yes:
            folder.read_card()
            if not sys.stdin.isatty():
                raise InvalidInput(f"nobody is here to ask; say so with: mrag delete {name} --yes")
            typer.confirm(f"Delete collection {name} for good?", abort=True, err=True)
        answers.delete(name)
    say(f"deleted {name}")


def _ingest_here(
    name: str,
    source: SourceOptions,
    alignment: str,
    method: MapMethod,
    models: ModelOptions,
    as_json: bool,
) -> None:
    from cli.fill import fill

    records = source.records()
    with opened_engine(models.settings()) as engine:
        report = fill(
            engine,
            records,
            name,
            source=source.known(),
            memory=source.memory,
            alignment=alignment,
            method=method,
        )
        show_ingest(engine.folder(name), report, as_json)


def _ingest_there(
    client: Client,
    name: str,
    source: SourceOptions,
    alignment: str,
    method: MapMethod,
    as_json: bool,
) -> None:
    """Have the server fill the collection, and show what it does as if it were done here."""
    folder = CollectionFolder(home_of_user(), name)
    if source.images is None and source.source.is_file():
        source.pictures_found()
    options = asked(
        IngestOptions,
        memory=source.memory,
        alignment=alignment,
        method=method,
        images=str(source.images.absolute()) if source.images else "",
        splits=source.split or (),
        limit=source.limit,
        image_column=source.image_column,
        caption_column=source.caption_column,
        started=source.started,
    )
    job = followed(client, client.ingest(name, source.source.absolute(), options))
    result = dict(job.result or {})
    if as_json:
        emit(result)
    say_lines(f"{name}: {job.message}")
    skipped = result.get("skipped")
    exit_if_told_skipped(
        skipped if isinstance(skipped, Mapping) else {}, folder.skipped, job.message
    )


def followed(client: Client, begun: JobAnswer) -> JobAnswer:
    """The job when it is done; whoever stops the command stops it, too. Raises what ended it."""
    from cli.progress import progress_bars

    now = begun
    try:
        with progress_bars() as show:
            for now in client.events(begun.id):
                for step in _steps(now):
                    show(step)
    except KeyboardInterrupt:
        client.cancel(begun.id)
        say("the server was told to stop, too")
        raise
    if now.state != "done":
        raise _unfinished(now)
    return now


def _steps(job: JobAnswer) -> Iterator[Progress]:
    if job.state == "waiting":
        yield Progress("wait for other ingests", 0)
    elif job.progress is not None:
        yield _step(job.progress)


def _step(told: JobProgress) -> Progress:
    """Progress as it is shown here: counted in what it reads like."""
    steps = [Progress(told.stage, told.done, told.total, unit) for unit in ("", "seconds", "bytes")]
    return next((one for one in steps if told.amount in {"", one.amount}), steps[-1])


def _unfinished(job: JobAnswer) -> MragError:
    """Why a job that has ended is not done."""
    if job.state == "failed":
        return error_named(job.error, job.message) or Missing(job.message)
    again = "the same command goes on from there"
    if job.state == "cancelled":
        return InvalidInput(f"somebody cancelled this {job.kind} on the server; {again}")
    return Missing(f"the server ended before this {job.kind} was done; {again}")
