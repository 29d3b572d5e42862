"""The filters of a search as they are typed, `camera:"Canon EOS R6"`: what each takes and means."""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from difflib import get_close_matches
from typing import Any, get_args

from engine.types import CaptionSource, Near

EARTH_KM = 20_038.0
"""Half of the way around the globe: there is nothing farther away."""

_DAY = re.compile(r"(\d{4})(?:-(\d\d?)(?:-(\d\d?))?)?")
_CLOCK = re.compile(r"(\d{1,2}):(\d\d)(?::(\d\d))?")
_DEGREES = re.compile(r"[+\-−]?\d{1,3}(?:\.\d+)?")
_DISTANCE = re.compile(r"(\d{1,9}(?:\.\d+)?)\s*(km|m|)", re.IGNORECASE)
_ENDING = re.compile(r"\.?(\w{1,20})")


@dataclass(frozen=True)
class FilterTerm:
    """A filter by its name: what follows the colon, and which field of `Filters` it sets.

    `read` raises ValueError for what cannot be used, saying what is expected. `many`: it may be
    given several times, any of which is enough. `clock_field` is set in place of `field` where what
    is read is a time of day. `negated` is the field that a minus sets, empty
    where it makes no sense: then `instead` is the remedy.
    """

    what: str
    example: str
    field: str
    read: Callable[[str], Any]
    many: bool = False
    negated: str = ""
    instead: str = ""
    clock_field: str = ""


def _first_moment(value: str) -> datetime | time:
    found = _CLOCK.fullmatch(value.strip())
    return _clock(value, found) if found else datetime.combine(_days(value)[0], time.min, UTC)


def _last_moment(value: str) -> datetime | time:
    found = _CLOCK.fullmatch(value.strip())
    return _clock(value, found) if found else datetime.combine(_days(value)[1], time.max, UTC)


def _clock(value: str, found: re.Match[str]) -> time:
    """A time of any day."""
    hour, minute, second = (int(part or 0) for part in found.groups())
    try:
        return time(hour, minute, second)
    except ValueError:
        raise ValueError(
            f"{value!r} is no time of day; write one from 00:00 to 23:59, like 17:00"
        ) from None


def _days(value: str) -> tuple[date, date]:
    """The first and the last day of a year, a month or a day."""
    found = _DAY.fullmatch(value.strip())
    year, month, day = (int(part or 0) for part in found.groups()) if found else (0, 0, 0)
    try:
        first = date(year, month or 1, day or 1)  # there is no year 0
    except ValueError:
        raise ValueError(
            f"{value!r} is no day, month or year; write one like 2024-05-31, 2024-05 or 2024, or a "
            "time of any day like 17:00"
        ) from None
    last = day or monthrange(year, month or 12)[1]
    return first, date(year, month or 12, last)


def _near(value: str) -> Near:
    parts = [part.strip() for part in value.split(",")]
    if len(parts) != 3 or not all(parts):
        raise ValueError(
            f"{value!r} is no circle; write latitude, longitude and radius with commas and without "
            "spaces, like 38.7,-9.1,20km; a town is found by its name with place:"
        )
    latitude, longitude = _degrees(parts[0], "latitude", 90), _degrees(parts[1], "longitude", 180)
    return Near(latitude, longitude, _kilometres(parts[2]))


def _degrees(value: str, what: str, most: int) -> float:
    found = _DEGREES.fullmatch(value)
    degrees = float(value.replace("−", "-")) if found else most + 1.0
    if abs(degrees) > most:
        raise ValueError(f"{value!r} is no {what}; it is a number from -{most} to {most}")
    return degrees + 0.0  # never -0.0


def _kilometres(value: str) -> float:
    found = _DISTANCE.fullmatch(value)
    number, unit = found.groups() if found else ("0", "")
    kilometres = float(number) / (1000 if unit.lower() == "m" else 1)
    if not 0 < kilometres <= EARTH_KM:
        raise ValueError(
            f"{value!r} is no radius; write kilometres or metres, like 20km or 500m, up to "
            f"{EARTH_KM:.0f}km"
        )
    return kilometres


def _source(value: str) -> str:
    return _one_of(value, get_args(CaptionSource), "who captions are by")


def _caption(value: str) -> bool:
    return bool(_one_of(value, ("caption",), "what a picture has"))


def _one_of(value: str, choices: tuple[str, ...], what: str) -> str:
    if (chosen := value.strip().casefold()) in choices:
        return chosen
    raise ValueError(f"{value!r} is not {what}; write {' or '.join(choices)}")


def _ending(value: str) -> str:
    if found := _ENDING.fullmatch(value.strip()):
        return found[1].casefold()
    raise ValueError(f"{value!r} is no ending of a file's name; write one like jpg")


def _rating(value: str) -> int:
    if (number := value.strip()) in {"0", "1", "2", "3", "4", "5"}:
        return int(number)
    raise ValueError(f"{value!r} is no rating; write the least number of stars, from 0 to 5")


FILTER_TERMS = {
    "after": FilterTerm(
        "a day, a month, a year or a time of day", "after:2024-05", "taken_from", _first_moment,
        instead="write before: with the day or the time before it", clock_field="clock_from",
    ),
    "before": FilterTerm(
        "a day, a month, a year or a time of day", "before:2025-01-31", "taken_until",
        _last_moment, instead="write after: with the day or the time after it",
        clock_field="clock_until",
    ),
    "camera": FilterTerm(
        "a camera", 'camera:"Canon EOS R6"', "cameras", str, many=True, negated="not_cameras"
    ),
    "lens": FilterTerm(
        "a lens", 'lens:"RF24-105mm F4 L IS USM"', "lenses", str, many=True, negated="not_lenses"
    ),
    "place": FilterTerm(
        "a town, region or country", "place:Lisbon", "places", str, many=True,
        negated="not_places",
    ),
    "near": FilterTerm(
        "latitude, longitude and radius", "near:38.7,-9.1,20km", "near", _near,
        instead="leave the minus out, or write -place: with a town, region or country",
    ),
    "tag": FilterTerm("a tag", "tag:holiday", "tags", str, many=True, negated="not_tags"),
    "split": FilterTerm("a split", "split:val", "splits", str, many=True, negated="not_splits"),
    "by": FilterTerm(
        "who wrote the captions", "by:human", "sources", _source, many=True,
        negated="not_sources",
    ),
    "has": FilterTerm(
        "what a picture has", "has:caption", "has_caption", _caption, negated="has_caption"
    ),
    "ext": FilterTerm(
        "the ending of a file's name", "ext:jpg", "extensions", _ending, many=True,
        negated="not_extensions",
    ),
    "rating": FilterTerm(
        "the least number of stars", "rating:3", "least_rating", _rating,
        instead="leave the minus out: rating:3 finds pictures of three stars or more",
    ),
    "label": FilterTerm(
        "a label", "label:dog", "labels", str, many=True, negated="not_labels"
    ),
}  # fmt: skip
"""All filters, by the name before the colon."""

_OTHER_WORDS = {
    "since": "after", "from": "after", "date": "after", "until": "before", "till": "before",
    "model": "camera", "make": "camera", "location": "place", "city": "place",
    "country": "place", "town": "place", "where": "place", "gps": "near", "keyword": "tag",
    "keywords": "tag", "source": "by", "extension": "ext", "type": "ext", "class": "label",
    "category": "label", "format": "ext", "filetype": "ext", "stars": "rating", "similar": "like",
    "time": "after", "clock": "after",
}  # fmt: skip


def nearly_named(name: str) -> str:
    """The filter that a name may have been meant for; empty where none is near."""
    folded = name.casefold()
    if folded in _OTHER_WORDS:
        return _OTHER_WORDS[folded]
    near = get_close_matches(folded, [*FILTER_TERMS, "like"], n=1, cutoff=0.75)
    return near[0] if near else ""
