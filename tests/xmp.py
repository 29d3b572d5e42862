"""Packets of XMP, as programs that sort pictures write them."""

from __future__ import annotations

from collections.abc import Sequence
from xml.sax.saxutils import quoteattr

_PREFIXES = {
    "exif": ("http://ns.adobe.com/exif/1.0/", "DateTimeOriginal GPSLatitude GPSLongitude"),
    "tiff": ("http://ns.adobe.com/tiff/1.0/", "Make Model"),
    "aux": ("http://ns.adobe.com/exif/1.0/aux/", "Lens"),
    "xmp": ("http://ns.adobe.com/xap/1.0/", "Rating"),
}


def packet(*, subject: Sequence[str] = (), title: str = "", more: str = "", **fields: str) -> bytes:
    """A packet with keywords, a title, and other fields by their names."""
    of = {name: prefix for prefix, (_, names) in _PREFIXES.items() for name in names.split()}
    spaces = " ".join(f'xmlns:{prefix}="{space}"' for prefix, (space, _) in _PREFIXES.items())
    told = " ".join(f"{of[name]}:{name}={quoteattr(value)}" for name, value in fields.items())
    words = "".join(f"<rdf:li>{word}</rdf:li>" for word in subject)
    listed = f"<dc:subject><rdf:Bag>{words}</rdf:Bag></dc:subject>" if subject else ""
    named = f'<rdf:Alt><rdf:li xml:lang="x-default">{title}</rdf:li></rdf:Alt>'
    listed += f"<dc:title>{named}</dc:title>" if title else ""
    return (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/">'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        f'<rdf:Description xmlns:dc="http://purl.org/dc/elements/1.1/" {spaces} {told}>'
        f"{listed}{more}</rdf:Description></rdf:RDF></x:xmpmeta>"
    ).encode()
