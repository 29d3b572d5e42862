"""Files written whole, so that nobody ever sees half of one."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

_BINARY: int = getattr(os, "O_BINARY", 0)


def write_whole(
    path: Path, content: bytes | str, *, durable: bool = True, mode: int = 0o644
) -> None:
    """Write a file in one step; text is UTF-8, and folders that are missing are made.

    `durable`: the file outlives a power cut once this returns. A cache needs no more than that
    nobody sees half of a file. `mode`: who may read it, from its first byte on.
    """
    with written_whole(path, durable=durable, mode=mode) as file:
        file.write(content.encode("utf-8") if isinstance(content, str) else content)


@contextmanager
def written_whole(path: Path, *, durable: bool = True, mode: int = 0o644) -> Iterator[BinaryIO]:
    """A file to be written piece by piece, which takes its place once all of it is there.

    As `write_whole` else; where the block raises nothing is written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = partial_path(path)
    try:
        handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY, mode)
        with os.fdopen(handle, "wb") as file:
            yield file
            if durable:
                file.flush()
                os.fsync(file.fileno())
        partial.chmod(mode)
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    if durable:
        sync_folder(path.parent)


def partial_path(path: Path) -> Path:
    """A new place beside `path` for what is not whole yet, hidden and of a name of its own."""
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")


def remove_partials(folder: Path, of: str = "") -> None:
    """Remove what a killed process had begun to write or to remove, of names beginning with `of`.

    For whoever alone may write these: what another process is writing would go too.
    """
    for path in folder.glob(f".{of}*.partial"):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Have the names in a folder outlive a power cut: new, renamed or removed files."""
    if os.name == "nt":  # folders cannot be opened there, and need not be
        return
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def sync_tree(folder: Path) -> None:
    """Have all files and folders in and below a folder outlive a power cut."""
    for place, _, names in os.walk(folder):
        for name in names:
            opened = os.open(Path(place, name), os.O_RDONLY)
            try:
                os.fsync(opened)
            finally:
                os.close(opened)
        sync_folder(Path(place))
