"""Merging into XMP: ours is renewed, everybody else's stays."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from engine.xmp import MOST_BYTES, NAMESPACES, NotXmp, name
from mrag_client.models import Description, MadeWith
from service.takeaway.packet import Mode, merged, read
from tests.service.takeaway.conftest import MADE, Exiftool, description

OTHERS = b"""<?xml version="1.0" encoding="UTF-8"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="XMP Core 4.4.0-Exiv2">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about="uuid:1" xmlns:darktable="http://darktable.sf.net/"
    xmlns:dc="http://purl.org/dc/elements/1.1/" darktable:auto_presets_applied="1">
   <!-- hands off -->
   <darktable:history>
    <rdf:Seq><rdf:li darktable:num="0" darktable:params="gz02eJx&amp;"/></rdf:Seq>
   </darktable:history>
   %s
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
"""


def others(inside: str = "") -> bytes:
    return OTHERS % inside.encode()


def alt(*items: tuple[str, str], field: str = "dc:description") -> str:
    told = "".join(f'<rdf:li xml:lang="{lang}">{text}</rdf:li>' for lang, text in items)
    prefix = field.partition(":")[0]
    return f'<{field} xmlns:{prefix}="{NAMESPACES[prefix]}"><rdf:Alt>{told}</rdf:Alt></{field}>'


def described(data: bytes) -> dict[str, str]:
    """The texts for all languages in a packet, by property."""
    root = etree.fromstring(data)
    fields = ("dc:description", "Iptc4xmpCore:AltTextAccessibility")
    found = {}
    for field in fields:
        for item in root.iterfind(f".//{name(field)}//{name('rdf:li')}"):
            if item.get("{http://www.w3.org/XML/1998/namespace}lang") == "x-default":
                found[field.partition(":")[2]] = item.text
    return found


def foreign(data: bytes) -> list[bytes]:
    """All that others wrote, element by element."""
    root = etree.fromstring(data)
    for field in ("dc:description", "Iptc4xmpCore:AltTextAccessibility"):
        for element in root.findall(f".//{name(field)}"):
            element.getparent().remove(element)
    kept = []
    for element in root.iter():
        if isinstance(element.tag, str) and NAMESPACES["mrag"] not in element.tag:
            inside = [dict(element.attrib), (element.text or "").strip(), element.tag]
            if element.tag != name("rdf:Description") or len(element.attrib) > 1:
                kept.append(repr(inside).encode())
        elif not isinstance(element.tag, str):
            kept.append(bytes(etree.tostring(element, with_tail=False)))
    return [one for one in kept if (b"Seq" not in one and b"}li" not in one) or b"gz02" in one]


def test_a_new_sidecar_is_read_by_exiftool(tmp_path: Path, exiftool: Exiftool) -> None:
    sidecar = tmp_path / "photo.jpg.xmp"
    long = "A cat lies on a mat in the sun, and nobody minds. " * 8
    sidecar.write_bytes(merged(b"", description(long), "skip"))
    told = exiftool("-s3", "-XMP-iptcCore:AltTextAccessibility", sidecar).strip()
    assert told == ("A cat lies on a mat in the sun, and nobody minds. " * 2).strip()
    assert exiftool("-s3", "-XMP-dc:Description", sidecar).strip() == long.strip()
    noted = exiftool("-s3", "-XMP-mrag:Generator", "-XMP-mrag:Map", "-XMP-mrag:Memory",
                     "-XMP-mrag:Score", "-XMP-mrag:MadeFrom", sidecar)  # fmt: skip
    assert noted.splitlines() == ["t5", "ridge 1", "coco", "0.5000", "a cat lies there"]
    assert exiftool("-s3", "-validate", sidecar).strip() == "OK"


def test_what_exiftool_rewrites_is_still_known_as_ours(tmp_path: Path, exiftool: Exiftool) -> None:
    sidecar = tmp_path / "photo.xmp"
    sidecar.write_bytes(merged(others(), description("A cat <&> a dog."), "skip"))
    exiftool("-overwrite_original", "-XMP-dc:Title=Mine", "-XMP:Rating=4", sidecar)
    again = sidecar.read_bytes()
    assert read(again).made_with == MADE
    assert set(read(again).authors.values()) == {"mrag"}
    assert merged(again, description("A cat <&> a dog."), "append") == again
    renewed = merged(again, description("Two cats."), "append")
    assert described(renewed)["description"] == "Two cats."
    sidecar.write_bytes(renewed)
    assert exiftool("-s3", "-XMP-dc:Title", "-Rating", sidecar).split() == ["Mine", "4"]


def test_a_persons_text_written_by_exiftool_stays(tmp_path: Path, exiftool: Exiftool) -> None:
    sidecar = tmp_path / "photo.xmp"
    sidecar.write_bytes(merged(b"", description("Ours."), "skip"))
    exiftool("-overwrite_original", "-XMP-dc:Description=My own words", sidecar)
    for mode in ("skip", "append"):
        sidecar.write_bytes(merged(sidecar.read_bytes(), description("Newer."), mode))
        assert exiftool("-s3", "-XMP-dc:Description", sidecar).strip() == "My own words"
    assert exiftool("-s3", "-AltTextAccessibility", sidecar).strip() == "Newer."
    sidecar.write_bytes(merged(sidecar.read_bytes(), description("Newer."), "overwrite"))
    assert exiftool("-s3", "-XMP-dc:Description", sidecar).strip() == "Newer."


PERSONS = [
    alt(("x-default", "by hand")),
    alt(("x-default", "by hand"), ("de-DE", "von Hand")),
    alt(("en-US", "by hand")),
    "<dc:description>by hand</dc:description>",
    "<dc:description><rdf:Bag><rdf:li>by hand</rdf:li></rdf:Bag></dc:description>",
    alt(("x-default", "by hand"), field="Iptc4xmpCore:AltTextAccessibility"),
]


@pytest.mark.parametrize("inside", PERSONS)
def test_what_a_person_wrote_stays_unless_it_is_to_be_replaced(inside: str) -> None:
    before = others(inside)
    assert merged(before, description(), "skip") == before
    assert not read(before).wants("skip", None)
    after = merged(before, description(), "append")
    assert after.count(b"by hand") == 1
    replaced = merged(after, description(), "overwrite")
    assert set(described(replaced).values()) == {"A cat on a mat."}
    assert b"von Hand" not in before or b"von Hand" in replaced
    assert set(read(replaced).authors.values()) == {"mrag"}
    assert foreign(replaced) == foreign(before)


@pytest.mark.parametrize("empty", ["", "<dc:description/>", alt(("x-default", " ")), alt()])
def test_an_empty_description_is_filled(empty: str) -> None:
    before = others(empty)
    after = merged(before, description(), "skip")
    assert set(described(after).values()) == {"A cat on a mat."}
    assert after.count(b"</dc:description>") == 1
    assert foreign(after) == foreign(before)


def test_an_attribute_is_a_persons_text_too() -> None:
    before = others().replace(b'rdf:about="uuid:1"', b'rdf:about="uuid:1" dc:description="by hand"')
    assert b"by hand" in merged(before, description(), "append")
    after = merged(before, description(), "overwrite")
    assert b"by hand" not in after
    assert described(after)["description"] == "A cat on a mat."


def test_what_is_new_is_said_of_the_same_thing() -> None:
    root = etree.fromstring(merged(others(), description(), "skip"))
    abouts = {one.get(name("rdf:about")) for one in root.iter(name("rdf:Description"))}
    assert abouts == {"uuid:1"}


words = st.text(st.characters(codec="utf-8"), max_size=300)
made = st.builds(MadeWith, generator=words, map=words, memory=words, captions=st.integers(0, 9))


modes = st.sampled_from(["skip", "append", "overwrite"])


@given(words, words, made, modes, st.sampled_from([b"", others(), *map(others, PERSONS)]))
def test_merging_twice_is_merging_once(
    first: str, second: str, made_with: MadeWith, mode: Mode, before: bytes
) -> None:
    told = description(first, made_with=made_with)
    once = merged(before, told, mode, datetime(2024, 1, 1, tzinfo=UTC))
    assert merged(once, told, mode, datetime(2025, 1, 1, tzinfo=UTC)) == once
    renewed = merged(once, description(second, made_with=made_with), "append")
    if before:
        assert foreign(renewed) == foreign(before)


@pytest.mark.parametrize("mode", ["skip", "append", "overwrite"])
def test_only_what_is_stale_is_wanted_again(mode: Mode) -> None:
    ours = merged(b"", description(), mode)
    assert not read(ours).wants(mode, MADE)
    newer = MadeWith(generator="t5", map="ridge 2", memory="coco", captions=7)
    assert read(ours).wants(mode, newer) is (mode != "skip")
    assert read(ours).wants(mode, None) is (mode != "skip")
    assert read(b"").wants(mode, None)


HOSTILE = {
    "bomb": b'<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]>'
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/">&b;</x:xmpmeta>',
    "file": b'<!DOCTYPE l [<!ENTITY a SYSTEM "file:///etc/passwd">]><x:xmpmeta '
    b'xmlns:x="adobe:ns:meta/">&a;</x:xmpmeta>',
    "html": b"<html><body>not found</body></html>",
    "text": b"just words",
    "latin": b'<?xml version="1.0" encoding="utf-8"?>'
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/">\xe4</x:xmpmeta>',
    "codec": b'<?xml version="1.0" encoding="klingon"?><x:xmpmeta xmlns:x="adobe:ns:meta/"/>',
    "cut": others()[:200],
    "deep": b"<a>" * 100_000,
    "empty": b'<x:xmpmeta xmlns:x="adobe:ns:meta/"/>',
    "nulls": b"\0" * 100,
    "huge": b" " * (MOST_BYTES + 1),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_what_is_no_xmp_is_refused(kind: str) -> None:
    with pytest.raises(NotXmp):
        read(HOSTILE[kind])
    with pytest.raises(NotXmp):
        merged(HOSTILE[kind], description(), "overwrite")


def test_other_encodings_are_read() -> None:
    told = others(alt(("x-default", "Hündchen"))).decode()
    data = told.replace("UTF-8", "UTF-16").encode("utf-16")
    assert read(data).authors["dc:description"] == "a person"
    after = merged(data, description(), "append")
    assert "Hündchen" in after.decode()
    assert foreign(after) == foreign(data)


@given(st.text(max_size=50))
def test_any_text_can_be_written(told: str) -> None:
    text: Callable[[str], Description] = description
    after = merged(b"", text(told), "skip")
    assert after == b"" or etree.fromstring(after) is not None
