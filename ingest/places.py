"""The names of where pictures were taken, found offline: the nearest town, its region and country.

They follow from coordinates, so they are found when points are made, and kept in the index alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import asin, cos, radians, sin, sqrt
from typing import Any

from engine.types import Metadata
from engine.words import folded

FURTHEST_KM = 100.0
"""A town further away says nothing: at sea there is none."""

CITIES = {1_000_000: 25.0, 100_000: 15.0}
"""A city of so many people is named beside a quarter or a suburb within so many kilometres."""

_EARTH_KM = 6371.0


def place_names(pictures: Sequence[Metadata]) -> list[tuple[str, ...]]:
    """For each picture the names of its place, the nearest first; none where it says no place.

    All are looked up at once. The first time in a process takes a second, and 200 MB.
    """
    located = {
        (one.latitude, one.longitude)
        for one in pictures
        if one.latitude is not None and one.longitude is not None
    }
    found = _names(sorted(located)) if located else {}
    return [found.get((one.latitude, one.longitude), ()) for one in pictures]


def _names(places: list[tuple[float, float]]) -> dict[tuple[Any, Any], tuple[str, ...]]:
    import reverse_geocode

    # First the few large ones: what is read for them is free again for the others.
    large = [reverse_geocode.search(places, min_population=people) for people in CITIES]
    towns = reverse_geocode.search(places)
    each = zip(places, towns, *large, strict=True)
    return {place: _named(place, town, *cities) for place, town, *cities in each}


def _named(
    place: tuple[float, float], town: Mapping[str, Any], *large: Mapping[str, Any]
) -> tuple[str, ...]:
    if _kilometres(place, town) > FURTHEST_KM:
        return ()
    limits = zip(large, CITIES.values(), strict=True)
    cities = [city["city"] for city, limit in limits if _kilometres(place, city) <= limit]
    region = (town.get(part, "") for part in ("county", "state", "country"))
    names: dict[str, str] = {}
    for name in (town["city"], *reversed(cities), *region):
        if name:
            names.setdefault(folded(name), name)
    return tuple(names.values())


def _kilometres(place: tuple[float, float], other: Mapping[str, Any]) -> float:
    """The distance of a place of the gazetteer, on a sphere."""
    here, there = radians(place[0]), radians(other["latitude"])
    east = radians(other["longitude"] - place[1])
    chord = sin((there - here) / 2) ** 2 + cos(here) * cos(there) * sin(east / 2) ** 2
    return 2 * _EARTH_KM * asin(min(1.0, sqrt(chord)))
