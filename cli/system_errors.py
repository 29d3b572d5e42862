"""What the operating system refuses, in words: which place, why, and what mends it."""

from __future__ import annotations

import errno

_RIGHTS = "allow this user to read it and, where mrag writes, to write it"
_FULL = (
    "free space on that disk and run the same command again, or keep collections on another one "
    "with MRAG_HOME=FOLDER"
)
_FILES = "allow more open files (ulimit -n 4096), or let fewer be read at once: MRAG_WORKERS=2"
_REMEDIES = {
    errno.EACCES: _RIGHTS,
    errno.EPERM: _RIGHTS,
    errno.EROFS: "name a place that can be written to; MRAG_HOME=FOLDER moves the collections",
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EIO: "the disk or the network behind it fails: check its connection, then run it again",
    errno.EMFILE: _FILES,
    errno.ENFILE: _FILES,
    errno.ENOENT: "check the name",
    errno.EISDIR: "name a file",
    errno.ENOTDIR: "a folder is needed in that place, and a file lies there",
    errno.ENAMETOOLONG: "give a shorter name",
    errno.ELOOP: "the link there leads back to itself: name what it was to lead to",
}
_OTHERWISE = (
    "check that the place is there, that it can be read and written, and that the disk has space"
)

LIBRARY = "a library cannot be loaded; free memory if there is little, else install mrag again: "
"""Said before what the system says of it."""

MEMORY = (
    "there is not enough memory; end other programs, or have less done at once: "
    "MRAG_BATCH_SIZE=4 MRAG_WORKERS=1"
)


def in_words(error: OSError) -> str:
    """One line for a person: the place, what the system says, and the remedy."""
    places = [str(place) for place in (error.filename, error.filename2) if place]
    where = f"{' -> '.join(places)}: " if places else ""
    if error.errno == errno.ENOMEM:
        return f"{where}{MEMORY}"
    remedy = _REMEDIES.get(error.errno or 0, _OTHERWISE)
    return f"{where}{error.strerror or error}; {remedy}"
