"""Descriptions in one file: JSON lines, CSV or Parquet. Whoever is killed goes on where it was.

Lines are added one by one, each whole; the last one of a file, where it was cut, is taken out when
the file is next opened. What cannot grow line by line, a Parquet file, or one that takes another's
place, is gathered in a journal of JSON lines beside it, and written whole at the end.
"""

from __future__ import annotations

import csv
import errno
import os
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from time import monotonic
from typing import Any, BinaryIO

from engine.errors import InvalidInput
from mrag_client.files import open_regular
from mrag_client.models import Description, MadeWith
from service.takeaway import records
from service.takeaway.outputs import Sweeper, put, refusal
from service.takeaway.packet import Mode
from service.takeaway.records import COLUMNS, Record

SUFFIXES = (".jsonl", ".csv", ".parquet")

_SYNC_EVERY_S = 1.0
_BOM = b"\xef\xbb\xbf"


class TableFile:
    """Descriptions as the rows of a file.

    skip: pictures that have a row are left out; append: a row is added for each picture that has
    none made with the same; overwrite: a new file takes the old one's place when all is done.
    """

    compares = True

    def __init__(self, path: Path, mode: Mode) -> None:
        """Raises InvalidInput for a file that is no table of descriptions."""
        if path.suffix.lower() not in SUFFIXES:
            raise InvalidInput(
                f"{path} ends in {path.suffix or 'nothing'}; name a file that ends in .jsonl, .csv "
                "or .parquet"
            )
        path = Path(os.path.realpath(path))  # a link that a user names stays one
        self._path, self._mode = path, mode
        self._form = _FORMS[path.suffix.lower()]
        self._rows: dict[str, list[MadeWith | None]] = {}
        self._asked: set[str] = set()
        is_gathered = mode == "overwrite" or self._form.line is None
        self._journal = path.with_name(f".{path.name}.mrag-journal") if is_gathered else None
        Sweeper(path.name).sweep(path.parent)
        with _refusals(path):
            if mode != "overwrite":
                self._know(self._form.read(path))
            self._lines = _Lines(self._journal or path, _JSON if is_gathered else self._form)
        self._know(self._lines.found if is_gathered else ())

    def wants(self, picture: Path, now: MadeWith | None) -> bool:
        """Whether the mode would add a row for a picture."""
        image = self._form.key(self._called(picture))
        self._asked.add(image)
        known = self._rows.get(image)
        if not known:
            return True
        return self._mode != "skip" and (now is None or now not in known)

    def write(self, picture: Path, told: Description) -> None:
        """Add a row; raises DiskFull where there is no room, with all rows before it kept."""
        image = self._called(picture)
        if told.made_with in self._rows.get(self._form.key(image), ()):
            return
        record = records.record_of(image, told)
        with _refusals(self._path):
            self._lines.add(record)
        self._know([record])

    def close(self, *, done: bool) -> None:
        """Make the file of what was gathered: once all is done, or where rows are only added."""
        with _refusals(self._path):
            self._lines.close()
            if self._journal is None or not (done or self._mode != "overwrite"):
                return
            if new := self._gathered(self._journal):
                before = None if self._mode == "overwrite" else self._path
                put(self._path, self._form.whole(before, new))
            self._journal.unlink(missing_ok=True)

    def _gathered(self, journal: Path) -> list[Record]:
        """What of the journal the file is to hold: an earlier run may have begun with others."""
        found = [records.of_json(line) for _, line in _raw_lines(journal)]
        if self._mode != "overwrite":
            return found
        latest = {record["image"]: record for record in found}
        return [one for image, one in latest.items() if self._form.key(image) in self._asked]

    def _know(self, found: Collection[Record]) -> None:
        for record in found:
            image = self._form.key(record["image"])
            self._rows.setdefault(image, []).append(records.made_with(record))

    def _called(self, picture: Path) -> str:
        """A picture's place as seen from the file: so `mrag ingest` of that finds the picture."""
        whole, base = picture.absolute(), self._path.absolute().parent
        place = whole.relative_to(base) if whole.is_relative_to(base) else whole
        return place.as_posix()


@dataclass(frozen=True)
class _Form:
    """A kind of file: how it begins, and how its rows are written and read.

    `line` is None of one that cannot grow. `read` gives what is compared of the rows that are
    there; `whole` makes a file of the rows of another, or of none, and new ones. `key` is how a
    picture is called in it.
    """

    start: bytes
    line: Callable[[Record], bytes] | None
    read: Callable[[Path], list[Record]]
    whole: Callable[[Path | None, list[Record]], bytes]
    key: Callable[[str], str] = str


class _Lines:
    """A file that lines are added to, each in one step; `found` are the records in it."""

    def __init__(self, path: Path, form: _Form) -> None:
        assert form.line is not None
        self._line = form.line
        self.found = form.read(path)
        self._file: BinaryIO | None = None
        self._path, self._start, self._synced = path, form.start, monotonic()

    def add(self, record: Record) -> None:
        """Add a line."""
        if self._file is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("ab", buffering=0)
            if not self._file.tell():
                self._file.write(self._start)
        end = self._file.tell()
        line = self._line(record)
        written = 0
        try:
            written = self._file.write(line)
        finally:
            if written != len(line):
                os.truncate(self._path, end)  # no half line stays
        if written != len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if monotonic() - self._synced > _SYNC_EVERY_S:
            os.fsync(self._file.fileno())
            self._synced = monotonic()

    def close(self) -> None:
        """Have all lines outlive a power cut."""
        if self._file is not None:
            os.fsync(self._file.fileno())
            self._file.close()
            self._file = None


# The kinds.


def _read_json(path: Path) -> list[Record]:
    """The records of a file of lines; a last one that was cut is taken out of it."""
    found: list[Record] = []
    for number, (at, line) in enumerate(_raw_lines(path), start=1):
        if not line.strip():
            continue
        try:
            record = records.of_json(line)
        except ValueError as error:
            if line.endswith(b"\n"):
                raise _foreign(path, number, error) from error
            os.truncate(path, at)
            return found
        if not line.endswith(b"\n"):
            with path.open("ab") as file:
                file.write(b"\n")
        found.append({name: record[name] for name in ("image", "made_with") if name in record})
    return found


def _raw_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Each line, and where it begins."""
    at = 0
    with _opened(path) as file:
        for line in file or ():
            yield at, line
            at += len(line)


def _read_csv(path: Path) -> list[Record]:
    """The rows of a table; a last one that was cut is taken out of it."""
    lines = list(_raw_lines(path))
    if not lines:
        return []
    if lines[0][1].removeprefix(_BOM) != _HEADING:
        if not lines[0][1].endswith(b"\n") and _START.startswith(lines[0][1]):
            os.truncate(path, 0)
            return []
        raise _foreign(path, 1, "its columns are others")
    found = []
    for number, (at, line) in enumerate(lines[1:], start=2):
        if not line.endswith(b"\n"):
            os.truncate(path, at)
            break
        try:
            text = line.decode("utf-8", "surrogateescape")
            (cells,) = csv.reader(StringIO(text, newline=""))
            found.append(records.of_row(cells))
        except (ValueError, csv.Error) as error:
            raise _foreign(path, number, error) from error
    return found


def _read_parquet(path: Path) -> list[Record]:
    if not path.exists():
        return []
    table = _parquet(path)
    return [records.of_columns(row) for row in table.drop_columns(["made_from"]).to_pylist()]


def _parquet(path: Path) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
    except pa.ArrowException as error:
        raise _foreign(path, 0, error) from error
    if tuple(table.column_names) != COLUMNS:
        raise _foreign(path, 0, "its columns are others")
    return table


def _whole_json(before: Path | None, new: list[Record]) -> bytes:
    del before  # it grows line by line
    return b"".join(map(records.json_line, new))


def _whole_csv(before: Path | None, new: list[Record]) -> bytes:
    del before
    return _START + b"".join(map(records.csv_line, new))


def _whole_parquet(before: Path | None, new: list[Record]) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = {"score": pa.float64(), "lent": pa.int64(), "made_from": pa.list_(pa.string())}
    schema = pa.schema([(name, kinds.get(name, pa.string())) for name in COLUMNS])
    rows = [records.flat({**one, "image": records.in_utf8(one["image"])}) for one in new]
    table = pa.Table.from_pylist(rows, schema)
    if before is not None and before.exists():
        table = pa.concat_tables([_parquet(before).cast(schema), table])
    buffer = pa.BufferOutputStream()
    pq.write_table(table, buffer)
    return bytes(buffer.getvalue())


_HEADING = records.csv_row(COLUMNS)
_START = _BOM + _HEADING
_JSON = _Form(b"", records.json_line, _read_json, _whole_json)
_FORMS = {
    ".jsonl": _JSON,
    ".csv": _Form(_START, records.csv_line, _read_csv, _whole_csv, records.cell),
    ".parquet": _Form(b"", None, _read_parquet, _whole_parquet, records.in_utf8),
}


@contextmanager
def _refusals(path: Path) -> Iterator[None]:
    """What the system refuses of a file, in words."""
    try:
        yield
    except OSError as error:
        raise refusal(path, error) from error


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO | None]:
    """A file to read, None where there is none."""
    try:
        file = open_regular(path)
    except FileNotFoundError:
        yield None
        return
    with file:
        yield file


def _foreign(path: Path, number: int, why: object) -> InvalidInput:
    place = f"line {number} of {path}" if number else str(path)
    return InvalidInput(
        f"{place} is nothing that describe has written ({why}); name another file, or have it "
        "replaced with --mode overwrite"
    )
