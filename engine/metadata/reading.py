"""What an open picture file says of its picture: the parts of it in their order."""

from __future__ import annotations

from PIL import Image

from engine.metadata.exif import exif_facts
from engine.metadata.facts import Facts, joined
from engine.metadata.iptc import iptc_facts
from engine.metadata.xmp import xmp_facts


def facts_of(image: Image.Image, exif: Image.Exif) -> Facts:
    """What its EXIF, XMP and IPTC say; the camera's word comes before that of programs."""
    return joined([exif_facts(exif), xmp_facts(image.info.get("xmp")), iptc_facts(image)])
