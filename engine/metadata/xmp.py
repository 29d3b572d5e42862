"""What programs that sort pictures wrote: XMP, in a file or in a sidecar beside it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from engine.metadata.exif import camera_of
from engine.metadata.facts import NO_FACTS, Facts, facts, moment_of
from engine.xmp import find_rdf, name, read_packet

_DEGREES = re.compile(r"\s*(\d+)(?:,(\d+(?:\.\d+)?))?(?:,(\d+(?:\.\d+)?))?\s*([NSEW])\s*")
_DECIMAL = re.compile(r"\s*[+-]?\d+(?:\.\d+)?\s*")

Said = dict[str, list[str]]


def xmp_facts(packet: object) -> Facts:
    """What a packet of XMP says, as bytes or text; nothing where it is damaged."""
    try:
        return read_xmp(packet.encode() if isinstance(packet, str) else packet)
    except Exception:  # a picture is worth more than what is said of it
        return NO_FACTS


def read_xmp(packet: object) -> Facts:
    """What a packet of XMP says; raises NotXmp where it cannot be read."""
    if not isinstance(packet, bytes) or not packet:
        return NO_FACTS
    said: Said = {}
    for about in _descriptions(read_packet(packet.rstrip(b"\0 \r\n\t"))):
        for key, value in about.attrib.items():
            said.setdefault(key, []).append(value)
        for child in about.iterchildren("*"):
            said.setdefault(child.tag, []).extend(_values(child))
    dates = (_first(said, "exif:DateTimeOriginal"), _first(said, "photoshop:DateCreated"))
    lenses = (_first(said, "exifEX:LensModel"), _first(said, "aux:Lens"))
    return facts(
        taken_at=next(filter(None, map(moment_of, dates)), None),
        camera=camera_of(_first(said, "tiff:Make"), _first(said, "tiff:Model")),
        lens=next(filter(None, lenses), ""),
        place=_place(said),
        title=_first(said, "dc:title"),
        rating=_number(_first(said, "xmp:Rating")),
        keywords=said.get(name("dc:subject"), ()),
    )


def _descriptions(tree: Any) -> Iterator[Any]:
    """What is said of the picture itself, not of parts of it."""
    yield from find_rdf(tree).findall(name("rdf:Description"))


def _values(field: Any) -> list[str]:
    """The values of a field: one, those of a list, or a text in languages, the default first."""
    listed = [
        (one.get("{http://www.w3.org/XML/1998/namespace}lang"), one.text or "")
        for one in field.iter(name("rdf:li"))
    ]
    listed.sort(key=lambda one: one[0] not in {None, "x-default"})
    return [text for _, text in listed] or [field.text or ""]


def _first(said: Said, field: str) -> str:
    return next((text for text in said.get(name(field), ()) if text.strip()), "")


def _place(said: Said) -> tuple[float, float] | None:
    latitude = _degrees(_first(said, "exif:GPSLatitude"), "NS")
    longitude = _degrees(_first(said, "exif:GPSLongitude"), "EW")
    return None if latitude is None or longitude is None else (latitude, longitude)


def _degrees(text: str, sides: str) -> float | None:
    """Degrees of `38,42.672N`, `38,42,40N`, or as a plain number, which some programs write."""
    if _DECIMAL.fullmatch(text):
        return float(text)
    found = _DEGREES.fullmatch(text)
    if found is None or found[4] not in sides:
        return None
    degrees = sum(float(part or 0) / 60.0**at for at, part in enumerate(found.groups()[:3]))
    return degrees if found[4] in "NE" else -degrees


def _number(text: str) -> float | None:
    with suppress(ValueError):
        return float(text)
    return None
