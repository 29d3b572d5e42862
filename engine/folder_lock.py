"""Locks on folders: shared by who reads what is in one, alone for who removes it.

The system gives a lock back when its process ends, however it ends. Windows lets nobody remove
what another one has open, so there nothing needs to be locked.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

if sys.platform != "win32":
    import fcntl


def shared(folder: Path, *, wait: bool) -> int | None:
    """The folder opened and locked with others, to be closed by `release`.

    None where that cannot be: it is gone, or somebody has it alone and `wait` is False.
    """
    return _locked(folder, alone=False, wait=wait)


def release(handle: int | None) -> None:
    """Give back what `shared` gave."""
    if handle is not None:
        os.close(handle)


@contextmanager
def unread(folder: Path) -> Iterator[bool]:
    """Whether nobody has a folder locked; while it lasts nobody can begin to."""
    handle = _locked(folder, alone=True, wait=False)
    try:
        yield handle is not None or sys.platform == "win32"
    finally:
        release(handle)


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Wait until nobody else has a folder locked, and keep it meanwhile; a disk may not lock."""
    handle = _locked(folder, alone=True, wait=True)
    try:
        yield
    finally:
        release(handle)


def is_locked(path: Path) -> bool:
    """Whether somebody has a file for himself, as far as can be told."""
    if sys.platform == "win32":
        return False
    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def _locked(folder: Path, *, alone: bool, wait: bool) -> int | None:
    if sys.platform == "win32":
        return None
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return None
    how = fcntl.LOCK_EX if alone else fcntl.LOCK_SH
    try:
        fcntl.flock(handle, how if wait else how | fcntl.LOCK_NB)
        if os.fstat(handle).st_ino == folder.stat().st_ino:  # else removed while it was opened
            return handle
    except OSError as error:
        # A disk that cannot lock keeps what is on it: nothing is alone there.
        if not alone and not isinstance(error, BlockingIOError | FileNotFoundError):
            return handle
    os.close(handle)
    return None
