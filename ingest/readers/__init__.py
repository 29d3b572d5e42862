"""Readers: what a source holds, as a stream of records."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path

from corpus.records import (
    CaptionRecord,
    Counted,
    ImageRecord,
    Record,
    Skipped,
    WholeFolder,
    not_text,
    unwritable,
)
from engine.errors import InvalidInput, SourceError
from ingest.readers.annotation import Annotation, printable
from ingest.readers.beside import folder_beside
from ingest.readers.coco import (
    listed_pictures,
    read_coco,
    read_coco_captions,
    read_karpathy,
)
from ingest.readers.detect import Kind, detect
from ingest.readers.folder import count_pictures, read_folder
from ingest.readers.plaintext import read_text
from ingest.readers.spelling import Folders
from ingest.readers.tables import Columns, Row, csv_rows, json_rows, jsonl_rows, read_table
from ingest.readers.videos import checked_start, read_video

Annotations = Iterator[Annotation | Skipped]

_READERS: dict[Kind, Callable[[Path], Annotations]] = {
    "folder": read_folder,
    "coco": read_coco,
    "karpathy": read_karpathy,
    "text": read_text,
    "video": read_video,
}
_LISTS = frozenset({"coco", "karpathy"})
"""Kinds whose pictures usually lie in another folder than the file that lists them."""

_JSON_ROWS: dict[Kind, Callable[[Path], Iterator[Row | Skipped]]] = {
    "jsonl": jsonl_rows,
    "json": json_rows,
}


def open_source(
    path: Path,
    *,
    images: Path | None = None,
    split: frozenset[str] = frozenset(),
    limit: int | None = None,
    image_column: str = "",
    caption_column: str = "",
    started: str = "",
) -> Iterator[Record]:
    """Read a source of any known kind, as it streams.

    `images` is the folder that a file's pictures lie in; without it a table's lie beside the
    table, and those of COCO's and Karpathy's JSON are looked for near it (see `pictures_of`):
    where none is found, that is said, and their captions are given alone. `split` keeps these
    splits only. `limit` ends after so many pictures (captions where they stand alone).
    What cannot be read comes as Skipped; captions come as one line each, repeats left out.
    `started` is when a video began (ISO 8601), where it does not say so itself, or wrongly.
    A folder that was read to its end without a limit ends with WholeFolder. How many pictures
    a folder holds is known beforehand (`operator.length_hint`).

    Raises SourceError for a source that cannot be read at all, InvalidInput for a limit
    below 1, for `images` with a source that names no pictures, or for a start of what is no video.
    """
    kind = detect(path)
    _check(path, kind, images, limit)
    started = checked_start(started, path, kind)
    # Its one place, whichever way leads there: what is shown of a picture stays the same.
    images = images or pictures_of(path, kind)
    base = (path if kind == "folder" else images or path.parent).resolve()
    columns = Columns.named(image_column, caption_column)
    entries = _entries(path, kind, columns)
    if images is None and kind in _LISTS:
        alone = read_coco_captions(path) if kind == "coco" else _texts_only(entries)
        entries = chain(_not_beside(path), alone)
    records = _records(path, entries, base, split, limit)
    if started:
        records = _started(records, started)
    if kind != "folder":
        return records
    whole = [WholeFolder(base)] if limit is None else []
    return Counted(chain(records, whole), lambda: min(count_pictures(path), limit or sys.maxsize))


def _started(records: Iterator[Record], started: str) -> Iterator[Record]:
    for record in records:
        yield replace(record, started=started) if isinstance(record, ImageRecord) else record


def pictures_of(path: Path, kind: Kind | None = None) -> Path | None:
    """The folder near COCO's or Karpathy's JSON that its pictures lie in; None without one.

    None for other kinds of sources too. Raises SourceError for a file that cannot be read.
    """
    if (kind or detect(path)) not in _LISTS:
        return None
    return folder_beside(path, listed_pictures(path))


def _not_beside(path: Path) -> Annotations:
    listed = sum(1 for _ in listed_pictures(path))
    if listed:
        reason = (
            f"its {listed:,} pictures are not beside it, so that its captions stand alone; name "
            "their folder with --images FOLDER"
        )
        yield Skipped(str(path), reason)


def open_captions(
    path: Path,
    *,
    split: frozenset[str] = frozenset(),
    limit: int | None = None,
    caption_column: str = "",
) -> Iterator[Record]:
    """Read the captions alone from a file of any known kind; an unknown kind is text.

    As `open_source`, but pictures are never looked for: all records are captions.
    """
    kind = detect(path, any_text=True)
    _check(path, kind, None, limit)
    if kind == "coco":
        entries = read_coco_captions(path)
    else:
        entries = _texts_only(_entries(path, kind, Columns.named("", caption_column)))
    return _records(path, entries, path.parent, split, limit)


def _check(path: Path, kind: Kind, images: Path | None, limit: int | None) -> None:
    if limit is not None and limit < 1:
        raise InvalidInput(f"the limit is {limit}; it must be at least 1")
    if images is None:
        return
    if kind in {"folder", "text", "video"}:
        raise InvalidInput(
            f"a folder of pictures was given for {path}, which names no pictures; leave it out"
        )
    if not images.is_dir():
        raise SourceError(f"there is no folder {images}; it should hold the pictures of {path}")


def _entries(path: Path, kind: Kind, columns: Columns) -> Annotations:
    if kind in _READERS:
        return _READERS[kind](path)
    rows = csv_rows(path, columns) if kind == "csv" else _JSON_ROWS[kind](path)
    return read_table(path, rows, columns)


def _texts_only(entries: Annotations) -> Annotations:
    for entry in entries:
        yield entry if isinstance(entry, Skipped) else replace(entry, image="")


def _records(
    path: Path, entries: Annotations, base: Path, split: frozenset[str], limit: int | None
) -> Iterator[Record]:
    given, folders = 0, Folders()
    try:
        for entry in _of_split(path, entries, split):
            for record in _records_of(path, entry, base, folders):
                yield record
                given += not isinstance(record, Skipped)
                if given == limit:
                    return
    except (SourceError, OSError, UnicodeError) as error:
        if not given and isinstance(error, SourceError):
            raise
        if not given:
            raise SourceError(f"{path} cannot be read: {error}") from error
        yield Skipped(printable(str(path)), printable(f"the rest cannot be read: {error}"), "rest")


def _of_split(path: Path, entries: Annotations, split: frozenset[str]) -> Annotations:
    """The entries of these splits; raises SourceError at the end if there were none."""
    others: set[str] = set()
    found = False
    for entry in entries:
        if isinstance(entry, Skipped):
            yield entry
        elif not split or entry.split in split:
            found = True
            yield entry
        elif len(others) < 10:
            others.add(entry.split)
    if others and not found:
        names = ", ".join(sorted(filter(None, others))) or "none"
        raise SourceError(
            f"{path} has nothing of split {', '.join(sorted(split))}; splits it has: {names}"
        )


def _records_of(
    path: Path, entry: Annotation | Skipped, base: Path, folders: Folders
) -> Iterator[Record]:
    """The records of an entry, and Skipped for what in it is no text."""
    if isinstance(entry, Skipped):
        yield Skipped(printable(entry.uri), printable(entry.reason), entry.what)
        return
    where = f"{entry.where}: " if entry.where else ""
    captions = []
    for caption in dict.fromkeys(entry.captions):
        if trouble := not_text(caption):
            yield Skipped(printable(str(path)), f"{where}a caption {trouble}")
        else:
            captions.append(caption)
    for record in _whole_records(entry, tuple(captions), base, folders):
        trouble = "" if isinstance(record, Skipped) else unwritable(record)
        yield Skipped(printable(str(path)), where + trouble) if trouble else record


def _whole_records(
    entry: Annotation, captions: tuple[str, ...], base: Path, folders: Folders
) -> Iterator[ImageRecord | CaptionRecord | Skipped]:
    if not entry.image:
        for caption in captions:
            yield CaptionRecord(caption, entry.image_id, entry.split)
        return
    found = _find(entry, base, folders)
    if isinstance(found, Skipped):
        yield found
    else:
        uri = printable(str(found))
        yield ImageRecord(entry.image_id, uri, found, captions, entry.split, entry.tags)


def _find(entry: Annotation, base: Path, folders: Folders) -> Path | Skipped:
    where = f"{entry.where}: " if entry.where else ""
    if re.match(r"\w+://", entry.image):
        reason = "a picture must be a local file; download it and name the file"
        return Skipped(printable(entry.image), where + reason, "picture")
    for name in filter(None, (entry.image, entry.elsewhere)):
        try:
            if found := folders.find(base, name):
                return found
        except (OSError, ValueError) as error:
            return Skipped(printable(str(base / name)), f"{where}{error}", "picture")
    reason = f"{where}there is no such picture file"
    return Skipped(printable(str(base / entry.image)), reason, "picture")
