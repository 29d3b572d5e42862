"""Commands that look: collections, doctor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Annotated

import typer
from rich.table import Table

from cli.options import (
    EncoderOption,
    GeneratorOption,
    JsonOption,
    ProfileOption,
    opened_engine,
    settings_for,
)
from cli.output import console, emit, plain, say
from engine.app import CollectionSummary, Engine
from engine.collection import CollectionFolder
from engine.errors import MragError
from engine.store import store_status
from refine.rounds import standing_rounds

MISSING = 3


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command()(collections)
    app.command()(doctor)


def collections(as_json: JsonOption = False) -> None:
    """List the collections."""
    with opened_engine(settings_for()) as engine:
        names = engine.names()
        store_status(engine.settings)  # a server that is down is told once, not per collection
        summaries = [summary for name in names if (summary := _summary(engine, name))]
        if not names:
            say(f"no collection in {engine.settings.home / 'collections'} yet; try: mrag demo")
    if as_json:
        for summary in summaries:
            emit(summary_json(summary, _rounds(engine.folder(summary.card.name))))
    elif summaries:
        _show(summaries)
        for summary in summaries:
            for told in filter(None, (summary.trouble, summary.waiting)):
                say(f"{summary.card.name}: {told}")
    if len(summaries) < len(names):
        raise typer.Exit(1)


def doctor(
    profile: ProfileOption = "",
    encoder: EncoderOption = "",
    generator: GeneratorOption = "",
    repair: Annotated[
        bool,
        typer.Option(
            "--repair", help="Fetch again what is damaged of the models' files, or not there."
        ),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Say what is installed, found, missing and reachable, and how to get what is missing."""
    from engine.doctor import examine, mend_models

    settings = settings_for(profile=profile, encoder=encoder, generator=generator)
    with opened_engine(settings) as engine:
        mended = mend_models(engine) if repair else []
        checks = [*mended, *examine(engine)]
    out = console()
    for check in checks:
        if as_json:
            emit(asdict(check))
        else:
            style = {"ok": "green", "missing": "bold red", "note": "yellow"}[check.status]
            out.print(f"{check.status:8}", style=style, end="")
            told = f"{check.subject}: {check.detail}".splitlines()
            out.print(plain(" ".join(told)))
    if any(check.status == "missing" for check in checks):
        raise typer.Exit(MISSING)


def _summary(engine: Engine, name: str) -> CollectionSummary | None:
    try:
        return engine.open(name).summary()
    except MragError as error:
        say(f"mrag: {name}: {error}")
        return None


def _rounds(folder: CollectionFolder) -> list[dict[str, object]]:
    """The refinement rounds that stand in a collection."""
    return [
        {"round": one.number, "added": one.added, "metric": one.metric, "after": one.after}
        for one in standing_rounds(folder)
    ]


def summary_json(
    summary: CollectionSummary, rounds: Sequence[Mapping[str, object]] = ()
) -> dict[str, object]:
    """The stable JSON form of a collection's summary."""
    return {
        "collection": summary.card.name,
        "images": summary.images,
        "captions": summary.captions,
        "method": summary.method,
        "encoder": summary.card.encoder_id,
        "dim": summary.card.dim,
        "generator": summary.card.generator,
        "memory": summary.card.memory,
        "path": str(summary.path),
        "rounds": rounds,
        "trouble": summary.trouble,
        "waiting": summary.waiting,
    }


def _show(summaries: list[CollectionSummary]) -> None:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for title in ("collection", "pictures", "captions", "map", "encoder", "folder"):
        table.add_column(title, overflow="fold")
    for summary in summaries:
        table.add_row(
            summary.card.name,
            _count(summary.images),
            _count(summary.captions),
            summary.method or "-",
            plain(summary.card.encoder_id),
            plain(str(summary.path)),
        )
    console().print(table)


def _count(number: int | None) -> str:
    return "?" if number is None else f"{number:,}"
