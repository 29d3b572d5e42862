"""How an answer was made, as the terminal shows it: a line a stage, what moved below it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cli.output import console, plain
from mrag_client.models import Move, Step, Trace

if TYPE_CHECKING:  # it is loaded where something is drawn
    from rich.text import Text


def show_reranked(notes: Sequence[str], of: str = "") -> None:
    """Say what was put in another order, and what there was no time for."""
    if notes:
        console().print(plain(f"  {of}{'; '.join(notes)}", "dim"))


def show_trace(trace: Trace | None) -> None:
    """Show the stages of an answer; nothing where it was not asked for."""
    if trace is None:
        return
    out = console()
    out.print("  how it was made:", style="dim")
    width = max((len(step.stage) for step in trace.steps), default=0)
    for step in trace.steps:
        out.print(_line(step, width))
        for note in step.notes:
            out.print("     ", plain(note, "dim"))
        for move in step.moves:
            out.print(_moved(move))
        if step.others:
            out.print(f"      and {step.others:,} more", style="dim")


def _line(step: Step, width: int) -> Text:
    from rich.text import Text

    line = Text(f"  {step.stage:<{width}} {step.ms:>8.1f} ms  ")
    line.append_text(plain(step.did, "bold"))
    if step.came or step.went:
        line.append(f"  {step.came:,} → {step.went:,}", "dim")
    if len(step.parts_ms) > 1:
        parts = ", ".join(f"{part} {spent:.1f}" for part, spent in step.parts_ms.items())
        line.append(f"  ({parts})", "dim")
    return line


def _moved(move: Move) -> Text:
    from rich.text import Text

    line = Text(f"    {move.way:>10}  ", style="dim").append_text(plain(move.item))
    if move.became:
        line.append("  became  ", "dim").append_text(plain(move.became))
    return line
