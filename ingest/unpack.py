"""Takes the wanted files out of a zip archive, within bounds and whole or not at all."""

from __future__ import annotations

import re
import shutil
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from engine.errors import SourceError
from engine.progress import OnProgress, Progress, silent


def unpack(
    archive: Path, folder: Path, *, wanted: str, limit: int, on_progress: OnProgress = silent
) -> None:
    """Take the members whose whole path matches the pattern `wanted` to `folder`, flat.

    Nothing is written outside the folder, whatever paths the archive names, and no more than
    `limit` bytes. Until all is there it is called `folder`.part, so a killed run goes on.

    Raises SourceError for an archive that is damaged, larger than the limit, or without any
    wanted member, and where the disk is full.
    """
    partial = folder.with_name(f"{folder.name}.part")
    try:
        with zipfile.ZipFile(archive) as zipped:
            members = _wanted(zipped, wanted, limit)
            partial.mkdir(parents=True, exist_ok=True)
            for done, member in enumerate(members, start=1):
                _take(zipped, member, partial)
                on_progress(Progress(f"unpack {archive.name} (files)", done, len(members)))
        partial.replace(folder)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise SourceError(f"{archive} is damaged: {error}; get it again") from error
    except OSError as error:
        raise SourceError(f"{archive} cannot be unpacked to {folder}: {error.strerror}") from error


def _wanted(zipped: zipfile.ZipFile, wanted: str, limit: int) -> list[zipfile.ZipInfo]:
    members = [info for info in zipped.infolist() if re.fullmatch(wanted, info.filename)]
    if not members:
        raise SourceError(f"{zipped.filename} has no file {wanted}; it is another archive")
    size = sum(member.file_size for member in members)
    if size > limit:
        raise SourceError(
            f"{zipped.filename} would unpack to {size:,} bytes, over the limit of {limit:,}"
        )
    return members


def _take(zipped: zipfile.ZipFile, member: zipfile.ZipInfo, folder: Path) -> None:
    """Write one member under its last name; zipfile reads no more of it than its stated size."""
    target = folder / PurePosixPath(member.filename).name
    if target.is_file() and target.stat().st_size == member.file_size:
        return
    unfinished = target.with_name(f"{target.name}.tmp")
    with zipped.open(member) as packed, unfinished.open("wb") as file:
        shutil.copyfileobj(packed, file)
    unfinished.replace(target)
