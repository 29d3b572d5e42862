"""Reads rows with a picture and captions: CSV, TSV, JSONL and JSON lists."""

from __future__ import annotations

import csv
import itertools
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath

from corpus.records import Skipped
from engine.errors import SourceError
from ingest.readers.annotation import Annotation, one_line, printable
from ingest.readers.gathering import Gathering
from ingest.readers.jsonstream import items
from ingest.readers.lines import LINE_LIMIT, is_decoded, read_lines

_IMAGE = (
    "image image_path img_path file_path filepath file file_name filename image_name path img "
    "image_url url"
)
_CAPTION = "captions caption texts text sentences sentence description comment alt alt_text raw"
_DELIMITERS = ",;\t|"


@dataclass(frozen=True)
class Row:
    """A row by column name (lower case), and where it stands."""

    where: str
    values: Mapping[str, object]


@dataclass(frozen=True)
class Columns:
    """Names of columns that may hold the picture and the captions, the likeliest first."""

    image: tuple[str, ...] = tuple(_IMAGE.split())
    caption: tuple[str, ...] = tuple(_CAPTION.split())

    @classmethod
    def named(cls, image: str, caption: str) -> Columns:
        """The columns that the user named; the usual names where a name is empty."""
        usual = cls()
        return cls(
            (_plain(image),) if image else usual.image,
            (_plain(caption),) if caption else usual.caption,
        )

    def known_in(self, names: Iterable[str]) -> int:
        """How many of the two, picture and captions, are among the names."""
        there = set(names)
        return sum(not there.isdisjoint(wanted) for wanted in (self.image, self.caption))


def read_table(
    path: Path, rows: Iterable[Row | Skipped], columns: Columns
) -> Iterator[Annotation | Skipped]:
    """An entry for each caption without a picture, then one for each picture.

    Rows of one picture become one entry wherever they stand; its id, split and tags are
    those of its first row. Raises SourceError where the first row has no known column.
    """
    first = True
    with Gathering() as gathering:
        for row in rows:
            if isinstance(row, Skipped):
                yield row
                continue
            if first:
                _check_known(path, columns, row.values)
                first = False
            entry = _entry(path, row, columns)
            if isinstance(entry, Skipped) or not entry.image:
                yield entry
            else:
                gathering.add(os.path.normpath(entry.image), entry)
        yield from gathering.entries()


def csv_rows(path: Path, columns: Columns) -> Iterator[Row | Skipped]:
    """The rows of a file with a header and one of four delimiters: `,` `;` tab `|`."""
    lines = read_lines(path, newline="")
    header = next((line for line in lines if line.strip()), "")
    # Wrongly quoted rows are reported: taken leniently, a quote that is never closed would
    # make the rest of the file one caption. The limit is the process's, so it is only raised.
    csv.field_size_limit(max(csv.field_size_limit(), LINE_LIMIT))
    delimiter = delimiter_of(header, columns)
    spaced = f"{delimiter} " in header
    every = itertools.chain([header], lines)
    rows = _tab_fields(every, spaced) if delimiter == "\t" else _fields(every, delimiter, spaced)
    first = next(rows, [])
    if isinstance(first, str):
        raise SourceError(f"{path} has no header that can be read: {first}")
    names = [_plain(name) for name in first]
    _check_named(path, columns, names)
    for number, fields in enumerate(rows, start=2):
        if isinstance(fields, str):
            yield Skipped(str(path), f"row {number} {fields}")
        elif fields:
            yield _csv_row(path, f"row {number}", names, fields)


def _fields(lines: Iterable[str], delimiter: str, spaced: bool) -> Iterator[list[str] | str]:
    """The fields of each row, or what is wrong with it."""
    reader = csv.reader(lines, delimiter=delimiter, strict=True, skipinitialspace=spaced)
    while True:
        try:
            yield next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield f"(up to line {reader.line_num}): {error}"


def _tab_fields(lines: Iterable[str], spaced: bool) -> Iterator[list[str]]:
    """The fields of each line: between tabs nothing is quoted, and a line is always a row.

    But spreadsheets and pandas quote there too. A line whose quotes are in order is read as
    theirs, any other as it stands: a caption may begin with a word in quotes.
    """
    for line in lines:
        row = line.rstrip("\r\n")
        try:
            yield next(csv.reader([row], "excel-tab", strict=True, skipinitialspace=spaced))
        except csv.Error:
            yield [field.lstrip(" ") if spaced else field for field in row.split("\t")]


def _csv_row(path: Path, where: str, names: list[str], fields: list[str]) -> Row | Skipped:
    if not is_decoded("".join(fields)):
        return Skipped(str(path), f"{where} is not UTF-8; save the file as UTF-8")
    if any(fields[len(names) :]):
        return Skipped(
            str(path),
            f"{where} has {len(fields)} fields, the header has {len(names)}; "
            "quote fields that contain the delimiter",
        )
    values: dict[str, object] = {}
    for name, field in zip(names, fields, strict=False):
        values.setdefault(name, field)
    return Row(where, values)


def jsonl_rows(path: Path) -> Iterator[Row | Skipped]:
    """The rows of a file with one JSON object a line."""
    for number, line in enumerate(read_lines(path), start=1):
        where = f"line {number}"
        if not is_decoded(line):
            yield Skipped(str(path), f"{where} is not UTF-8; save the file as UTF-8")
        elif line.strip():
            try:
                value = json.loads(line)
            except (ValueError, RecursionError) as error:
                yield Skipped(str(path), f"{where} is not JSON: {error}")
            else:
                yield _json_row(path, where, value)


def json_rows(path: Path) -> Iterator[Row | Skipped]:
    """The rows of a file that is one JSON list of objects."""
    for number, value in enumerate(items(path, "item"), start=1):
        yield _json_row(path, f"element {number}", value)


def _json_row(path: Path, where: str, value: object) -> Row | Skipped:
    if not isinstance(value, dict):
        return Skipped(str(path), f"{where} is not a JSON object")
    return Row(where, {_plain(name): item for name, item in value.items()})


def delimiter_of(header: str, columns: Columns) -> str:
    """The delimiter that makes most known columns of the header line, then most columns."""

    def worth(delimiter: str) -> tuple[int, int]:
        names = _header_names(header, delimiter)
        return columns.known_in(names), len(names)

    return max(_DELIMITERS, key=worth)


def is_table_header(line: str) -> bool:
    """Whether the line names both a picture and a caption column."""
    columns = Columns()
    return columns.known_in(_header_names(line, delimiter_of(line, columns))) == 2


def _header_names(line: str, delimiter: str) -> list[str]:
    """The names in a header line that need not be one."""
    return [_plain(name.strip().strip('"')) for name in line.split(delimiter)]


def _check_named(path: Path, columns: Columns, names: list[str]) -> None:
    for wanted in (columns.image, columns.caption):
        if len(wanted) == 1 and wanted[0] not in names:
            raise SourceError(
                f"{path} has no column {wanted[0]!r}; its columns are: {', '.join(names) or 'none'}"
            )


def _check_known(path: Path, columns: Columns, values: Mapping[str, object]) -> None:
    if columns.known_in(values):
        return
    raise SourceError(
        f"{path} has no column for a picture ({', '.join(columns.image)}) and none for captions "
        f"({', '.join(columns.caption)}); its columns are: {', '.join(values) or 'none'}. "
        "Name them with --image-column and --caption-column"
    )


def _entry(path: Path, row: Row, columns: Columns) -> Annotation | Skipped:
    try:
        image = _text(*_first(row.values, columns.image))
        captions = tuple(map(one_line, _texts(*_first(row.values, columns.caption))))
        tags = _tags(row.values.get("tags"))
        named = _first(row.values, ("image_id", "id") if image else ("image_id",))
        image_id = _text(*named) or (printable(PurePath(image).as_posix()) if image else "")
        split = _text("split", row.values.get("split"))
    except ValueError as error:
        return Skipped(str(path), f"{row.where}: {error}")
    if not image and not any(captions):
        return Skipped(str(path), f"{row.where} has neither a picture nor a caption")
    return Annotation(row.where, image, tuple(filter(None, captions)), image_id, split, tags)


def _first(values: Mapping[str, object], names: tuple[str, ...]) -> tuple[str, object]:
    """The first of the columns that holds anything, and what it holds."""
    for name in names:
        if (value := values.get(name)) not in (None, "", []):
            return name, value
    return "", None


def _text(name: str, value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        return str(value).strip()
    raise ValueError(f"column {name!r} holds {type(value).__name__}, not text")


def _texts(name: str, value: object) -> list[str]:
    """The texts of a list, of a JSON list written in a cell, or of a single text."""
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            value = json.loads(value)
        except ValueError:
            return [str(value)]
    if isinstance(value, list):
        return [_text(name, item) for item in value]
    return [text] if (text := _text(name, value)) else []


def _tags(value: object) -> tuple[str, ...]:
    texts = _texts("tags", value)
    if not isinstance(value, list):
        texts = [part for text in texts for part in re.split(r"[,;|]", text)]
    return tuple(filter(None, map(one_line, texts)))


def _plain(name: str) -> str:
    return name.strip().lower()
