"""What was read of a picture, joined from where it was read, and made fit to be kept."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from engine.legible import legible
from engine.types import NO_METADATA, Metadata
from engine.words import folded

MOST_KEYWORDS = 100
"""Keywords of a picture that are kept, the first ones."""

_LENGTHS = {"camera": 100, "lens": 150, "title": 300, "keyword": 100}
_YEARS = range(1000, 9999)
_MOST_STARS = 5


@dataclass(frozen=True)
class Facts:
    """When a picture was taken, without time zone where nothing said one, and the rest."""

    taken_at: datetime | None = None
    metadata: Metadata = NO_METADATA


NO_FACTS = Facts()


def facts(
    *,
    taken_at: datetime | None = None,
    camera: str = "",
    lens: str = "",
    place: tuple[float, float] | None = None,
    title: str = "",
    rating: float | None = None,
    keywords: Iterable[str] = (),
) -> Facts:
    """What a file says, without what cannot be true, on one line each, and not longer than fits.

    `place`: latitude and longitude in degrees. Latitude and longitude both 0 are what devices
    write that know none; a rating of 0 says that there is none.
    """
    latitude, longitude = _on_the_globe(place) or (None, None)
    about = Metadata(
        camera=clean(camera, _LENGTHS["camera"]),
        lens=clean(lens, _LENGTHS["lens"]),
        latitude=latitude,
        longitude=longitude,
        title=clean(title, _LENGTHS["title"]),
        rating=_stars(rating),
        keywords=_each_once(clean(word, _LENGTHS["keyword"]) for word in keywords),
    )
    return Facts(taken_at if taken_at and taken_at.year in _YEARS else None, about)


def later(said: Facts, seconds: float) -> Facts:
    """What a video says, for a part of it that begins so many seconds after its beginning."""
    if said.taken_at is None:
        return said
    return replace(said, taken_at=said.taken_at + timedelta(seconds=seconds))


def joined(found: Sequence[Facts]) -> Facts:
    """What several say of one picture: the first who says it, and the keywords of all."""
    dates = (one.taken_at for one in found if one.taken_at is not None)
    return Facts(next(dates, None), joined_metadata([one.metadata for one in found]))


def joined_metadata(found: Sequence[Metadata]) -> Metadata:
    """What several say of one picture: the first who says it, and the keywords of all."""
    if len(found) == 1:
        return found[0]
    placed = next((one for one in found if one.latitude is not None), NO_METADATA)
    return Metadata(
        camera=next((one.camera for one in found if one.camera), ""),
        lens=next((one.lens for one in found if one.lens), ""),
        latitude=placed.latitude,
        longitude=placed.longitude,
        title=next((one.title for one in found if one.title), ""),
        rating=next((one.rating for one in found if one.rating is not None), None),
        keywords=_each_once(word for one in found for word in one.keywords),
    )


def clean(text: str, most: int) -> str:
    """A text of a file as one legible line of at most `most` characters; "" if it has no word."""
    line = legible(" ".join(text.replace("\0", " ").split()))
    if len(line) > most:
        line = f"{line[: most - 1].rstrip()}…"
    return line if any(map(str.isalnum, line)) else ""


def text_of(value: object) -> str:
    """A text as files have it: in UTF-8, or else in Latin-1, and filled up with zeros."""
    text = value if isinstance(value, str) else ""
    if isinstance(value, bytes):
        try:
            text = value.decode("utf-8")
        except UnicodeDecodeError:
            text = value.decode("latin-1")
    return text.replace("\0", " ")


def moment_of(text: str) -> datetime | None:
    """A moment as ISO 8601 has it, which must name a day; None for anything else."""
    try:
        return datetime.fromisoformat(text.strip())
    except ValueError:
        return None


def _on_the_globe(place: tuple[float, float] | None) -> tuple[float, float] | None:
    if place is None or not all(map(math.isfinite, place)):
        return None
    latitude, longitude = round(place[0], 6), round(place[1], 6)
    if abs(latitude) > 90 or abs(longitude) > 180 or not (latitude or longitude):
        return None
    return latitude, longitude


def _stars(rating: float | None) -> int | None:
    if rating is None or not math.isfinite(rating) or not rating:
        return None
    stars = round(rating)
    return stars if -1 <= stars <= _MOST_STARS and stars else None


def _each_once(words: Iterable[str]) -> tuple[str, ...]:
    """The first spelling of each word."""
    found: dict[str, str] = {}
    for word in words:
        if word:
            found.setdefault(folded(word), word)
        if len(found) == MOST_KEYWORDS:
            break
    return tuple(found.values())
