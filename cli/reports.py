"""What filling did, for people and for programs."""

from __future__ import annotations

import json
from itertools import islice

import typer
from rich.table import Table

from cli.output import console, emit, say, say_lines
from engine.alignment.alignment import Alignment
from engine.alignment.cross_validation import best_of_each
from engine.collection import CollectionFolder
from ingest.embed import EmbedReport
from ingest.pipeline import IngestReport
from ingest.reporting import ingest_json

SOME_FAILED = 1


def show_ingest(folder: CollectionFolder, report: IngestReport, as_json: bool) -> None:
    """Show an ingest; ends the command with 1 if some inputs failed."""
    if as_json:
        emit(ingest_json(folder.name, report))
    say_lines(f"{folder.name}: {report.text}")
    exit_if_skipped(report.embed, folder)


def show_choices(alignment: Alignment) -> None:
    """Show the table that `auto` chose from, the best strength of each method."""
    best = best_of_each(alignment.choices)
    if not best:
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for title in ("method", "strength", "held-out MRR", "below the best", "standard error"):
        table.add_column(title, justify="left" if title == "method" else "right")
    for choice in best:
        table.add_row(
            choice.method,
            *choice.shown(),
            style="bold" if choice.method == alignment.method else None,
        )
    console().print(table)


def exit_if_skipped(report: EmbedReport, folder: CollectionFolder) -> None:
    """End the command with 1 if inputs failed; a duplicate is no failure."""
    failed = sum(count for kind, count in report.skipped.items() if kind != "duplicate")
    if failed:
        # The report has named the first few.
        with folder.skipped.open(encoding="utf-8") as lines:
            for line in map(json.loads, islice(lines, len(report.examples), None)):
                if line["kind"] != "duplicate":
                    say(f"  {line['uri']}: {line['reason']}")
        say(f"{failed:,} inputs failed; each is named in {folder.skipped}")
        raise typer.Exit(SOME_FAILED)
