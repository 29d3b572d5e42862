"""When and where pictures were taken, as an answer says it: by what their files say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import date

from engine.ask.pieces import Piece
from engine.store.interface import moment


def taken_days(pieces: Iterable[Piece]) -> list[tuple[date, Piece]]:
    """The days on which pictures were taken, the first first, a piece of each picture with it."""
    of = {piece.picture: piece for piece in pieces}
    said = [(piece.hit.payload["taken_at"], piece) for piece in of.values() if piece.hit]
    days = [(moment(str(when)).date(), piece) for when, piece in said if when]
    return sorted(days, key=lambda one: one[0])


def days_told(days: Sequence[tuple[date, Piece]]) -> str:
    """One day, or from the first to the last."""
    first, last = days[0][0], days[-1][0]
    if first == last:
        return f"On {first.isoformat()}"
    return f"From {first.isoformat()} to {last.isoformat()}"


def place_taken(pieces: Iterable[Piece]) -> str:
    """Where most pictures were taken by their files: `Lisbon, Portugal`; "" where none says it."""
    of = {piece.picture: piece for piece in pieces}
    places = [tuple(piece.hit.payload["places"]) for piece in of.values() if piece.hit]
    counts = Counter(place for place in places if place)
    return ", ".join(counts.most_common(1)[0][0]) if counts else ""
