"""Commands that look: collections, doctor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated

import typer

from cli.doors import answering
from cli.options import (
    AnswererOption,
    EncoderOption,
    GeneratorOption,
    JsonOption,
    LocalOption,
    ProfileOption,
    RerankerOption,
    opened_engine,
    settings_for,
)
from cli.output import console, emit, plain, say
from mrag_client.models import CollectionAnswer
from mrag_client.presence import home_of_user

SOME_FAILED = 1
MISSING = 3


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command()(collections)
    app.command()(doctor)


def collections(local: LocalOption = False, as_json: JsonOption = False) -> None:
    """List the collections."""
    with answering(local=local) as answers:
        known = answers.collections()
    whole = [one for one in known if not one.broken]
    for one in known:
        if one.broken:
            say(f"mrag: {one.collection}: {one.trouble}")
    if not known:
        say(f"no collection in {home_of_user() / 'collections'} yet; try: mrag demo")
    if as_json:
        for one in whole:
            emit(one.model_dump(mode="json"))
    elif whole:
        _show(whole)
        for one in whole:
            for told in filter(None, (one.trouble, one.waiting)):
                say(f"{one.collection}: {told}")
    if len(whole) < len(known):
        raise typer.Exit(SOME_FAILED)


def doctor(
    profile: ProfileOption = "",
    encoder: EncoderOption = "",
    generator: GeneratorOption = "",
    reranker: RerankerOption = "",
    answerer: AnswererOption = "",
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

    settings = settings_for(
        profile=profile,
        encoder=encoder,
        generator=generator,
        reranker=reranker,
        answerer=answerer,
    )
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


def _show(known: Sequence[CollectionAnswer]) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for title in ("collection", "pictures", "captions", "map", "encoder", "folder", "sources"):
        table.add_column(title, overflow="fold")
    for one in known:
        table.add_row(
            one.collection,
            _count(one.images),
            _count(one.captions),
            one.method or "-",
            plain(one.encoder),
            plain(one.path),
            plain(", ".join(source.path or source.name for source in one.sources) or "-"),
        )
    console().print(table)


def _count(number: int | None) -> str:
    return "?" if number is None else f"{number:,}"
