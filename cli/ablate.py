"""The command that varies one setting after another: ablate."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from io import StringIO
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from cli.options import (
    CollectionArgument,
    DeviceOption,
    GeneratorOption,
    JsonOption,
    LimitOption,
    SeedOption,
    new_file,
    opened_engine,
    settings_for,
)
from cli.output import console, emit, plain, say, say_lines
from cli.progress import progress_bars
from engine.app import Engine
from engine.files import write_whole
from engine.progress import Progress
from evaluation.ablation.ablate import Row
from evaluation.ablation.ablate import ablate as run_ablation
from evaluation.ablation.cell_cache import CellCache
from evaluation.ablation.cells import METRICS
from evaluation.ablation.grid import AXES, Variant, grid
from evaluation.ablation.laboratory import cells_folder, make_laboratory
from ingest.reembed import embed_by

_JUDGE = "cider-d"
_WIDTH = 500
"""Room for any table. A narrower terminal breaks the lines itself: cut figures would be worse."""


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(ablate)


def ablate(
    collection: CollectionArgument = "",
    axes: Annotated[
        str, typer.Option(help=f"Some of {','.join(AXES)}, with commas between; empty: none.")
    ] = ",".join(AXES),
    split: Annotated[
        list[str] | None,
        typer.Option(
            help="Only pictures of this split (repeatable). By default val: look at test once, "
            "when everything has been chosen.",
            show_default=False,
        ),
    ] = None,
    other: Annotated[
        str,
        typer.Option(
            help="Also transfer from this collection: its map, or its map and captions.",
            show_default=False,
        ),
    ] = "",
    encoder: Annotated[
        list[str] | None,
        typer.Option(
            help="Also with this other encoder (repeatable): open_clip MODEL/TAG, hf-hub:NAME or "
            "local-dir:FOLDER. Embeds the collection by it, once.",
            show_default=False,
        ),
    ] = None,
    limit: LimitOption = None,
    seed: SeedOption = 0,
    jobs: Annotated[int, typer.Option(min=0, max=256, help="Processes; 0: as many as help.")] = 0,
    table: Annotated[
        Path | None,
        typer.Option(
            "--csv", parser=new_file, help="Write the table to this file too.", show_default=False
        ),
    ] = None,
    generator: GeneratorOption = "",
    device: DeviceOption = "",
    as_json: JsonOption = False,
) -> None:
    """Vary one setting after another and hold each to the default, on the same pictures.

    Measured cells are kept: the same command goes on where it was, or repeats its table.
    """
    chosen = [axis.strip() for axis in axes.split(",") if axis.strip()]
    variants = grid(chosen, other=other, encoders=encoder or ())
    splits = tuple(dict.fromkeys(split)) if split else ("val",)
    with opened_engine(settings_for(generator=generator, device=device)) as engine:
        rows = _measured(
            engine, collection, variants, splits, other, encoder or (), limit, seed, jobs
        )
    if table:
        _write_csv(table, rows)
    if as_json:
        for row in rows:
            emit(row_json(row))
    else:
        _show(rows)


def _measured(
    engine: Engine,
    collection: str,
    variants: Sequence[Variant],
    splits: Sequence[str],
    other: str,
    encoders: Iterable[str],
    limit: int | None,
    seed: int,
    jobs: int,
) -> list[Row]:
    folder = engine.open(collection).folder
    with progress_bars() as show:
        laboratory = make_laboratory(
            folder,
            engine.settings,
            splits,
            embedded_by=lambda spec: embed_by(
                folder, spec, engine.models.encoder(spec), engine.settings, show
            ),
            limit=limit,
            seed=seed,
            other=other,
            encoders=encoders,
        )
        if laboratory.left_out:
            say(
                f"{laboratory.left_out:,} pictures are left out of every row: the embedding by "
                "another encoder lacks them (their files are missing or cannot be read)"
            )
        return run_ablation(
            laboratory,
            variants,
            CellCache(cells_folder(folder)),
            jobs=jobs,
            seed=seed,
            on_done=lambda done, total: show(Progress("ablate", done, total)),
        )


def row_json(row: Row) -> dict[str, Any]:
    """The stable JSON form of a row; differences are the variant minus the default."""
    outcome = row.outcome
    return {
        "axis": row.variant.axis,
        "setting": row.variant.label,
        "metrics": dict(outcome.means) if outcome else {},
        "differences": {metric: asdict(found) for metric, found in row.differences.items()},
        "missing": dict(outcome.missing) if outcome else {},
        "map": dict(outcome.about) if outcome else {},
        "pictures": len(outcome.captions) if outcome else 0,
        "failed": row.failed,
        "settings": asdict(row.variant.cell),
    }


def _write_csv(path: Path, rows: Sequence[Row]) -> None:
    bounds = [f"{_JUDGE} {part}" for part in ("difference", "low", "high", "p")]
    table = StringIO(newline="")
    writer = csv.writer(table)
    writer.writerow(["axis", "setting", *METRICS, "|W'W - I|", *bounds, "failed"])
    for row in rows:
        outcome = row.outcome
        means = [outcome.means.get(metric, "") if outcome else "" for metric in METRICS]
        apart = outcome.about["orthogonality"] if outcome else ""
        found = row.differences.get(_JUDGE)
        difference = [found.mean, found.low, found.high, found.p] if found else [""] * 4
        writer.writerow(
            [row.variant.axis, row.variant.label, *means, apart, *difference, row.failed]
        )
    write_whole(path, table.getvalue())


def _show(rows: Sequence[Row]) -> None:
    shown = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for title in ("axis", "setting"):
        shown.add_column(title, no_wrap=True)
    for title in (*METRICS, "|W'W-I|", f"{_JUDGE} minus default", "p"):
        shown.add_column(title, justify="right", no_wrap=True)
    for row in rows:
        if row.outcome is None:
            continue
        found = row.differences.get(_JUDGE)
        # Both bounds on one side of zero: more than the draw of the pictures.
        clear = found is not None and found.low * found.high > 0
        shown.add_row(*map(plain, _cells(row)), style="bold" if clear else None)
    out = console()
    out.width = max(out.width, _WIDTH)
    out.print(shown)
    _say_what_lacks(rows)


def _cells(row: Row) -> Iterator[str]:
    outcome, found = row.outcome, row.differences.get(_JUDGE)
    if outcome is None:
        return
    yield row.variant.axis
    yield row.variant.label
    for metric in METRICS:
        yield f"{outcome.means[metric]:.3f}" if metric in outcome.means else "-"
    apart = outcome.about["orthogonality"]
    yield "" if apart is None else f"{apart:.2f}"
    yield f"{found.mean:+.3f} ({found.low:+.3f} to {found.high:+.3f})" if found else ""
    yield f"{found.p:.3f}" if found else ""


def _say_what_lacks(rows: Sequence[Row]) -> None:
    for row in rows:
        if row.failed:
            say_lines(f"{row.variant.axis}, {row.variant.label}: {row.failed}")
    reasons = {
        metric: reason
        for row in rows
        if row.outcome
        for metric, reason in row.outcome.missing.items()
    }
    for metric, reason in reasons.items():
        say_lines(f"{metric}: {reason}")
