"""How an answer was made, as every page shows it: a line a stage, and what moved on demand."""

from __future__ import annotations

from collections.abc import Mapping

from engine.legible import legible
from mrag_client.models import Step, Trace
from ui.shared.components import component

MADE = "How it was made"
"""What is called so on every page: the way from what was asked to the answer."""

_trace = component("trace", "<ol></ol>")


def show_trace(trace: Trace, *, key: str) -> None:
    """Show the stages of an answer."""
    longest = max((step.ms for step in trace.steps), default=0.0) or 1.0
    _trace(key=f"trace {key}", data={"longest": longest, "steps": [*map(_told, trace.steps)]})


def _told(step: Step) -> dict[str, object]:
    return {
        "stage": legible(step.stage),
        "did": legible(step.did),
        "ms": step.ms,
        "time": f"{step.ms:.1f} ms",
        "counts": f"{step.came:,} → {step.went:,}" if step.came or step.went else "",
        "parts": _parts(step.parts_ms),
        "notes": [*map(legible, step.notes)],
        "moves": [
            {"way": move.way, "item": legible(move.item), "became": legible(move.became)}
            for move in step.moves
        ],
        "others": step.others,
        "label": _label(step),
        # What was found is told where it is shown; what became of it is seen at once.
        "open": any(move.before is not None for move in step.moves),
    }


def _label(step: Step) -> str:
    """What the list of a stage's moves is called."""
    count = len(step.moves) + step.others
    if all(move.before is None for move in step.moves):
        return f"the first {len(step.moves)}" if step.others else "what it found"
    return f"{count:,} changes" if count > 1 else "1 change"


def _parts(parts_ms: Mapping[str, float]) -> str:
    if len(parts_ms) < 2:
        return ""
    return " · ".join(f"{legible(part)} {spent:.1f} ms" for part, spent in parts_ms.items())
