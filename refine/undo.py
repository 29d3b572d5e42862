"""Takes refinement rounds out of a collection again, exactly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from corpus.ledger import Ledger
from corpus.lock import writing
from engine.collection import CollectionCard, CollectionFolder
from engine.errors import InvalidInput
from engine.progress import OnProgress, silent
from engine.settings import Settings
from ingest.fit import fit_if_needed
from ingest.push import push
from refine.rounds import (
    forget_before,
    put_back,
    round_shard,
    settle_rounds,
    standing_rounds,
    unfinished,
)
from refine.runs import close_run


@dataclass(frozen=True)
class UndoReport:
    """The rounds that were withdrawn; `exact`: the map is bit for bit what it was before them."""

    withdrawn: tuple[int, ...]
    exact: bool


def undo(
    folder: CollectionFolder,
    card: CollectionCard,
    settings: Settings,
    number: int,
    *,
    on_progress: OnProgress = silent,
) -> UndoReport:
    """Withdraw a round and those that were built on it, and bring map and index level.

    Where nothing else has come since, map, moments and index are what they were; else the map is
    fitted anew on all that is there without these rounds. Killed and run again, it is finished.
    Raises InvalidInput for a round that is not there.
    """
    with writing(folder):
        standing = [one.number for one in standing_rounds(folder)]
        left = unfinished(folder)
        if number not in [*standing, *left]:
            there = ", ".join(map(str, standing)) or "none"
            raise InvalidInput(
                f"round {number} cannot be withdrawn: the rounds of collection {card.name!r} that "
                f"stand are: {there}"
            )
        later = [one for one in standing if one >= number]
        reasons = {
            one: "withdrawn on request"
            if one == number
            else f"withdrawn with round {number}, on which it was built"
            for one in later
        }
        close_run(folder)  # one that was killed cannot go on without them
        exact = withdraw(folder, card, settings, reasons, on_progress=on_progress)
        return UndoReport(tuple(sorted({*later, *left})), exact)


def withdraw(
    folder: CollectionFolder,
    card: CollectionCard,
    settings: Settings,
    reasons: Mapping[int, str],
    *,
    on_progress: OnProgress = silent,
) -> bool:
    """Withdraw rounds for these reasons; whether the map is bit for bit what it was before."""
    # Once the records say so it will be done, however often the process is killed.
    settle_rounds(folder, "withdrawn", reasons)
    return finish_withdrawals(folder, card, settings, on_progress=on_progress)


def finish_withdrawals(
    folder: CollectionFolder,
    card: CollectionCard,
    settings: Settings,
    *,
    on_progress: OnProgress = silent,
) -> bool:
    """Take out what is left of withdrawn rounds, the latest first."""
    numbers = unfinished(folder)
    if not numbers:
        return True
    for number in reversed(numbers):
        shard = round_shard(folder, number)
        if shard is not None:
            shard.unlink()
    with Ledger.open(folder) as ledger:
        exact = put_back(folder, ledger, min(numbers))
    _, fitted = fit_if_needed(folder, card, on_progress=on_progress)
    push(folder, card, settings, on_progress=on_progress)
    for number in reversed(numbers):
        forget_before(folder, number)
    return exact and not fitted
