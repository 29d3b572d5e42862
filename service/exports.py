"""Descriptions as files to take away: JSON lines, a table, or a file for each picture."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterable
from io import BytesIO, StringIO
from zipfile import ZIP_DEFLATED, ZipFile

from mrag_client.models import Description, DuplicateGroup
from service.takeaway.packet import merged
from service.takeaway.values import chosen_score, inert

Descriptions = Iterable[Description]

_NOT_IN_NAMES = re.compile(r'[\x00-\x1f\x7f<>:"|?*\\/]')
_LONGEST = 200
"""Bytes of a file's name that are kept, of the 255 that file systems take."""


def as_jsonl(descriptions: Descriptions) -> bytes:
    """One JSON object a line, as `mrag caption --json` prints them."""
    lines = (
        json.dumps(one.model_dump(mode="json"), ensure_ascii=False) + "\n" for one in descriptions
    )
    return "".join(lines).encode()


def as_csv(descriptions: Descriptions) -> bytes:
    """A table of picture, caption and score that spreadsheets open as text, never as formulas."""
    page = StringIO(newline="")
    rows = csv.writer(page)
    rows.writerow(("image", "caption", "score"))
    for one in descriptions:
        rows.writerow((inert(one.image), inert(one.caption), f"{chosen_score(one):.4f}"))
    return page.getvalue().encode("utf-8-sig")


def as_sidecars(descriptions: Descriptions) -> bytes:
    """A zip with `photo.jpg.txt` for `photo.jpg`: unpacked beside the pictures, mrag reads it."""
    return _zipped(descriptions, ".txt", lambda one: f"{one.caption}\n".encode())


def as_xmp(descriptions: Descriptions) -> bytes:
    """A zip with `photo.jpg.xmp` for `photo.jpg`: photo managers read it beside the pictures."""
    return _zipped(descriptions, ".xmp", lambda one: merged(b"", one, "overwrite"))


def _zipped(
    descriptions: Descriptions, ending: str, content: Callable[[Description], bytes]
) -> bytes:
    packed = BytesIO()
    taken: set[str] = set()
    with ZipFile(packed, "w", ZIP_DEFLATED) as archive:
        for one in descriptions:
            if data := content(one):
                archive.writestr(_sidecar_name(one.image, ending, taken), data)
    return packed.getvalue()


def duplicates_as_csv(groups: Iterable[DuplicateGroup]) -> bytes:
    """A table with a row for each file of each group, which spreadsheets open as text."""
    page = StringIO(newline="")
    rows = csv.writer(page)
    rows.writerow(
        ("group", "keep", "path", "there", "bytes", "width", "height", "modified", "taken",
         "places", "caption", "id")
    )  # fmt: skip
    for number, group in enumerate(groups, 1):
        for picture in group.pictures:
            for at, file in enumerate(picture.files):
                kept = "keep" if picture.keep and not at else ""
                rows.writerow(
                    (
                        *(number, kept, inert(file.path), "yes" if file.there else "no"),
                        *(file.bytes, picture.width, picture.height),
                        file.modified.isoformat(timespec="seconds"),
                        picture.taken_at.isoformat() if picture.taken_at else "",
                        *(inert(", ".join(picture.places)), inert(picture.caption), picture.id),
                    )
                )
    return page.getvalue().encode("utf-8-sig")


def _sidecar_name(name: str, ending: str, taken: set[str]) -> str:
    """A file name without folders or what file systems refuse, not used before in this zip."""
    end = name.encode(errors="replace")[-_LONGEST:].decode(errors="ignore")
    base = _NOT_IN_NAMES.sub("_", end).strip(". ") or "picture"
    unique, count = f"{base}{ending}", 1
    while unique.casefold() in taken:
        count += 1
        unique = f"{base} ({count}){ending}"
    taken.add(unique.casefold())
    return unique
