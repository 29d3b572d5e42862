"""Says in one sentence, from the data alone, which side wins or that neither does."""

from __future__ import annotations

from dataclasses import dataclass

from engine.compare.comparison import Comparison, Truth
from engine.compare.gap import Gap
from engine.types import CaptionHit, ImageHit, Space


@dataclass(frozen=True)
class Verdict:
    """The side that wins, None for neither or nobody knows, and the sentence that says so."""

    winner: Space | None
    sentence: str


def on_query(
    compared: Comparison[CaptionHit] | Comparison[ImageHit], gap: Gap | None, method: str
) -> Verdict:
    """Which side answers one query better, by what is known to be right.

    Where nothing is, nobody wins, and the sentence says how both sides do on the collection's
    own pairs (`gap`; None: it has none).
    """
    raw, mapped = ([hit.id for hit in side] for side in (compared.raw, compared.mapped))
    if method == "raw" and raw == mapped:  # else hubs were taken off on one of them
        return Verdict(
            None,
            "Nobody wins: this collection has no map (its method is raw), so both sides are "
            "the same.",
        )
    if compared.truth is not None:
        return _by_truth(compared.truth)
    known = "Nobody can tell for this query, as nothing is known to be right"
    return Verdict(None, f"{known}{_in_general(gap)}.")


def _in_general(gap: Gap | None) -> str:
    if gap is None or not gap.judged:
        return ""
    by = "pictures that the map was fitted on" if gap.fitted else "pictures"
    if gap.winner is None:
        return (
            f"; in general nobody clearly wins (mapped {gap.mapped_wins}, raw {gap.raw_wins} {by})"
        )
    more, fewer = sorted((gap.raw_wins, gap.mapped_wins), reverse=True)
    return f"; in general {gap.winner} wins, {more} to {fewer} {by}"


def on_collection(gap: Gap) -> Verdict:
    """Which side ranks the captions of the collection's own pictures higher."""
    if not gap.judged:
        return Verdict(None, "Nobody can say who wins, as no picture here has captions by people.")
    unseen = "that the map was fitted on, which favours it" if gap.fitted else "new to the map"
    level = gap.judged - gap.raw_wins - gap.mapped_wins
    counts = (
        f"of {gap.judged} pictures {unseen}, mapped ranks their own captions higher for "
        f"{gap.mapped_wins}, raw for {gap.raw_wins}, and for {level} they are level"
    )
    winner = gap.winner
    if winner is None:
        return Verdict(None, f"Nobody clearly wins: {counts}.")
    return Verdict(winner, f"{winner.capitalize()} wins: {counts}.")


def _by_truth(truth: Truth) -> Verdict:
    right = "the best of this picture's own captions"
    if truth.what == "picture":
        right = "the best picture with exactly this caption"
    winner, beyond = truth.winner, f"not among the first {truth.depth}"
    caveat = ""
    if truth.fitted and winner == "raw":
        caveat = ", although the map was fitted on it"
    elif truth.fitted:
        caveat = "; but the map was fitted on it, which favours mapped"
    if winner is None and truth.raw is None:
        return Verdict(None, f"Nobody wins: {right} is {beyond} on either side{caveat}.")
    if winner is None:
        return Verdict(None, f"Nobody wins: {right} is at rank {truth.raw} on both sides{caveat}.")
    loser: Space = "raw" if winner == "mapped" else "mapped"
    won, lost = (truth.raw if side == "raw" else truth.mapped for side in (winner, loser))
    behind = f"at rank {lost}" if lost else beyond
    return Verdict(
        winner,
        f"{winner.capitalize()} wins: {right} is at rank {won}, with {loser} {behind}{caveat}.",
    )
