"""Uploaded zip archives: looked at before they are kept, unpacked within bounds."""

from __future__ import annotations

import hashlib
import re
import shutil
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from io import BufferedReader, BytesIO
from pathlib import Path, PurePosixPath

from corpus.records import ImageRecord, Record, Skipped
from engine.errors import InvalidInput, SourceError
from engine.files import partial_path
from engine.images import SUFFIXES
from engine.metadata.sidecars import SUFFIX as SIDECAR
from engine.progress import OnProgress, Progress, check_cancelled, silent
from engine.settings import Settings
from engine.video.address import VIDEO_SUFFIXES
from ingest.readers import open_source
from ingest.readers.detect import detect

Upload = BytesIO | BufferedReader
"""A file that was uploaded: in memory, or put aside on disk."""

TABLES = frozenset({".csv", ".tsv", ".tab", ".jsonl", ".ndjson", ".json"})
TEXTS = frozenset({".txt"})
"""Captions beside pictures, or captions alone."""

_SOURCES = SUFFIXES | VIDEO_SUFFIXES | TABLES | TEXTS
_TAKEN = _SOURCES | {SIDECAR}
"""What is taken out of an archive: also what other programs wrote beside pictures."""

RATIO = 100
"""Pictures hardly shrink in a zip, and tables by a few times: what shrinks more is a bomb."""

_SMALL = 2**24
"""Up to this size, unpacked, an archive may shrink by any ratio."""
_DIRECTORY_ENTRY = 512
"""Bytes that the directory of an archive may have for each file allowed."""
_PASSED_OVER = frozenset({"__MACOSX"})
_END = struct.Struct("<4s4H2LH")
_END_64 = struct.Struct("<4sQ2H2L4Q")
_WHERE = struct.Struct("<4sLQL")
"""Of a zip: its end, the same of one with 64-bit sizes, and the locator of that."""
_BAD = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,
    struct.error,
)


def uploads(home: Path, collection: str) -> Path:
    """The folder of what was uploaded to a collection."""
    return home / "uploads" / collection


def keep_upload(file: Upload, filename: str, collection: str, settings: Settings) -> Path:
    """Look at an uploaded archive and, if it can be used, keep it: the same one once.

    Raises InvalidInput for what goes beyond the limits of the settings, SourceError for an
    archive that is damaged, holds nothing to ingest, or tries to reach out of its folder.
    """
    size = file.seek(0, 2)
    if size > settings.max_upload_bytes:
        raise InvalidInput(
            f"{filename} has {size:,} bytes, the limit is {settings.max_upload_bytes:,} "
            "(MRAG_MAX_UPLOAD_BYTES); make several smaller archives"
        )
    try:
        _check_directory(file, filename, size, settings.max_zip_files)
        with zipfile.ZipFile(file) as zipped:
            _wanted(zipped, filename, settings)
    except _BAD as error:
        raise SourceError(f"{filename} is no zip archive, or is damaged: {error}") from error
    file.seek(0)
    digest = hashlib.file_digest(file, "sha256").hexdigest()[:12]
    stem = re.sub(r"[^a-z0-9]+", "-", Path(filename).stem.lower()).strip("-")[:40] or "upload"
    kept = uploads(settings.home, collection) / f"{stem}-{digest}.zip"
    _copy(file, kept)
    return kept


def discard_upload(archive: Path) -> None:
    """Remove an upload that nothing came of: the archive, and what was unpacked of it."""
    for place in (_unpacked(archive), _unpacking(archive)):
        shutil.rmtree(place, ignore_errors=True)
    archive.unlink(missing_ok=True)
    with suppress(OSError):  # others lie there, or none ever did
        archive.parent.rmdir()


def unpack_upload(archive: Path, settings: Settings, *, on_progress: OnProgress = silent) -> Path:
    """Unpack a kept archive beside itself, paths and all, and remove it; gives the folder.

    What has been unpacked is not unpacked again, so a killed run may be run again. An archive
    that cannot be unpacked is not kept. Raises as `keep_upload` does.
    """
    folder = _unpacked(archive)
    if not folder.is_dir():
        try:
            _unpack(archive, settings, on_progress)
        except (SourceError, InvalidInput):
            discard_upload(archive)
            raise
    archive.unlink(missing_ok=True)
    return folder


def _unpacked(archive: Path) -> Path:
    return archive.with_suffix("")


def _unpacking(archive: Path) -> Path:
    return archive.with_suffix(".part")


def _unpack(archive: Path, settings: Settings, on_progress: OnProgress) -> None:
    partial = _unpacking(archive)
    if not archive.is_file():
        raise SourceError(f"{archive.name} is kept no longer; upload it again")
    try:
        shutil.rmtree(partial, ignore_errors=True)
        with zipfile.ZipFile(archive) as zipped:
            members = _wanted(zipped, archive.name, settings)
            for done, (path, member) in enumerate(members.items()):
                check_cancelled()
                on_progress(Progress("unpack", done, len(members)))
                _take(zipped, member, partial / path)
        partial.rename(_unpacked(archive))
    except _BAD as error:
        raise SourceError(f"{archive.name} is damaged: {error}; pack it again") from error
    except OSError as error:
        raise SourceError(
            f"{archive.name} cannot be unpacked: {error.strerror}; upload it again when that "
            "is mended"
        ) from error


def source_in(folder: Path) -> Path:
    """What to ingest of an unpacked archive: its only table of captions, else the folder."""
    while len(listed := sorted(folder.iterdir())) == 1 and listed[0].is_dir():
        folder = listed[0]
    tables = [path for path in listed if path.suffix.lower() in TABLES]
    if not tables and len(listed) == 1:
        tables = listed  # a text file of captions; beside pictures it would be one of theirs
    if len(tables) != 1 or tables[0].suffix.lower() in SUFFIXES | VIDEO_SUFFIXES:
        return folder
    detect(tables[0])
    return tables[0]


def beside_table(table: Path, records: Iterable[Record]) -> Iterator[Record]:
    """The records of a table, then the pictures around it that it does not name.

    They come with the captions of text files beside them, or without any.
    """
    named: set[Path] = set()
    for record in records:
        if isinstance(record, ImageRecord):
            named.add(record.path.resolve())
        yield record
    for record in open_source(table.parent):
        new = isinstance(record, ImageRecord) and record.path.resolve() not in named
        if new or isinstance(record, Skipped):
            yield record


def _check_directory(file: Upload, name: str, size: int, max_files: int) -> None:
    """Refuse a directory that would fill the memory, which `zipfile` reads whole."""
    first = max(0, size - 2**16 - _END.size)
    file.seek(first)
    tail = file.read()
    start = tail.rfind(b"PK\5\6")
    if start < 0:
        raise zipfile.BadZipFile("it has no end")
    length = _END.unpack_from(tail, start)[5]
    where = start - _WHERE.size
    if tail[max(0, where) : start].startswith(b"PK\6\7"):
        length = _length_64(tail, where, first)
    if length > max_files * _DIRECTORY_ENTRY:
        raise InvalidInput(_too_many(name, max_files))
    file.seek(0)


def _length_64(tail: bytes, where: int, first: int) -> int:
    """The directory's length as the record for large archives has it, which overrules the other.

    It stands just before the locator that names its place, so that all readers see the same one.
    """
    place = where - _END_64.size
    told = _WHERE.unpack_from(tail, where)[2]
    if place < 0 or told != first + place or not tail.startswith(b"PK\6\6", place):
        raise zipfile.BadZipFile("its end is not where it says")
    return int(_END_64.unpack_from(tail, place)[8])


def _wanted(
    zipped: zipfile.ZipFile, name: str, settings: Settings
) -> dict[PurePosixPath, zipfile.ZipInfo]:
    """The files to take, by their paths; hidden ones and those of other kinds are left."""
    found = zipped.infolist()
    if len(found) > settings.max_zip_files:
        raise InvalidInput(_too_many(name, settings.max_zip_files))
    wanted = {}
    for member in found:
        path = _path(member, name)
        hidden = any(part.startswith(".") or part in _PASSED_OVER for part in path.parts)
        if path.suffix.lower() in _TAKEN and not hidden and not member.is_dir():
            wanted[path] = member
    if not any(path.suffix.lower() in _SOURCES for path in wanted):
        raise SourceError(f"{name} holds neither pictures nor captions; pack a folder of them")
    _check_size(name, wanted.values(), settings)
    return wanted


def _path(member: zipfile.ZipInfo, name: str) -> PurePosixPath:
    """The member's path, which must stay below the folder that it is unpacked to."""
    path = PurePosixPath(member.filename.replace("\\", "/"))
    drive = bool(path.parts) and path.parts[0].endswith(":")
    if path.is_absolute() or drive or ".." in path.parts:
        raise SourceError(
            f"{name} names a file outside its own folder ({member.filename!r}); it was made to do "
            "harm, or by mistake: pack the folder again"
        )
    kind = stat.S_IFMT(member.external_attr >> 16)
    if kind and not (stat.S_ISREG(kind) or stat.S_ISDIR(kind)):
        raise SourceError(
            f"{name} holds a link or device ({member.filename!r}); pack the files themselves"
        )
    if member.flag_bits & 1:
        raise SourceError(f"{name} is locked with a password; pack it without one")
    return path


def _check_size(name: str, members: Iterable[zipfile.ZipInfo], settings: Settings) -> None:
    unpacked = sum(member.file_size for member in members)
    packed = sum(member.compress_size for member in members)
    if unpacked > settings.max_zip_bytes:
        raise InvalidInput(
            f"{name} would unpack to {unpacked:,} bytes, the limit is {settings.max_zip_bytes:,} "
            "(MRAG_MAX_ZIP_BYTES); make several smaller archives"
        )
    if unpacked > _SMALL and unpacked > RATIO * packed:
        raise SourceError(
            f"{name} would unpack to {unpacked / max(1, packed):,.0f} times its size; pictures "
            f"never do: more than {RATIO} times is refused"
        )
    free = shutil.disk_usage(_existing(settings.home)).free
    if unpacked > free:
        raise SourceError(
            f"{name} would unpack to {unpacked:,} bytes, and {settings.home} has {free:,} left; "
            "free some room there"
        )


def _too_many(name: str, max_files: int) -> str:
    return (
        f"{name} holds more than {max_files:,} files (MRAG_MAX_ZIP_FILES); make several smaller "
        "archives"
    )


def _existing(folder: Path) -> Path:
    return next(place for place in (folder, *folder.parents) if place.exists())


def _take(zipped: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path) -> None:
    """Write one member; zipfile reads no more of it than its stated size."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with zipped.open(member) as packed, target.open("wb") as file:
        shutil.copyfileobj(packed, file)


def _copy(file: Upload, target: Path) -> None:
    """Keep a file, whole or not at all."""
    partial = partial_path(target)
    file.seek(0)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as kept:
            shutil.copyfileobj(file, kept)
        partial.replace(target)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise SourceError(
            f"the upload cannot be kept in {target.parent}: {error.strerror}"
        ) from error
