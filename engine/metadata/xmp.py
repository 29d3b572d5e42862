"""What programs that sort pictures wrote: XMP, in a file or in a sidecar beside it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from xml.etree.ElementTree import Element

from defusedxml import ElementTree

from engine.metadata.exif import camera_of
from engine.metadata.facts import NO_FACTS, Facts, facts, moment_of

MOST_BYTES = 2**22
"""A larger packet is not read: it is no description of a picture."""

_RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
_DC = "{http://purl.org/dc/elements/1.1/}"
_XMP = "{http://ns.adobe.com/xap/1.0/}"
_EXIF = "{http://ns.adobe.com/exif/1.0/}"
_EXIF_EX = "{http://cipa.jp/exif/1.0/}"
_AUX = "{http://ns.adobe.com/exif/1.0/aux/}"
_TIFF = "{http://ns.adobe.com/tiff/1.0/}"
_PHOTOSHOP = "{http://ns.adobe.com/photoshop/1.0/}"

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
    """What a packet of XMP says; raises ValueError or an error of XML where it cannot be read."""
    if not isinstance(packet, bytes) or not packet:
        return NO_FACTS
    if len(packet) > MOST_BYTES:
        raise ValueError(f"it has more than {MOST_BYTES:,} bytes")
    said: Said = {}
    for about in _descriptions(ElementTree.fromstring(packet.rstrip(b"\0 \r\n\t"))):
        for name, value in about.attrib.items():
            said.setdefault(name, []).append(value)
        for child in about:
            said.setdefault(child.tag, []).extend(_values(child))
    dates = (_first(said, f"{_EXIF}DateTimeOriginal"), _first(said, f"{_PHOTOSHOP}DateCreated"))
    lenses = (_first(said, f"{_EXIF_EX}LensModel"), _first(said, f"{_AUX}Lens"))
    return facts(
        taken_at=next(filter(None, map(moment_of, dates)), None),
        camera=camera_of(_first(said, f"{_TIFF}Make"), _first(said, f"{_TIFF}Model")),
        lens=next(filter(None, lenses), ""),
        place=_place(said),
        title=_first(said, f"{_DC}title"),
        rating=_number(_first(said, f"{_XMP}Rating")),
        keywords=said.get(f"{_DC}subject", ()),
    )


def _descriptions(root: Element) -> Iterator[Element]:
    """What is said of the picture itself, not of parts of it."""
    for rdf in root.iter(f"{_RDF}RDF"):
        yield from rdf.findall(f"{_RDF}Description")


def _values(field: Element) -> list[str]:
    """The values of a field: one, those of a list, or a text in languages, the default first."""
    listed = [
        (one.get("{http://www.w3.org/XML/1998/namespace}lang"), one.text or "")
        for one in field.iter(f"{_RDF}li")
    ]
    listed.sort(key=lambda one: one[0] not in {None, "x-default"})
    return [text for _, text in listed] or [field.text or ""]


def _first(said: Said, name: str) -> str:
    return next((text for text in said.get(name, ()) if text.strip()), "")


def _place(said: Said) -> tuple[float, float] | None:
    latitude = _degrees(_first(said, f"{_EXIF}GPSLatitude"), "NS")
    longitude = _degrees(_first(said, f"{_EXIF}GPSLongitude"), "EW")
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
