"""Progress of long work, at a terminal and without one."""

from __future__ import annotations

import io
import sys
from itertools import pairwise

import pytest
from rich.progress import Progress as Bars

from cli.lines import EVERY_S, Lines, told
from cli.progress import _Elapsed, _Spinner, progress_bars
from engine.progress import Progress


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_line_is_said_every_ten_seconds_with_rate_and_time_left() -> None:
    said: list[tuple[float, str]] = []
    clock = Clock()
    lines = Lines(lambda line: said.append((clock.now, line)), clock)
    for second in range(721):  # twelve minutes
        clock.now = 1000.0 + second
        lines.show(Progress("embed", 100 * second, 144_000))
    assert said[0][1] == "embed ..."
    assert said[1][1] == "embed: 1,000 of 144,000, 10 s so far, 100/s, 23 min 50 s left"
    assert len(said) == 73
    assert {later - at for (at, _), (later, _) in pairwise(said)} == {EVERY_S}


def test_work_that_reports_nothing_is_told_of_all_the_same() -> None:
    said: list[str] = []
    clock = Clock()
    lines = Lines(said.append, clock)
    lines.show(Progress("load the encoder", 0))
    for second in range(1, 31):
        clock.now = 1000.0 + second
        lines.tick()
    assert said == [
        "load the encoder ...",
        "load the encoder: 10 s so far",
        "load the encoder: 20 s so far",
        "load the encoder: 30 s so far",
    ]


def test_each_stage_is_said_once_when_it_begins_and_again_when_it_is_done_again() -> None:
    said: list[str] = []
    lines = Lines(said.append, Clock())
    for stage, done in (("fit", 0), ("fit", 1), ("push", 0), ("push", 5), ("push", 0)):
        lines.show(Progress(stage, done, 5))
    assert said == ["fit ...", "push ...", "push ..."]


@pytest.mark.parametrize(
    ("step", "seconds", "new", "line"),
    [
        (Progress("fetch", 7), 70.0, 7, "fetch: 7, 1 min 10 s so far, 0.1/s"),
        (Progress("load a model (seconds)", 40), 40.0, 40, "load a model: 40 s so far"),
        (
            Progress("fetch a file", 10**9, 4 * 10**9, "bytes"),
            10.0,
            10**9,
            "fetch a file: 1.0 GB of 4.0 GB, 10 s so far, 100 MB/s, 30 s left",
        ),
        (Progress("fit", 5, 5), 40.0, 5, "fit: 5 of 5, 40 s so far"),
        (
            Progress("push", 3601, 7202),
            3601.0,
            3601,
            "push: 3,601 of 7,202, 1 h 0 min so far, 1/s, 1 h 0 min left",
        ),
        (
            Progress("resumed", 900, 1000),
            10.0,
            50,
            "resumed: 900 of 1,000, 10 s so far, 5/s, 20 s left",
        ),
    ],
)
def test_a_line_tells_what_is_known(step: Progress, seconds: float, new: int, line: str) -> None:
    assert told(step, seconds, new) == line


def test_without_a_terminal_lines_are_said_and_at_one_a_bar_is_drawn(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with progress_bars() as show:
        show(Progress("embed", 0, 4))
    assert capsys.readouterr().err == "embed ...\n"

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    with progress_bars() as show:
        show(Progress("embed", 4, 4))
        show(Progress("fit", 0, 4))
    assert "embed" in terminal.getvalue()
    assert "4 of 4" in terminal.getvalue()
    assert "embed ..." not in terminal.getvalue()


def test_a_full_bar_is_alive_until_something_else_begins() -> None:
    """To fit a map takes longer than to read its pairs, which is what is counted."""
    now = [0.0]
    spinner, elapsed = _Spinner(), _Elapsed()
    bars = Bars(spinner, elapsed, get_time=lambda: now[0])
    bars.add_task("fit", total=4, completed=4, spent=None)
    (task,) = bars.tasks
    turned = []
    for now[0] in (5.0, 5.3):
        turned.append(str(spinner.render(task)))
        assert str(elapsed.render(task)) == "0:00:05"
    assert turned[0] != turned[1]
    bars.update(task.id, spent=5.3)
    now[0] = 60.0
    assert str(spinner.render(task)).strip() == ""
    assert str(elapsed.render(task)) == "0:00:05"
