"""What the system refuses of a place, in words: its disk is full, or it is another user's."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from engine.errors import DiskFull, StoreUnavailable

FREE_SPACE = "free some space on it, or move MRAG_HOME to a larger one, and run the same again"

MEMORY = (
    "there is not enough memory; end other programs, or have less done at once: "
    "MRAG_BATCH_SIZE=4 MRAG_WORKERS=1"
)

_FULL = (errno.ENOSPC, errno.EDQUOT)
_REFUSED = (errno.EACCES, errno.EPERM)
_FILES = "allow more open files (ulimit -n 4096), or let fewer be read at once: MRAG_WORKERS=2"
_REMEDIES = {
    errno.EIO: "the disk or the network behind it fails: check its connection, then run it again",
    errno.EMFILE: _FILES,
    errno.ENFILE: _FILES,
    errno.ENOENT: "check the name",
    errno.EISDIR: "name a file",
    errno.ENOTDIR: "a folder is needed in that place, and a file lies there",
    errno.ENAMETOOLONG: "give a shorter name",
    errno.ELOOP: "the link there leads back to itself: name what it was to lead to",
    errno.ENOMEM: MEMORY,
}


def free_bytes(place: Path) -> int:
    """The space that is left on the disk of a path, which need not be there yet."""
    for path in (place, *place.absolute().parents):
        try:
            return shutil.disk_usage(path).free
        except OSError:
            continue
    return 0


def check_room(
    place: Path, needed: int, purpose: str, free: Callable[[Path], int] = free_bytes
) -> None:
    """Raise DiskFull unless so many bytes are free for a purpose, as "to write the index"."""
    left = free(place)
    if left < needed:
        raise DiskFull(
            f"the disk of {place} is full: {in_words(left)} free, {in_words(needed)} needed "
            f"{purpose}; {FREE_SPACE}: what has been embedded is kept"
        )


def refused(place: Path, error: OSError) -> StoreUnavailable:
    """What the system said of a place, as an error that says what is true and what helps."""
    return refusal(place, error.errno or 0, error.strerror or str(error))


def refusal(place: Path, code: int, said: str) -> StoreUnavailable:
    """As `refused`, for who has the number of an error alone."""
    if code in _FULL:
        return DiskFull(
            f"the disk of {place} is full: it had no room for what was to be written "
            f"({in_words(free_bytes(place))} free now); {FREE_SPACE}: what has been finished "
            "is kept"
        )
    if code == errno.EROFS:
        return StoreUnavailable(
            f"{place} is on a disk that is mounted read-only, so nothing can be written there; "
            "mount it writable, or set MRAG_HOME to a copy that you may write to"
        )
    if code in _REFUSED:
        return StoreUnavailable(
            f"{place} may not be used by {_user()}: {said}; {_owner(place)}have its owner give you "
            "the right to read and write it, or set MRAG_HOME to a copy of your own"
        )
    remedy = _REMEDIES.get(code, "check that the place is there and that its disk works")
    return StoreUnavailable(f"{place} cannot be used: {said}; {remedy}")


def in_words(size: int) -> str:
    """A number of bytes as a person says it."""
    return f"{size / 1e6:,.1f} MB" if size < 1e9 else f"{size / 1e9:,.1f} GB"


def _user() -> str:
    return f"user {os.getuid()}" if hasattr(os, "getuid") else "this user"


def _owner(place: Path) -> str:
    """Whose the nearest folder is that may be looked at."""
    if not hasattr(os, "getuid"):
        return ""
    for path in (place, *place.parents):
        try:
            return f"{path} is of user {path.stat().st_uid}; "
        except OSError:
            continue
    return ""
