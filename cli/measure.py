"""The command that measures: evaluate."""

from __future__ import annotations

import os
import shlex
import sys
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from cli.options import (
    CollectionArgument,
    DeviceOption,
    EncoderOption,
    GeneratorOption,
    JsonOption,
    LimitOption,
    SeedOption,
    new_file,
    new_folder,
    opened_engine,
    settings_for,
)
from cli.output import console, emit, plain, say_lines
from cli.parser import fetch_parser_for
from cli.progress import progress_bars
from engine.app import Engine
from engine.describe.captioner import DescribeOptions
from engine.progress import Progress
from engine.types import Decoding
from evaluation.evaluate import EvaluateOptions, Evaluation
from evaluation.evaluate import evaluate as run_evaluation
from evaluation.maps import MAPS
from evaluation.metrics.caption_metrics import CAPTION_METRICS
from evaluation.reports.figures import MEDIANS, Figure
from evaluation.reports.report import Asked, Report, write_folder, write_text
from evaluation.subject import subject_of
from mrag_client.models import MOST_HITS
from refine.rounds import kept_by

_HEEDED = ("HOME", "COLLECTION", "ENCODER", "GENERATOR", "DEVICE", "PRECISION", "BATCH_SIZE")
_DEFAULT = DescribeOptions()


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(evaluate)


def evaluate(
    collection: CollectionArgument = "",
    split: Annotated[
        list[str] | None,
        typer.Option(
            help="Only pictures of this split (repeatable; '' is a source without splits). "
            "By default test, or val where there is no test.",
            show_default=False,
        ),
    ] = None,
    maps: Annotated[
        str, typer.Option(help=f"Some of {','.join(MAPS)}, with commas between.")
    ] = ",".join(MAPS),
    captions: Annotated[
        bool, typer.Option(help="Write captions and score them, or only measure rankings.")
    ] = True,
    metrics: Annotated[
        str,
        typer.Option(
            help=f"Of captions, beside CLIPScore: some of {','.join(CAPTION_METRICS)}, or ''. "
            "spice takes longest."
        ),
    ] = ",".join(CAPTION_METRICS),
    k: Annotated[
        int, typer.Option("-k", min=1, max=MOST_HITS, help="Captions retrieved.")
    ] = _DEFAULT.k,
    limit: LimitOption = None,
    seed: SeedOption = 0,
    punctuation: Annotated[
        bool, typer.Option("--punctuation", help="Keep punctuation when captions are scored.")
    ] = False,
    html: Annotated[
        Path | None,
        typer.Option(
            parser=new_file, help="Write the report as one HTML file.", show_default=False
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            parser=new_folder,
            help="Write report.json, report.html and pictures.jsonl into this folder.",
            show_default=False,
        ),
    ] = None,
    encoder: EncoderOption = "",
    generator: GeneratorOption = "",
    device: DeviceOption = "",
    as_json: JsonOption = False,
) -> None:
    """Measure captions and rankings: raw CLIP, the collection's map, and maps of other methods."""
    options = EvaluateOptions(
        maps=tuple(_names(maps)),
        captions=captions,
        metrics=tuple(_names(metrics)),
        describe=DescribeOptions(k=k, decoding=Decoding(seed=seed)),
        punctuation=punctuation,
        seed=seed,
    )
    splits = tuple(dict.fromkeys(split or ()))
    settings = settings_for(encoder=encoder, generator=generator, device=device)
    with opened_engine(settings) as engine:
        report = _measured(engine, collection, splits, limit, options)
    if html or out:
        from evaluation.reports.html import as_html  # drawing takes a second to import

        page = as_html(report)
        if html:
            write_text(html, page)
        if out:
            write_folder(report, out, page)
    if as_json:
        emit(report.as_json())
    else:
        show_report(report)


def _measured(
    engine: Engine,
    collection: str,
    splits: tuple[str, ...],
    limit: int | None,
    options: EvaluateOptions,
) -> Report:
    started, created = monotonic(), datetime.now(UTC).isoformat(timespec="seconds")
    subject = subject_of(engine, collection, splits, limit=limit, seed=options.seed)
    kept = engine.folder(subject.collection).path / "evaluation"
    if options.captions:
        fetch_parser_for(options.metrics)
    with progress_bars() as show:
        evaluation: Evaluation = run_evaluation(
            subject, options, kept, lambda stage, done, of: show(Progress(stage, done, of))
        )
    asked = Asked(
        command=shlex.join(["mrag", *sys.argv[1:]]),
        environment=_environment(),
        splits=tuple(sorted(set(subject.examples.splits))),
        limit=limit,
        created=created,
        seconds=round(monotonic() - started, 1),
        chosen_on=kept_by(engine.folder(subject.collection)),
    )
    return Report(subject, options, evaluation, asked)


def _names(joined: str) -> list[str]:
    """Names with commas between."""
    return [name.strip() for name in joined.split(",") if name.strip()]


def _environment() -> dict[str, str]:
    """The variables that have a part in the figures, as far as they are set."""
    names = (f"MRAG_{name}" for name in _HEEDED)
    return {name: os.environ[name] for name in names if os.environ.get(name)}


def show_report(report: Report) -> None:
    """Show the table, what is missing in it, and what to know of it."""
    maps = list(report.evaluation.maps)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("")
    for name in maps:
        table.add_column(name, justify="right")
    figures: dict[tuple[str, str], dict[str, Figure]] = {}
    for figure in report.evaluation.figures:
        figures.setdefault((figure.task, figure.metric), {})[figure.map] = figure
    task = ""
    for (of_task, metric), by_map in figures.items():
        if of_task != task:
            table.add_row(Text(of_task, style="bold"))
            task = of_task
        table.add_row(f"  {metric}", *(_cell(by_map.get(name)) for name in maps))
    out = console()
    out.print(table)
    out.print("  * differs from raw: the 95 % interval of the difference leaves out 0", style="dim")
    for what, why in report.evaluation.missing.items():
        say_lines(f"not computed: {what}: {why}")
    for note in report.notes():
        out.print(plain(f"  {note}", "dim"))


def _cell(figure: Figure | None) -> Text:
    if figure is None:
        return Text("-")
    shown = f"{figure.value:.{1 if figure.metric in MEDIANS.values() else 4}f}"
    difference = figure.difference
    differs = difference is not None and (difference.low > 0 or difference.high < 0)
    if difference is None or not differs:
        return Text(f"{shown} ")
    return Text(f"{shown}*", style="green" if difference.mean > 0 else "red")
