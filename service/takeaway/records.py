"""A description as a record of a table: JSON with all that is known, or a flat row."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from io import StringIO
from typing import Any

from pydantic import ValidationError

from mrag_client.models import Description, MadeWith
from service.takeaway.alt_text import alt_text
from service.takeaway.values import chosen_score, inert

COLUMNS = (
    "image", "caption", "score", "alt_text", "generator", "map", "memory", "lent",
    "made_from", "described",
)  # fmt: skip
"""Of a flat row: `lent` is how many captions could be borrowed, `described` is when."""

_COLUMN = {"captions": "lent"}
"""What has another name in a flat row, as readers of tables take `captions` for the captions."""

Record = dict[str, Any]
"""The fields of a Description, and when it was made: what a line of JSON holds."""


def record_of(image: str, told: Description) -> Record:
    """A description as it is written down now, of the picture that is called so there."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {**told.model_dump(mode="json"), "image": image, "described": now}


def made_with(record: Mapping[str, Any]) -> MadeWith | None:
    """What a record's description was made with; None where it does not say so."""
    try:
        return MadeWith.model_validate(record.get("made_with"))
    except ValidationError:
        return None


def json_line(record: Record) -> bytes:
    """A record as a line."""
    return json.dumps(record, ensure_ascii=False).encode("utf-8", "surrogateescape") + b"\n"


def of_json(line: bytes) -> Record:
    """The record of a line; raises ValueError for anything else."""
    record = json.loads(line.decode("utf-8", "surrogateescape"))
    if isinstance(record, dict) and isinstance(record.get("image"), str):
        return record
    raise ValueError("it is no description of an image")


def flat(record: Record) -> Record:
    """The columns of a record."""
    told = Description.model_validate(record)
    caption = " ".join(told.caption.split())
    return {
        "image": record["image"],
        "caption": caption,
        "score": round(chosen_score(told), 4),
        "alt_text": alt_text(caption),
        **{_COLUMN.get(name, name): value for name, value in told.made_with},
        "made_from": [one.text for one in told.retrieved],
        "described": record["described"],
    }


def csv_line(record: Record) -> bytes:
    """A record as a row that spreadsheets open as text, never as formulas."""
    row = flat(record)
    row["score"] = f"{row['score']:.4f}"
    row["made_from"] = " | ".join(row["made_from"])
    return csv_row([cell(str(row[column])) for column in COLUMNS])


def cell(text: str) -> str:
    """A text as a spreadsheet is to show it: on one line, and never run."""
    return inert(" ".join(text.split()))


def in_utf8(text: str) -> str:
    """A text with what cannot be UTF-8, as bytes of a file's name, written out."""
    return text.encode("utf-8", "backslashreplace").decode()


def csv_row(cells: Sequence[str]) -> bytes:
    """Cells as a row."""
    page = StringIO(newline="")
    csv.writer(page).writerow(cells)
    return page.getvalue().encode("utf-8", "surrogateescape")


def of_row(cells: Sequence[str]) -> Record:
    """What a row of such a table says: the image, and what its description was made with."""
    if len(cells) != len(COLUMNS) or not cells[-1].endswith("Z"):
        raise ValueError("is no whole row of descriptions")
    row = dict(zip(COLUMNS, cells, strict=True))
    return of_columns({**row, "lent": int(row["lent"])})


def of_columns(row: Mapping[str, Any]) -> Record:
    """A row as a record, as far as it is compared with others."""
    made = {name: row[_COLUMN.get(name, name)] for name in MadeWith.model_fields}
    return {"image": row["image"], "caption": row["caption"], "made_with": made}
