"""How answers are shown: text for people, one JSON object a line for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TextIO

from engine.legible import legible

if TYPE_CHECKING:  # it is loaded where something is drawn
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text


_AROUND = 30
"""Characters that are shown before and after a place in what was typed."""


def console() -> Console:
    """The console for answers, on stdout."""
    from rich.console import Console

    return Console(highlight=False, soft_wrap=not sys.stdout.isatty())


def say(message: str) -> None:
    """Tell a person something that is no answer, as one line on stderr."""
    sys.stderr.write(legible(message) + "\n")


def say_lines(text: str) -> None:
    """Tell a person something in several lines, which are the program's own."""
    for line in text.splitlines():
        say(line)


def pointed(typed: str, start: int, end: int) -> list[str]:
    """What was typed around a place in it, and under it the mark of that place."""
    from rich.cells import cell_len

    before, meant, after = map(legible, (typed[:start], typed[start:end], typed[end:]))
    before = before if len(before) <= _AROUND else "…" + before[-_AROUND:]
    meant, after = meant[: 2 * _AROUND], after[:_AROUND]
    mark = " " * cell_len(before) + "^" * max(1, cell_len(meant))
    return [f"  {before}{meant}{after}", f"  {mark}"]


def emit(answer: Mapping[str, Any], out: TextIO | None = None) -> None:
    """Write one answer as a line of JSON on stdout, or where that goes by now."""
    out = out or sys.stdout
    # What the encoding of stdout cannot hold would not be escaped as JSON has it.
    unicode = out.encoding.lower().replace("_", "-") in {"utf-8", "utf8"}
    out.write(json.dumps(answer, ensure_ascii=not unicode) + "\n")
    out.flush()


def plain(text: str, style: str = "") -> Text:
    """Untrusted text (captions, file names) for rich: shown as it is, never interpreted."""
    from rich.text import Text

    return Text(legible(text), style=style)


def short_path(path: str) -> str:
    """A path as a person would give it here: from this folder on, if it lies in it."""
    try:
        return str(Path(path).relative_to(Path.cwd()))
    except ValueError:
        return path


def milliseconds(timings: Mapping[str, float]) -> Text:
    """The time of each stage on one dim line."""
    from rich.text import Text

    stages = ", ".join(f"{stage} {spent:.1f}" for stage, spent in timings.items())
    return Text(f"  {sum(timings.values()):.0f} ms: {stages}", style="dim")


_LESS_LIKELY = "── less likely ──"


def side_by_side(
    columns: Mapping[str, Sequence[tuple[float, str]]],
    shared: Iterable[str] = (),
    likely: Mapping[str, int] = MappingProxyType({}),
) -> Table:
    """Ranked (score, text) lists in columns; texts in `shared` are dim: both sides have them.

    `likely` says how many of a column are likely: a line is drawn below them.
    """
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), expand=False)
    table.add_column("", justify="right", style="dim")
    for title in columns:
        above = likely.get(title)
        line = "" if above is None else "\nlikely" if above > 0 else f"\n{_LESS_LIKELY}"
        table.add_column(f"{title}{line}", overflow="fold", ratio=1)
    both = set(shared)
    for rank in range(max((len(ranked) for ranked in columns.values()), default=0)):
        cells = []
        for title, ranked in columns.items():
            if rank >= len(ranked):
                cells.append(Text(""))
                continue
            score, text = ranked[rank]
            cells.append(Text(f"{score:.3f} ").append_text(plain(text)))
            cells[-1].stylize("dim" if text in both else "bold")
            if likely.get(title) == rank + 1 < len(ranked):
                cells[-1].append(f"\n{_LESS_LIKELY}", "not bold dim")
        table.add_row(str(rank + 1), *cells)
    return table
