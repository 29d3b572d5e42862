"""Files of this machine that are sent: opened without waiting, or why they cannot be."""

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


def open_to_send(path: Path) -> BinaryIO:
    """Open a regular file; raises PictureUnreadable, which does not name it, for anything else.

    A pipe or device might be read for ever: they are told by their kind before they are opened.
    """
    try:
        _check_regular(path.stat())
        handle = os.open(path, _WITHOUT_WAITING)
        try:
            _check_regular(os.fstat(handle))  # another one may lie there by now
            return os.fdopen(handle, "rb")
        except BaseException:
            os.close(handle)
            raise
    except FileNotFoundError as error:
        raise PictureUnreadable("there is no such file; check the path") from error
    except PermissionError as error:
        raise PictureUnreadable("may not be read; give this user read access") from error
    except (OSError, ValueError) as error:
        raise PictureUnreadable(f"cannot be read ({error}); check the path") from error


def _check_regular(status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        kind = _KINDS.get(stat.S_IFMT(status.st_mode), "something else")
        raise PictureUnreadable(f"is {kind}, not a regular file; give a picture file")
