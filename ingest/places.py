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

CITY_KM = 15.0
"""Within so much the nearest large city is named beside a quarter or a suburb of it."""

_LARGE = 100_000
_EARTH_KM = 6371.0


def place_names(pictures: Sequence[Metadata]) -> list[tuple[str, ...]]:
    """For each picture the names of its place, the nearest first; none where it says no place.

    All are looked up at once. The first time in a process takes about a second, and 200 MB.
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
    cities = reverse_geocode.search(places, min_population=_LARGE)
    towns = reverse_geocode.search(places)
    return {
        place: _named(place, city, town)
        for place, city, town in zip(places, cities, towns, strict=True)
    }


def _named(
    place: tuple[float, float], city: Mapping[str, Any], town: Mapping[str, Any]
) -> tuple[str, ...]:
    if _kilometres(place, town) > FURTHEST_KM:
        return ()
    large = [city["city"]] if _kilometres(place, city) <= CITY_KM else []
    region = (town.get(part, "") for part in ("county", "state", "country"))
    names: dict[str, str] = {}
    for name in (town["city"], *large, *region):
        if name:
            names.setdefault(folded(name), name)
    return tuple(names.values())


def _kilometres(place: tuple[float, float], other: Mapping[str, Any]) -> float:
    """The distance of a place of the gazetteer, on a sphere."""
    here, there = radians(place[0]), radians(other["latitude"])
    east = radians(other["longitude"] - place[1])
    chord = sin((there - here) / 2) ** 2 + cos(here) * cos(there) * sin(east / 2) ** 2
    return 2 * _EARTH_KM * asin(min(1.0, sqrt(chord)))
