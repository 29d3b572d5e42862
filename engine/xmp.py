"""XMP, what files say of themselves: its names, and packets read from whoever wrote them."""

from __future__ import annotations

import re
from typing import Any

from lxml import etree

from engine.errors import InvalidInput

MOST_BYTES = 2**24
"""A packet of more is nobody's description of a picture."""

NAMESPACES = {
    "x": "adobe:ns:meta/",
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "dc": "http://purl.org/dc/elements/1.1/",
    "xmpNote": "http://ns.adobe.com/xmp/note/",
    "xmp": "http://ns.adobe.com/xap/1.0/",
    "exif": "http://ns.adobe.com/exif/1.0/",
    "exifEX": "http://cipa.jp/exif/1.0/",
    "aux": "http://ns.adobe.com/exif/1.0/aux/",
    "tiff": "http://ns.adobe.com/tiff/1.0/",
    "photoshop": "http://ns.adobe.com/photoshop/1.0/",
    "Iptc4xmpCore": "http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/",
    "mrag": "urn:mrag:xmp:1.0/",
}

_NOT_IN_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class NotXmp(InvalidInput):
    """Bytes that are no XMP packet, or one that nobody should read; the message says what it is."""


def name(prefixed: str) -> str:
    """`dc:description` as lxml has it."""
    prefix, local = prefixed.split(":")
    return f"{{{NAMESPACES[prefix]}}}{local}"


def read_packet(data: bytes) -> Any:
    """The document of a packet, an lxml tree with everything that others wrote in it.

    Entities are not resolved and nothing is fetched. Raises NotXmp.
    """
    if len(data) > MOST_BYTES:
        raise NotXmp(f"has {len(data):,} bytes, XMP at most {MOST_BYTES:,}")
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, collect_ids=False
    )
    try:
        tree = etree.fromstring(data, parser).getroottree()
    except (etree.XMLSyntaxError, ValueError, LookupError) as error:
        told = str(error).partition("\n")[0] or "it is empty"
        raise NotXmp(f"is no XML that can be read ({told})") from error
    if tree.docinfo.internalDTD is not None or tree.docinfo.doctype:
        raise NotXmp("has a document type, which XMP never has, and may hold anything")
    find_rdf(tree)
    return tree


def new_packet() -> Any:
    """A packet that says nothing yet."""
    meta = etree.Element(name("x:xmpmeta"), nsmap={"x": NAMESPACES["x"]})
    meta.text = "\n "
    rdf = etree.SubElement(meta, name("rdf:RDF"), nsmap={"rdf": NAMESPACES["rdf"]})
    rdf.text = rdf.tail = "\n"
    return meta.getroottree()


def find_rdf(tree: Any) -> Any:
    """The element that all properties stand in; raises NotXmp where there is none."""
    root = tree.getroot()
    if root.tag == name("rdf:RDF"):
        return root
    found = root.find(name("rdf:RDF")) if root.tag.startswith(f"{{{NAMESPACES['x']}}}") else None
    if found is None:
        raise NotXmp("is XML, but no XMP")
    return found


def fit_for_xml(text: str) -> str:
    """The text on one line, without what no XML can hold."""
    return " ".join(_NOT_IN_XML.sub(" ", text).split())
