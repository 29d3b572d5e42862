"""Descriptions as files to take away: JSON lines, a table, or a text file for each picture."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable, Mapping
from io import BytesIO, StringIO
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

from engine.types import CaptionHit, CaptionResult

Descriptions = Iterable[tuple[str, CaptionResult]]
"""Picture names and their descriptions."""

_FORMULA = tuple("=+-@\t\r\n|")
_NOT_IN_NAMES = re.compile(r'[\x00-\x1f\x7f<>:"|?*\\/]')
_LONGEST = 200
"""Bytes of a file's name that are kept, of the 255 that file systems take."""


def caption_json(name: str, result: CaptionResult) -> dict[str, Any]:
    """The stable JSON form of a description."""
    return {
        "image": name,
        "caption": result.caption,
        "candidates": [
            {"text": candidate.text, "score": candidate.score} for candidate in result.candidates
        ],
        "retrieved": [caption_hit_json(hit) for hit in result.retrieved],
        "space": result.space,
        "timings_ms": dict(result.timings_ms),
    }


def caption_hit_json(hit: CaptionHit) -> dict[str, Any]:
    """The stable JSON form of a caption that was found."""
    return {"text": hit.text, "score": hit.score, "image_id": hit.image_id}


def as_jsonl(descriptions: Descriptions) -> bytes:
    """One JSON object a line, as `mrag caption --json` prints them."""
    lines = (
        json.dumps(caption_json(name, result), ensure_ascii=False) + "\n"
        for name, result in descriptions
    )
    return "".join(lines).encode()


def as_csv(descriptions: Descriptions) -> bytes:
    """A table of picture, caption and score that spreadsheets open as text, never as formulas."""
    page = StringIO(newline="")
    rows = csv.writer(page)
    rows.writerow(("image", "caption", "score"))
    for name, result in descriptions:
        rows.writerow((_inert(name), _inert(result.caption), f"{chosen_score(result):.4f}"))
    return page.getvalue().encode("utf-8-sig")


def as_sidecars(descriptions: Descriptions) -> bytes:
    """A zip with `photo.jpg.txt` for `photo.jpg`: unpacked beside the pictures, mrag reads it."""
    packed = BytesIO()
    taken: set[str] = set()
    with ZipFile(packed, "w", ZIP_DEFLATED) as archive:
        for name, result in descriptions:
            archive.writestr(_sidecar_name(name, taken), result.caption + "\n")
    return packed.getvalue()


def chosen_score(result: CaptionResult) -> float:
    """The score of the candidate that became the caption."""
    scores: Mapping[str, float] = {made.text: made.score for made in result.candidates}
    return scores[result.caption]


def _inert(text: str) -> str:
    """Text that a spreadsheet does not run: a leading quote mark is its sign for plain text."""
    return f"'{text}" if text.lstrip(" ").startswith(_FORMULA) else text


def _sidecar_name(name: str, taken: set[str]) -> str:
    """A file name without folders or what file systems refuse, not used before in this zip."""
    end = name.encode(errors="replace")[-_LONGEST:].decode(errors="ignore")
    base = _NOT_IN_NAMES.sub("_", end).strip(". ") or "picture"
    unique, count = f"{base}.txt", 1
    while unique.casefold() in taken:
        count += 1
        unique = f"{base} ({count}).txt"
    taken.add(unique.casefold())
    return unique
