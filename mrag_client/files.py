"""The one way to open a file that a user names: regular files only, and never waiting."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO

from mrag_client.errors import PictureUnreadable

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
_WITHOUT_WAITING = (
    os.O_RDONLY
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_NOCTTY", 0)
    | getattr(os, "O_BINARY", 0)
)


class NotAFile(OSError):
    """What was to be read is no regular file, and might be waited for or read for ever."""


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file to read its bytes, by whatever links; nothing else, and never waiting.

    Raises NotAFile for folders, pipes, sockets and devices, OSError and ValueError as `open` does.
    """
    _check_regular(path.stat())  # first, as opening alone does something to some devices
    handle = os.open(path, _WITHOUT_WAITING)
    try:
        _check_regular(os.fstat(handle))  # another one may lie there by now
        return os.fdopen(handle, "rb")
    except BaseException:
        os.close(handle)
        raise


def is_regular(path: Path) -> bool:
    """Whether a regular file lies there, by whatever links; raises NotAFile for anything else."""
    try:
        _check_regular(path.stat())
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def _check_regular(status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        kind = _KINDS.get(stat.S_IFMT(status.st_mode), "something else")
        raise NotAFile(f"is {kind}, not a regular file")


def open_to_send(path: Path) -> BinaryIO:
    """Open a picture; raises PictureUnreadable, which does not name it, where it cannot be."""
    try:
        return open_regular(path)
    except NotAFile as error:
        raise PictureUnreadable(f"{error}; give a picture file") from error
    except FileNotFoundError as error:
        raise PictureUnreadable("there is no such file; check the path") from error
    except PermissionError as error:
        raise PictureUnreadable("may not be read; give this user read access") from error
    except (OSError, ValueError) as error:
        raise PictureUnreadable(f"cannot be read ({error}); check the path") from error
