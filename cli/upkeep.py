"""Commands that look after a collection: compact, verify, migrate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated

import typer

from cli.options import CollectionArgument, JsonOption, opened_engine, settings_for
from cli.output import emit, say
from cli.progress import progress_bars
from corpus.compaction import compact as compact_shards
from corpus.migration import migrate as migrate_collection
from corpus.migration import needs_migration
from corpus.verification import Finding
from engine.app import Engine
from engine.errors import IncompatibleIndex, MragError
from engine.store import open_caption_store, open_image_store
from engine.store.generations import current
from ingest.pipeline import pushed_commit, trouble_lines
from ingest.push import push
from ingest.verify import mend as mend_collection
from ingest.verify import verify as verify_collection

_FOUND = 1


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    for command in (compact, verify, migrate):
        app.command()(command)


def compact(collection: CollectionArgument = "", as_json: JsonOption = False) -> None:
    """Let go of what has been superseded; an ingest does so by itself when it is a third."""
    with opened_engine(settings_for()) as engine, progress_bars() as on_progress:
        folder = engine.open(collection).folder
        report = compact_shards(folder, pushed=pushed_commit(folder), on_progress=on_progress)
    if as_json:
        emit({"collection": folder.name, **asdict(report)})
    else:
        say(
            f"let go of {report.rows_dropped:,} rows: {report.bytes_before:,} -> "
            f"{report.bytes_after:,} bytes, {report.shards_before:,} -> {report.shards_after:,} "
            "shards"
        )


def verify(
    collection: CollectionArgument = "",
    mend: Annotated[
        bool, typer.Option("--mend", help="Set damaged shards aside, make the rest anew.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Hold a collection's shards, ledger, index and map against each other.

    Ends with 1 where anything is wrong, and says what mends it.
    """
    settings = settings_for()
    with opened_engine(settings) as engine, progress_bars() as on_progress:
        opened = engine.open(collection)
        folder, card = opened.folder, opened.card
        findings = verify_collection(folder, card, settings, on_progress)
        if mend and not all(finding.ok for finding in findings):
            _show(findings, as_json)
            for line in mend_collection(folder, card, settings, on_progress):
                say(line)
            findings = verify_collection(folder, card, settings, on_progress)
    _show(findings, as_json)
    if not all(finding.ok for finding in findings):
        raise typer.Exit(_FOUND)


def _show(findings: Sequence[Finding], as_json: bool) -> None:
    for finding in findings:
        if as_json:
            emit({**asdict(finding), "ok": finding.ok})
        elif finding.ok:
            say(f"ok       {finding.subject}: {finding.detail}")
        else:
            say(f"wrong    {finding.subject}: {finding.detail}; mend it with: {finding.remedy}")


def migrate(
    collection: Annotated[
        str, typer.Argument(help="The collection; by default all.", show_default=False)
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """Bring over what an earlier version made, indexes too; an ingest does so by itself."""
    with opened_engine(settings_for()) as engine:
        if collection and not engine.folder(collection).exists():
            engine.open(collection)  # says so
        names = [collection] if collection else engine.names()
        old = [name for name in names if needs_migration(engine.folder(name))]
        for name in old:
            _migrate(engine, name)
        old += [name for name in names if name not in old and not _is_read(engine, name)]
        # Only now: the index of one that borrows captions is written with its memory's map.
        for name in old:
            _push(engine, name)
    if as_json:
        emit({"migrated": old})
    elif not old:
        say("nothing to bring over: this version reads all collections and their indexes")


def _migrate(engine: Engine, name: str) -> None:
    with progress_bars() as on_progress:
        report = migrate_collection(engine.folder(name), on_progress)
    say(
        f"{name}: brought over {report.pictures:,} pictures, {report.captions:,} captions, "
        f"{report.described:,} descriptions and {report.rounds:,} refinement rounds"
    )
    for told in report.left_out:
        say(f"  left out {told}")


def _is_read(engine: Engine, name: str) -> bool:
    """Whether the index is one that this version reads; what else may be wrong is for `verify`."""
    folder = engine.folder(name)
    try:
        card, answers = folder.read_card(), current(folder)
    except MragError:
        return True
    if answers is None:
        return True
    for opened in (open_image_store, open_caption_store):
        try:
            opened(folder, card, engine.settings, number=answers.number).close()
        except IncompatibleIndex:
            return False
        except MragError:
            return True
    return True


def _push(engine: Engine, name: str) -> None:
    folder = engine.folder(name)
    if not folder.alignment.is_file():
        return
    with progress_bars() as on_progress:
        report = push(folder, folder.read_card(), engine.settings, on_progress=on_progress)
    say(f"{name}: wrote its index, {report.points:,} points")
    for line in trouble_lines(report):
        say(line)
