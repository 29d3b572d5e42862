"""What a camera wrote: EXIF."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any

from PIL import ExifTags, Image

from engine.metadata.facts import Facts, facts, text_of

_TIME = re.compile(r"\s*(\d{4})\D(\d\d)\D(\d\d)\D(\d\d)\D(\d\d)\D(\d\d)")
_SIGNS = {"N": 1, "S": -1, "E": 1, "W": -1}
_OF_FIRMS = frozenset(
    ("corporation", "corp", "company", "co", "ltd", "inc", "gmbh", "ag", "imaging", "optical")
)
"""Words in the name of a maker that nobody says."""


def exif_facts(exif: Image.Exif) -> Facts:
    """What is read of it; each part that is damaged says nothing."""
    about: Mapping[int, Any] = {}
    place: Mapping[int, Any] = {}
    with suppress(Exception):
        about = exif.get_ifd(ExifTags.IFD.Exif)
    with suppress(Exception):
        place = exif.get_ifd(ExifTags.IFD.GPSInfo)
    return facts(
        taken_at=_taken_at(about),
        camera=camera_of(_text(exif, ExifTags.Base.Make), _text(exif, ExifTags.Base.Model)),
        lens=_text(about, ExifTags.Base.LensModel),
        place=_place(place),
        title=_windows_text(exif, ExifTags.Base.XPTitle),
        rating=_number(exif, ExifTags.Base.Rating),
        keywords=_windows_text(exif, ExifTags.Base.XPKeywords).split(";"),
    )


def camera_of(make: str, model: str) -> str:
    """Maker and model in one name, which says the maker once: Canon EOS R6."""
    make, model = " ".join(make.split()), " ".join(model.split())
    maker = [word for word in make.split() if word.strip(".,").casefold() not in _OF_FIRMS]
    first = model.split()[0].casefold() if model else ""
    if first in {word.casefold() for word in make.split()}:
        return model
    return " ".join([*(word.rstrip(",") for word in maker), model]).strip()


def _taken_at(about: Mapping[int, Any]) -> datetime | None:
    """When the shutter was pressed; None where EXIF does not say it or is damaged."""
    try:
        found = _TIME.match(_text(about, ExifTags.Base.DateTimeOriginal))
        if found is None:
            return None
        taken = datetime.strptime(":".join(found.groups()), "%Y:%m:%d:%H:%M:%S")
        offset = _text(about, ExifTags.Base.OffsetTimeOriginal).strip("\0 ")
    except Exception:
        return None
    with suppress(ValueError):
        return taken.replace(tzinfo=datetime.strptime(offset, "%z").tzinfo)
    return taken


def _place(place: Mapping[int, Any]) -> tuple[float, float] | None:
    with suppress(Exception):
        latitude = _degrees(place, ExifTags.GPS.GPSLatitude, ExifTags.GPS.GPSLatitudeRef, "NS")
        longitude = _degrees(place, ExifTags.GPS.GPSLongitude, ExifTags.GPS.GPSLongitudeRef, "EW")
        return latitude, longitude
    return None


def _degrees(place: Mapping[int, Any], tag: int, half: int, sides: str) -> float:
    """Degrees, minutes and seconds as degrees; raises where a part is not what it should be."""
    side = text_of(place[half]).strip("\0 ").upper()
    parts = [float(part) for part in place[tag]]
    if side not in sides or not side or min(parts) < 0:
        raise ValueError(f"no side of the globe: {side!r}")
    return _SIGNS[side] * sum(part / 60.0**at for at, part in enumerate(parts[:3]))


def _text(tags: Mapping[int, Any] | Image.Exif, tag: int) -> str:
    with suppress(Exception):
        value = tags.get(tag)
        # EXIF asks for ASCII; programs write UTF-8, which Pillow hands out as Latin-1.
        return text_of(value.encode("latin-1") if isinstance(value, str) else value)
    return ""


def _windows_text(exif: Image.Exif, tag: int) -> str:
    """A text that Windows wrote, in UTF-16."""
    with suppress(Exception):
        value = exif.get(tag)
        raw = bytes(value) if isinstance(value, bytes | tuple) else b""
        return raw.decode("utf-16-le", "replace").rstrip("\0")
    return ""


def _number(exif: Image.Exif, tag: int) -> float | None:
    with suppress(Exception):
        value = exif.get(tag)
        return None if value is None else float(value)
    return None
