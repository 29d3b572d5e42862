"""Merges a description into an XMP packet, and leaves in it what others wrote.

Which text is ours is known by what we noted beside it: one that has been changed since is a
person's. Merging the same twice changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from lxml import etree

from engine.xmp import NAMESPACES, find_rdf, fit_for_xml, name, new_packet, read_packet
from mrag_client.models import Description, MadeWith
from mrag_client.version import own_version
from service.takeaway.alt_text import alt_text
from service.takeaway.values import chosen_score

Mode = Literal["skip", "append", "overwrite"]
Author = Literal["nobody", "mrag", "a person"]

_DESCRIPTION, _RDF = name("rdf:Description"), NAMESPACES["rdf"]
_LISTS = (name("rdf:Alt"), name("rdf:Bag"), name("rdf:Seq"))
_ABOUT, _LI, _LANG = name("rdf:about"), name("rdf:li"), "{http://www.w3.org/XML/1998/namespace}lang"
_OURS = f"{{{NAMESPACES['mrag']}}}"

_FIELDS = {
    "Iptc4xmpCore:AltTextAccessibility": "mrag:AltText",
    "dc:description": "mrag:Description",
}
"""Where a text is written, and where it is noted that we wrote it."""


@dataclass(frozen=True)
class Read:
    """What a packet says of a picture: who wrote each text, and what ours was made with."""

    authors: dict[str, Author]
    made_with: MadeWith | None

    def wants(self, mode: Mode, now: MadeWith | None) -> bool:
        """Whether a description would change it.

        skip: where nothing describes the picture. append: where a text is missing, or ours was
        made otherwise than `now`; overwrite: also where a person wrote it. Where it is not known
        what descriptions are made with now, ours would be renewed.
        """
        authors = set(self.authors.values())
        if mode == "skip":
            return authors == {"nobody"}
        stale = "mrag" in authors and (now is None or self.made_with != now)
        return stale or "nobody" in authors or (mode == "overwrite" and "a person" in authors)


def read(data: bytes) -> Read:
    """Who described a picture in its packet, b"" being that of none; raises NotXmp."""
    if not data:
        return Read(dict.fromkeys(_FIELDS, "nobody"), None)
    return _read(find_rdf(read_packet(data)))


def merged(data: bytes, told: Description, mode: Mode, when: datetime | None = None) -> bytes:
    """The packet with a description in it, b"" standing for none; the same bytes if none is new.

    Raises NotXmp for bytes that are no packet.
    """
    tree = read_packet(data) if data else new_packet()
    rdf = find_rdf(tree)
    before = _read(rdf)
    texts = {
        "Iptc4xmpCore:AltTextAccessibility": alt_text(fit_for_xml(told.caption)),
        "dc:description": fit_for_xml(told.caption),
    }
    writes = {
        field: text for field, text in texts.items() if _may(mode, before, before.authors[field])
    }
    if not writes or not texts["dc:description"]:
        return data
    notes = _notes(told, {_FIELDS[field]: text for field, text in writes.items()})
    if _is_same(rdf, writes, notes):
        return data
    _forget_ours(rdf)
    home = _home(rdf)
    for field, text in writes.items():
        _set(rdf, home, field, text)
    _note(home, notes, when or datetime.now(UTC))
    _tidy(rdf, home)
    has_declaration = data.lstrip(b"\xef\xbb\xbf").startswith(b"<?xml ")
    written: bytes = etree.tostring(tree, encoding="UTF-8", xml_declaration=has_declaration)
    return written if written.endswith(b"\n") else written + b"\n"


def _may(mode: Mode, before: Read, author: Author) -> bool:
    if mode == "skip":
        return set(before.authors.values()) == {"nobody"}
    return author != "a person" or mode == "overwrite"


# What is there.


def _read(rdf: Any) -> Read:
    authors = {field: _author(rdf, field, noted) for field, noted in _FIELDS.items()}
    texts = {key: _ours(rdf, f"mrag:{key}") for key in ("Generator", "Map", "Memory", "Captions")}
    if not texts["Generator"]:
        return Read(authors, None)
    count = texts["Captions"]
    made_with = MadeWith(
        generator=texts["Generator"],
        map=texts["Map"],
        memory=texts["Memory"],
        captions=int(count) if count.isdecimal() else 0,
    )
    return Read(authors, made_with)


def _author(rdf: Any, field: str, noted: str) -> Author:
    texts = [text for _, text in _texts(rdf, field)]
    if not texts:
        return "nobody"
    default = next((text for lang, text in _texts(rdf, field) if lang == "x-default"), None)
    ours = _ours(rdf, noted)
    return "mrag" if ours and default is not None and default == ours else "a person"


def _texts(rdf: Any, field: str) -> Iterator[tuple[str, str]]:
    """What stands in a property, in whichever form: each text with its language."""
    for described in rdf.iterfind(_DESCRIPTION):
        if plain := _line(described.get(name(field))):
            yield "", plain
        for value in described.iterfind(name(field)):
            items = [one for kind in _LISTS for one in value.iterfind(f"{kind}/{_LI}")]
            for item in items or [value]:
                if text := _line("".join(item.itertext(with_tail=False))):
                    yield (item.get(_LANG) or "").lower(), text


def _ours(rdf: Any, field: str) -> str:
    """What we noted under a name, "" where we did not."""
    for described in rdf.iterfind(_DESCRIPTION):
        if text := _line(described.get(name(field)) or described.findtext(name(field))):
            return text
    return ""


def _line(text: str | None) -> str:
    return " ".join((text or "").split())


def _is_same(rdf: Any, writes: dict[str, str], notes: dict[str, str | Sequence[str]]) -> bool:
    """Whether all that would be written stands there already, but for when that was."""
    for field, text in writes.items():
        if ("x-default", text) not in _texts(rdf, field):
            return False
    return all(_noted(rdf, field) == value for field, value in notes.items())


def _noted(rdf: Any, field: str) -> str | list[str]:
    for value in rdf.iterfind(f"{_DESCRIPTION}/{name(field)}"):
        items = value.findall(f"{name('rdf:Seq')}/{_LI}")
        return [_line(item.text) for item in items] if items else _line(value.text)
    return ""


# What is written.


def _notes(told: Description, wrote: dict[str, str]) -> dict[str, str | Sequence[str]]:
    """What is noted of how a description came about; what is empty is not."""
    made = told.made_with
    notes: dict[str, str | Sequence[str]] = {
        **wrote,
        "mrag:Generator": fit_for_xml(made.generator),
        "mrag:Map": fit_for_xml(made.map),
        "mrag:Memory": fit_for_xml(made.memory),
        "mrag:Captions": str(made.captions),
        "mrag:Score": f"{chosen_score(told):.4f}",
        "mrag:MadeFrom": [fit_for_xml(one.text) for one in told.retrieved],
        "mrag:Version": own_version(),
    }
    return {field: value for field, value in notes.items() if value}


def _forget_ours(rdf: Any) -> None:
    """Take out what we noted before."""
    for described in rdf.iterfind(_DESCRIPTION):
        for key in [key for key in described.attrib if key.startswith(_OURS)]:
            del described.attrib[key]
        for value in [one for one in described if _is_ours(one)]:
            _remove(described, value)


def _is_ours(element: Any) -> bool:
    return isinstance(element.tag, str) and element.tag.startswith(_OURS)


def _home(rdf: Any) -> Any:
    """The element that what is new goes into: one with our names, which is made if need be."""
    prefixes = {key: NAMESPACES[key] for key in ("dc", "Iptc4xmpCore", "mrag")}
    known = rdf.findall(_DESCRIPTION)
    for described in known:
        if described.nsmap.get("mrag") == NAMESPACES["mrag"]:
            return described
    made = etree.SubElement(rdf, _DESCRIPTION, nsmap=prefixes)
    # All that is said is said of one thing, by whichever name others gave it.
    made.set(_ABOUT, (known[0].get(_ABOUT) or known[0].get("about") or "") if known else "")
    return made


def _set(rdf: Any, home: Any, field: str, text: str) -> None:
    """Write the text that stands for all languages; those of other languages stay."""
    found = rdf.findall(f"{_DESCRIPTION}/{name(field)}")
    for described in rdf.iterfind(_DESCRIPTION):
        described.attrib.pop(name(field), None)
    for more in found[1:]:
        _remove(more.getparent(), more)
    value = found[0] if found else etree.SubElement(home, name(field))
    choices = value.find(name("rdf:Alt"))
    if choices is None:
        for child in list(value):
            value.remove(child)
        value.attrib.clear()
        value.text = None
        choices = etree.SubElement(value, name("rdf:Alt"))
    item = next((one for one in choices if (one.get(_LANG) or "").lower() == "x-default"), None)
    if item is None:
        item = etree.Element(_LI)
        item.set(_LANG, "x-default")
        item.tail = choices.text
        choices.insert(0, item)
    for child in list(item):
        item.remove(child)
    item.text = text


def _note(home: Any, notes: dict[str, str | Sequence[str]], when: datetime) -> None:
    for field, value in {**notes, "mrag:When": when.isoformat(timespec="seconds")}.items():
        element = etree.SubElement(home, name(field))
        if isinstance(value, str):
            element.text = value
            continue
        items = etree.SubElement(element, name("rdf:Seq"))
        for one in value:
            etree.SubElement(items, _LI).text = one


def _remove(parent: Any, child: Any) -> None:
    """Take an element out, and not the text that follows it."""
    before = child.getprevious()
    if child.tail and child.tail.strip():
        if before is None:
            parent.text = (parent.text or "") + child.tail
        else:
            before.tail = (before.tail or "") + child.tail
    parent.remove(child)


def _tidy(rdf: Any, home: Any) -> None:
    """Indent what is ours, and nothing else."""
    if all(_is_ours(one) or one.tag in map(name, _FIELDS) for one in home):
        etree.indent(home, space=" ", level=2)
    before = home.getprevious()
    if before is None:
        rdf.text = "\n  "
    elif not (before.tail or "").strip():
        before.tail = "\n  "
    if home.getnext() is None:
        home.tail = "\n "
