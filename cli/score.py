"""The command that scores a file of captions: score."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from cli.options import JsonOption, SeedOption, named_path
from cli.output import console, emit, say, say_lines
from cli.parser import fetch_parser_for
from engine.errors import MetricUnavailable
from evaluation.metrics.caption_files import Scorable, read_scorable
from evaluation.metrics.caption_metrics import (
    CAPTION_METRICS,
    CaptionScores,
    checked_metrics,
    score_captions,
)
from evaluation.reports.provenance import versions


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(score)


def score(
    captions: Annotated[
        Path,
        typer.Argument(
            parser=named_path, help="JSON or JSON Lines: one caption a picture.", show_default=False
        ),
    ],
    references: Annotated[
        Path,
        typer.Argument(
            parser=named_path,
            help="JSON, JSON Lines or COCO annotations: what people wrote.",
            show_default=False,
        ),
    ],
    metrics: Annotated[
        str, typer.Option(help="Some of them, with commas between. spice takes longest.")
    ] = ",".join(CAPTION_METRICS),
    punctuation: Annotated[
        bool, typer.Option("--punctuation", help="Keep punctuation; scores differ in this.")
    ] = False,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Score captions against references, as papers on captioning do; no model is needed."""
    chosen = checked_metrics(name.strip() for name in metrics.split(",") if name.strip())
    scorable = read_scorable(captions, references)
    fetch_parser_for(chosen)
    scored = score_captions(
        scorable.captions, scorable.references, chosen, punctuation=punctuation, seed=seed
    )
    if not scored.scores:
        raise MetricUnavailable("; ".join(dict.fromkeys(scored.missing.values())))
    if as_json:
        emit(_score_json(captions, references, scorable, scored, seed))
    else:
        _show(scorable, scored, seed)


def _score_json(
    captions: Path, references: Path, scorable: Scorable, scored: CaptionScores, seed: int
) -> dict[str, Any]:
    """The stable JSON form of scores."""
    return {
        "captions": str(captions),
        "references": str(references),
        "pictures": len(scorable.captions),
        "without_caption": scorable.left_out,
        "punctuation": scored.punctuation,
        "seed": seed,
        "scores": {
            metric: {"value": one.mean, "low": one.low, "high": one.high}
            for metric, one in scored.scores.items()
        },
        "missing": dict(scored.missing),
        "versions": versions(),
        "command": shlex.join(["mrag", *sys.argv[1:]]),
    }


def _show(scorable: Scorable, scored: CaptionScores, seed: int) -> None:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for title in ("metric", "score", "95 % interval"):
        table.add_column(title, justify="left" if title == "metric" else "right")
    for metric, one in scored.scores.items():
        table.add_row(metric, f"{one.mean:.6f}", f"{one.low:.4f} to {one.high:.4f}")
    out = console()
    out.print(table)
    marks = "kept" if scored.punctuation else "removed"
    out.print(
        f"{len(scorable.captions):,} pictures; PTB tokens with punctuation {marks}; intervals "
        f"by bootstrap over pictures (seed {seed})"
    )
    if scorable.left_out:
        say(f"{scorable.left_out:,} pictures of the references have no caption: left out")
    for metric, reason in scored.missing.items():
        say_lines(f"not computed: {metric}: {reason}")
