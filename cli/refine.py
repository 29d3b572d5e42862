"""The command that refines a collection by its own descriptions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated

import typer
from rich.table import Table

from cli.options import (
    CollectionArgument,
    DeviceOption,
    EncoderOption,
    GeneratorOption,
    JsonOption,
    opened_engine,
    settings_for,
)
from cli.output import console, emit, plain, say
from cli.parser import fetch_parser_for
from cli.progress import progress_bars
from engine.app import Collection, Engine
from engine.models.loaded import CONSENSUS
from engine.types import TRAINING_SPLITS
from evaluation.metrics.intervals import Difference
from refine.loop import RefineOptions, RefineReport
from refine.loop import refine as refine_collection
from refine.rounds import Round
from refine.undo import undo as undo_round
from refine.yardstick import Yardstick

_MOST_ROUNDS = 1000


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(refine)


def refine(
    collection: CollectionArgument = "",
    metric: Annotated[
        str,
        typer.Option(
            help="What captions are judged by: a caption metric, or several with weights, like "
            "cider-d=2,rouge-l=1."
        ),
    ] = RefineOptions.metric,
    max_rounds: Annotated[
        int, typer.Option(min=1, max=_MOST_ROUNDS, help="At most so many rounds.")
    ] = RefineOptions.max_rounds,
    patience: Annotated[
        int,
        typer.Option(
            min=1, max=_MOST_ROUNDS, help="Rounds on end without a clear rise before it stops."
        ),
    ] = RefineOptions.patience,
    split: Annotated[
        str, typer.Option(help="The captioned pictures that validate.")
    ] = RefineOptions.split,
    share: Annotated[
        float, typer.Option(help="At most this share of a picture's captions is generated.")
    ] = RefineOptions.share,
    undo: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=_MOST_ROUNDS,
            help="Withdraw this round, and those built on it, instead.",
            show_default=False,
        ),
    ] = None,
    encoder: EncoderOption = "",
    generator: GeneratorOption = "",
    device: DeviceOption = "",
    as_json: JsonOption = False,
) -> None:
    """Add a collection's own good descriptions to its captions and its map, while that helps.

    Captions that are written for the training pictures and score no less than the validation mean
    join the captions that are borrowed from, and the pairs that the map is fitted on. A round
    after which the validation mean is no higher, or by no more than chance explains, is withdrawn.
    Killed and run again, it goes on.
    """
    settings = settings_for(encoder=encoder, generator=generator, device=device)
    with opened_engine(settings) as engine:
        opened = engine.open(collection)
        if undo is not None:
            _undo(engine, opened, undo, as_json)
            return
        options = RefineOptions(metric, max_rounds, patience, split, share)
        fetch_parser_for(Yardstick.parse(metric).metrics)
        generator_used = opened.generator
        with progress_bars() as on_progress:
            report = refine_collection(
                opened.folder,
                opened.card,
                engine.settings,
                opened.encoder,
                lambda: opened.filling_captioner(splits=TRAINING_SPLITS),
                options,
                writer_id=generator_used.id if generator_used else CONSENSUS,
                on_progress=on_progress,
            )
    _show(opened.card.name, report, as_json)


def _undo(engine: Engine, opened: Collection, number: int, as_json: bool) -> None:
    with progress_bars() as on_progress:
        report = undo_round(
            opened.folder, opened.card, engine.settings, number, on_progress=on_progress
        )
    if as_json:
        emit({"collection": opened.card.name, **asdict(report)})
        return
    rounds = ", ".join(map(str, report.withdrawn))
    say(f"withdrawn: round {rounds}" + (_LATER if len(report.withdrawn) > 1 else ""))
    say(
        "map, moments and index are what they were before"
        if report.exact
        else "other things have changed since, so the map was fitted anew without these rounds"
    )


_COLUMNS = (
    "round", "written", "reached", "copies", "capped", "added", "threshold", "before", "after",
    "gain", "state",
)  # fmt: skip
_LATER = " (later rounds are built on earlier ones, and go with them)"


def _show(name: str, report: RefineReport, as_json: bool) -> None:
    if as_json:
        emit({"collection": name, **asdict(report)})
        return
    show_rounds(report.rounds)
    for one in report.rounds:
        say(f"round {one.number} {one.state}: {one.reason}")
    say(
        f"{name}: {report.metric} on validation pictures {report.before:.4f} before, "
        f"{report.after:.4f} after{_told(report.gain)}; stopped: {report.reason} "
        f"({report.seconds:.1f} s)"
    )


def _told(gain: Difference | None) -> str:
    if gain is None or gain.low == gain.high == 0:
        return ""
    chance = "" if gain.low > 0 else ", so it may be chance"
    return f" ({_gain(gain)}, 95 % interval over the pictures{chance})"


def _gain(gain: Difference | None) -> str:
    return "" if gain is None else f"{gain.mean:+.4f} ({gain.low:+.4f} to {gain.high:+.4f})"


def show_rounds(rounds: Sequence[Round]) -> None:
    """Show rounds as a table."""
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for title in _COLUMNS:
        table.add_column(title, justify="left" if title == "state" else "right")
    for one in rounds:
        counts = (one.number, one.written, one.reached, one.copies, one.capped, one.added)
        means = (one.threshold, one.before, one.after)
        table.add_row(
            *(f"{count:,}" for count in counts),
            *("" if mean is None else f"{mean:.4f}" for mean in means),
            _gain(one.gain),
            plain(one.state),
        )
    console().print(table)
