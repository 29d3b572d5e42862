"""What filling did, for people and for programs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from cli.output import console, emit, say, say_lines
from engine.legible import legible

if TYPE_CHECKING:  # of a server's ingest only its counts are read
    from engine.alignment.alignment import Alignment
    from engine.collection import CollectionFolder
    from ingest.embed import EmbedReport
    from ingest.pipeline import IngestReport

SOME_FAILED = 1


def show_ingest(folder: CollectionFolder, report: IngestReport, as_json: bool) -> None:
    """Show an ingest; ends the command with 1 if some inputs failed."""
    from ingest.reporting import ingest_json

    if as_json:
        emit(ingest_json(folder.name, report))
    say_lines(f"{folder.name}: {report.text}")
    exit_if_skipped(report.embed, folder)


def show_choices(alignment: Alignment) -> None:
    """Show the table that `auto` chose from, of each method the best strengths."""
    from rich.table import Table

    from engine.alignment.cross_validation import best_of_each

    best = best_of_each(alignment.choices)
    if not best:
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    titles = ("method", "strength", "hubs off", "held-out MRR", "below the best", "standard error")
    for title in titles:
        table.add_column(title, justify="left" if title == "method" else "right")
    for choice in best:
        table.add_row(
            choice.method,
            *choice.shown(),
            style="bold" if choice.chosen else None,
        )
    console().print(table)


def exit_if_skipped(report: EmbedReport, folder: CollectionFolder) -> None:
    """End the command with 1 if inputs failed; a duplicate is no failure."""
    _exit_if_skipped(report.skipped, folder.skipped, len(report.examples))


def exit_if_told_skipped(skipped: Mapping[str, int], log: Path, told: str) -> None:
    """The same of an ingest whose report is text: the first lines of its log are named there."""
    lines = set(told.splitlines())
    try:
        with log.open(encoding="utf-8") as written:
            rows = [json.loads(line) for line in written]
    except (OSError, ValueError):
        rows = []
    named = [legible(f"  {row['uri']}: {row['reason']}") in lines for row in rows]
    _exit_if_skipped(skipped, log, sum(named))


def _exit_if_skipped(skipped: Mapping[str, int], log: Path, named: int) -> None:
    failed = sum(count for kind, count in skipped.items() if kind != "duplicate")
    if not failed:
        return
    # The report has named the first few.
    with log.open(encoding="utf-8") as lines:
        for line in map(json.loads, islice(lines, named, None)):
            if line["kind"] != "duplicate":
                say(f"  {line['uri']}: {line['reason']}")
    say(f"{failed:,} inputs failed; each is named in {log}")
    raise typer.Exit(SOME_FAILED)
