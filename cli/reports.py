"""What filling did, for people and for programs."""

from __future__ import annotations

import json
from dataclasses import asdict
from itertools import islice
from typing import Any

import typer
from rich.table import Table

from cli.output import console, emit, say, say_lines
from engine.alignment.alignment import Alignment
from engine.alignment.cross_validation import best_of_each
from engine.collection import CollectionFolder
from ingest.embed import EmbedReport
from ingest.pipeline import IngestReport

SOME_FAILED = 1


def show_ingest(folder: CollectionFolder, report: IngestReport, as_json: bool) -> None:
    """Show an ingest; ends the command with 1 if some inputs failed."""
    if as_json:
        emit(ingest_json(folder.name, report))
    say_lines(f"{folder.name}: {report.text}")
    exit_if_skipped(report.embed, folder)


def ingest_json(name: str, report: IngestReport) -> dict[str, Any]:
    """The stable JSON form of an ingest."""
    return {
        "collection": name,
        **embed_json(report.embed),
        "alignment": report.alignment and alignment_json(report.alignment),
        "points_written": report.push.points if report.push else 0,
        "described": report.described.described if report.described else 0,
        "images": report.pictures,
        "captions": report.captions,
        "seconds": report.seconds,
    }


def embed_json(report: EmbedReport) -> dict[str, Any]:
    """The stable JSON form of an embedding."""
    return {
        "read": report.read,
        "embedded": report.embedded,
        "reused": report.reused,
        "unchanged": report.unchanged,
        "removed": report.removed,
        "skipped": dict(report.skipped),
    }


def alignment_json(alignment: Alignment) -> dict[str, Any]:
    """The stable JSON form of a map, with the table that `auto` chose from."""
    return {
        "method": alignment.method,
        "strength": alignment.strength,
        "n": alignment.n,
        "reason": alignment.reason,
        "choices": [asdict(choice) for choice in alignment.choices],
    }


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
