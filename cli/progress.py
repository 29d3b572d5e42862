"""Progress of long work on stderr: what is done, how fast, and how long it will take."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Column
from rich.text import Text

from cli.output import say
from engine.footprint import readable
from engine.progress import Progress as Step
from engine.progress import told_to


class _Stage(ProgressColumn):
    """What is done; where the terminal is narrow its end is left out, and not the figures'."""

    def render(self, task: Task) -> Text:
        return Text(task.description, no_wrap=True, overflow="ellipsis")


class _Amount(ProgressColumn):
    def render(self, task: Task) -> Text:
        unit = task.fields["unit"]
        total = None if task.total is None else int(task.total)
        return Text(Step(task.description, int(task.completed), total, unit).amount)


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        if not speed:
            return Text("")
        each = readable(speed) if task.fields["unit"] == "bytes" else f"{speed:,.0f}"
        return Text(f"{each}/s", style="dim")


@contextmanager
def progress_bars() -> Iterator[Callable[[Step], None]]:
    """Draw a bar for each stage that reports; where stderr is no terminal, name it once.

    Models that are fetched and loaded inside report, too.
    """
    with _bars() as show, told_to(show):
        yield show


@contextmanager
def _bars() -> Iterator[Callable[[Step], None]]:
    console = Console(stderr=True)
    bars = Progress(
        SpinnerColumn(),
        _Stage(),
        BarColumn(bar_width=20),
        *(
            column(table_column=Column(no_wrap=True))
            for column in (_Amount, _Rate, TimeElapsedColumn, TimeRemainingColumn)
        ),
        console=console,
        disable=not console.is_terminal,
    )
    tasks: dict[str, TaskID] = {}

    def show(step: Step) -> None:
        if step.stage not in tasks:
            if not console.is_terminal:
                say(f"{step.stage} ...")
            tasks[step.stage] = bars.add_task(step.stage, total=step.total, unit=step.unit)
        bars.update(tasks[step.stage], completed=step.done, total=step.total)

    with bars:
        yield show


@contextmanager
def loading_shown() -> Iterator[None]:
    """Draw the bars of models that are fetched and loaded, where no other bars are drawn.

    They end with each stage, so that none is left under an answer.
    """
    with ExitStack() as drawn:
        show: Callable[[Step], None] | None = None

        def lazily(step: Step) -> None:
            nonlocal show
            show = show or drawn.enter_context(_bars())
            show(step)
            if step.done == step.total:
                drawn.close()
                show = None

        with told_to(lazily):
            yield
