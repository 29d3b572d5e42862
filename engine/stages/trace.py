"""How an answer was made: what each stage did to what was found, and what it cost."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

MOVES_SHOWN = 12
"""Of so many moves a step tells, those nearest to the first rank, and the number of the others."""

_NAME_SHOWN = 200


@dataclass(frozen=True)
class Move:
    """What became of one item in a stage; ranks count from 1.

    `before` is None for one that the stage found, `after` for one that it dropped. `became` is
    what it is called now, where the stage changed that.
    """

    item: str
    before: int | None
    after: int | None
    became: str = ""


@dataclass(frozen=True)
class Step:
    """What one stage did: how long it took, how many items came in and went out, what moved.

    `did` says it in a few words. `parts_ms` are the times that the stage measured within itself.
    `moves` are the first `MOVES_SHOWN` at most, `others` the number of those left out.
    """

    stage: str
    did: str
    ms: float
    came: int
    went: int
    moves: tuple[Move, ...] = ()
    others: int = 0
    notes: tuple[str, ...] = ()
    parts_ms: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Trace:
    """The steps of an answer, in the order in which they were taken."""

    steps: tuple[Step, ...] = ()

    @property
    def ms(self) -> float:
        """The time of all steps together."""
        return sum(step.ms for step in self.steps)

    def notes(self, stage: str) -> tuple[str, ...]:
        """What the stage of that name had to say."""
        return tuple(note for step in self.steps if step.stage == stage for note in step.notes)

    def after(self, *steps: Step) -> Trace:
        """The same with steps that were taken before it."""
        return Trace((*steps, *self.steps))


Named = tuple[Hashable, str]
"""An item as a trace knows it: what makes it this one, and what it is called."""


def moves_between(before: Sequence[Named], after: Sequence[Named]) -> list[Move]:
    """What has to be said to make one order of the other, the nearest to the first rank first.

    Told are items that came, went, are called otherwise, and as few as will do of those that
    changed places: the others keep their order, and only close up.
    """
    if list(before) == list(after):
        return []
    if not before:
        return [Move(_short(name), None, rank) for rank, (_, name) in enumerate(after, 1)]
    olds, news = _numbered(before), _numbered(after)
    ranks_before = {key: rank for rank, key in enumerate(olds, 1)}
    ranks_after = {key: rank for rank, key in enumerate(news, 1)}
    stayed = [key for key in news if key in olds]
    moved = set(stayed) - _in_order(stayed, ranks_before)
    reworded = {key for key in stayed if olds[key] != news[key]}
    told = [
        Move(
            _short(olds[key] if key in olds else news[key]),
            ranks_before.get(key),
            ranks_after.get(key),
            became=_short(news[key]) if key in reworded else "",
        )
        for key in {**olds, **news}
        if key in moved or key in reworded or not (key in olds and key in news)
    ]
    return sorted(told, key=_nearest_first)


def in_words(moves: Iterable[Move]) -> str:
    """Moves, counted: "dropped 2, moved 1"; "changed nothing" where there are none."""
    counts = Counter(map(_kind, moves))
    said = [f"{kind} {counts[kind]}" for kind in _KINDS if counts[kind]]
    return ", ".join(said) or "changed nothing"


_KINDS = ("found", "dropped", "moved", "reworded")


def _kind(move: Move) -> str:
    if move.before is None:
        return "found"
    if move.after is None:
        return "dropped"
    return "reworded" if move.became else "moved"


def _nearest_first(move: Move) -> tuple[int, int]:
    ranks = [rank for rank in (move.before, move.after) if rank is not None]
    return min(ranks), max(ranks)


def _short(name: str) -> str:
    return name if len(name) <= _NAME_SHOWN else name[: _NAME_SHOWN - 1] + "…"


def _numbered(named: Sequence[Named]) -> dict[tuple[Hashable, int], str]:
    """What items are called, by their keys; one that comes twice is another the second time."""
    seen: Counter[Hashable] = Counter()
    found = {}
    for key, name in named:
        found[key, seen[key]] = name
        seen[key] += 1
    return found


def _in_order(
    keys: Sequence[tuple[Hashable, int]], ranks: Mapping[tuple[Hashable, int], int]
) -> set[tuple[Hashable, int]]:
    """As many of the keys as can be, of which each has a greater rank than the one before."""
    ends: list[int] = []  # the least rank at which a run of each length can end
    last: list[int] = []  # where in `keys` that end is
    previous: list[int] = []
    for at, key in enumerate(keys):
        length = bisect_left(ends, ranks[key])
        previous.append(last[length - 1] if length else -1)
        ends[length : length + 1] = [ranks[key]]
        last[length : length + 1] = [at]
    longest = set()
    at = last[-1] if last else -1
    while at >= 0:
        longest.add(keys[at])
        at = previous[at]
    return longest
