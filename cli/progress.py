"""Progress of long work on stderr: what is done, how fast, and how long it will take."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta

from rich.console import Console, RenderableType
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

from cli.lines import Lines
from cli.output import say
from cli.waiting import paused
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
        if task.fields["unit"] == "seconds":
            return Text(f"{speed:,.0f}x as it plays", style="dim")
        each = readable(speed) if task.fields["unit"] == "bytes" else f"{speed:,.0f}"
        return Text(f"{each}/s", style="dim")


class _Spinner(SpinnerColumn):
    """Turns as long as nothing else has begun: what follows a full bar takes its time, too."""

    def render(self, task: Task) -> RenderableType:
        return self.spinner.render(task.get_time()) if _is_live(task) else self.finished_text


class _Elapsed(TimeElapsedColumn):
    """Counts as long as the spinner turns."""

    def render(self, task: Task) -> Text:
        seconds = task.elapsed if _is_live(task) else task.fields["spent"]
        return Text(str(timedelta(seconds=int(seconds or 0))), style="progress.elapsed")


def _is_live(task: Task) -> bool:
    """Whether this stage is the one at work: `spent` is what one that is over has taken."""
    return task.fields["spent"] is None


@contextmanager
def progress_bars() -> Iterator[Callable[[Step], None]]:
    """Draw a bar for each stage that reports; where stderr is no terminal, say lines of it.

    Models that are fetched and loaded inside report, too.
    """
    with _shown() as show, told_to(show):
        yield show


@contextmanager
def _shown() -> Iterator[Callable[[Step], None]]:
    console = Console(stderr=True)
    if console.is_terminal:
        with _bars(console) as show:
            yield show
    else:
        with Lines(say) as lines:
            yield lines.show


@contextmanager
def _bars(console: Console) -> Iterator[Callable[[Step], None]]:
    bars = Progress(
        _Spinner(),
        _Stage(),
        BarColumn(bar_width=20),
        *(
            column(table_column=Column(no_wrap=True))
            for column in (_Amount, _Rate, _Elapsed, TimeRemainingColumn)
        ),
        console=console,
    )
    tasks: dict[str, TaskID] = {}

    def end_all(but: str = "") -> None:
        for task in bars.tasks:
            if task.description != but and _is_live(task):
                bars.update(task.id, spent=task.elapsed)

    def show(step: Step) -> None:
        if step.stage not in tasks:
            tasks[step.stage] = bars.add_task(
                step.stage, total=step.total, unit=step.unit, spent=None
            )
        end_all(but=step.stage)
        bars.update(tasks[step.stage], completed=step.done, total=step.total, spent=None)

    with bars:
        try:
            yield show
        finally:
            end_all()


@contextmanager
def loading_shown() -> Iterator[None]:
    """Show the stages of models that are fetched and loaded, where no others are shown.

    They end with each stage, so that none is left under an answer.
    """
    with ExitStack() as drawn:
        show: Callable[[Step], None] | None = None

        def lazily(step: Step) -> None:
            nonlocal show
            if show is None:
                drawn.enter_context(paused())
                show = drawn.enter_context(_shown())
            show(step)
            if step.done == step.total:
                drawn.close()
                show = None

        with told_to(lazily):
            yield
