"""How an answer was made, stage by stage."""

from __future__ import annotations

from pydantic import Field

from mrag_client.models.base import Answered, Timings


class Move(Answered):
    """What became of one item in a stage; ranks count from 1.

    `before` is null for one that the stage found, `after` for one that it dropped; `became` is
    what it is called now, where the stage changed that.
    """

    item: str
    before: int | None
    after: int | None
    became: str = ""

    @property
    def way(self) -> str:
        """From which rank to which: "3 → 1", "2 → out", "→ 4"."""
        if self.before == self.after:
            return f"{self.before}"
        came = "" if self.before is None else f"{self.before} "
        return f"{came}→ {'out' if self.after is None else self.after}"


class Step(Answered):
    """What one stage did, in words, how long it took, and how many items came in and went out.

    `moves` are those nearest to the first rank, `others` the number of those left out; `parts_ms`
    are times within the stage.
    """

    stage: str
    did: str
    ms: float
    came: int
    went: int
    moves: tuple[Move, ...] = ()
    others: int = 0
    notes: tuple[str, ...] = ()
    parts_ms: Timings = Field(default_factory=dict)


class Trace(Answered):
    """How an answer was made: its stages, in the order in which they ran."""

    steps: tuple[Step, ...]
