"""What is asked of pictures, as conditions on what an index keeps of them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, time
from math import isfinite

from engine.errors import InvalidInput
from engine.store.interface import EVERYTHING, Conditions, Period
from engine.store.phrases import phrase_terms
from engine.types import Filters, Near
from engine.words import folded

CLOCK = "clock"
"""The field that says when on its day a picture was taken, in seconds by its own clock."""

FOLDED = ("tags", "camera", "lens", "places", "labels")
"""Fields of names that are compared without regard to case, in a field beside them."""


def image_conditions(filters: Filters) -> Conditions:
    """The filters as conditions on pictures; times without a zone are taken as UTC."""
    if filters.proven:
        raise InvalidInput("pictures cannot be filtered by proven; filter captions by it instead")
    any_of = {
        "split": filters.splits,
        "source": filters.sources,
        **_names(filters.tags, filters.cameras, filters.lenses, filters.places, filters.labels),
        "extension": frozenset(map(extension, filters.extensions)),
    }
    none_of = {
        "picture": filters.not_pictures,
        "split": filters.not_splits,
        "source": filters.not_sources,
        **_names(
            filters.not_tags,
            filters.not_cameras,
            filters.not_lenses,
            filters.not_places,
            filters.not_labels,
        ),
        "extension": frozenset(map(extension, filters.not_extensions)),
    }
    if filters.has_caption or filters.sources:  # by nobody is what has none
        any_of["has"] = frozenset({"caption"})
    if filters.has_caption is False:
        none_of["has"] = frozenset({"caption"})
    phrases = tuple(map(phrase_terms, filters.phrases))
    period = Period(_in_zone(filters.taken_from), _in_zone(filters.taken_until))
    at_least = {} if filters.least_rating is None else {"rating": filters.least_rating}
    timed = period != Period(None, None)
    clock = _clock(filters.clock_from, filters.clock_until)
    return Conditions(
        any_of={field: values for field, values in any_of.items() if values},
        none_of={field: values for field, values in none_of.items() if values},
        during={"taken_at": period} if timed else {},
        near={} if filters.near is None else {"location": _checked_circle(filters.near)},
        phrases={"said": phrases} if phrases else {},
        either=clock if len(clock) > 1 else (),
        at_least={**at_least, **(clock[0].at_least if len(clock) == 1 else {})},
        at_most=clock[0].at_most if len(clock) == 1 else {},
    )


def second_of_day(moment: datetime | time) -> int:
    """How many seconds of its day have passed, by the clock that it says."""
    return 3600 * moment.hour + 60 * moment.minute + moment.second


def also(
    conditions: Conditions,
    *,
    any_of: Mapping[str, frozenset[str]] | None = None,
    none_of: Mapping[str, frozenset[str]] | None = None,
    during: Mapping[str, Period] | None = None,
) -> Conditions:
    """The conditions and others, which may be of the same fields."""
    return Conditions(
        any_of=any_of or {},
        none_of=none_of or {},
        during=during or {},
        either=() if conditions == EVERYTHING else (conditions,),
    )


def folded_field(field: str) -> str:
    """The field beside one of FOLDED that it is compared by."""
    return f"{field}_folded"


def extension(name: str) -> str:
    """The ending of a file as it is compared: without the dot, in lower case."""
    return name.strip().removeprefix(".").lower()


def _names(*of_folded: frozenset[str]) -> dict[str, frozenset[str]]:
    """By the field that each is compared by, the names in FOLDED's order."""
    fields = map(folded_field, FOLDED)
    return {
        field: frozenset(map(folded, names)) for field, names in zip(fields, of_folded, strict=True)
    }


def _clock(start: time | None, end: time | None) -> tuple[Conditions, ...]:
    """Of these one must hold: times of day from a start to an end, which may lie past midnight."""
    at_least = {} if start is None else {CLOCK: second_of_day(start)}
    at_most = {} if end is None else {CLOCK: second_of_day(end)}
    if start is not None and end is not None and start > end:
        return Conditions(at_least=at_least), Conditions(at_most=at_most)
    return (Conditions(at_least=at_least, at_most=at_most),) if at_least or at_most else ()


def _in_zone(moment: datetime | None) -> datetime | None:
    if moment is None or moment.tzinfo is not None:
        return moment
    return moment.replace(tzinfo=UTC)


def _checked_circle(near: Near) -> Near:
    """A circle that is one; raises InvalidInput."""
    degrees = abs(near.latitude) <= 90 and abs(near.longitude) <= 180
    if not (degrees and isfinite(near.kilometres) and near.kilometres > 0):
        raise InvalidInput(
            f"near {near.latitude}, {near.longitude}, {near.kilometres} km is no circle on the "
            "globe: give a latitude from -90 to 90, a longitude from -180 to 180, and a radius "
            "above 0"
        )
    return near
