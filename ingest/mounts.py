"""Which file system a path lies on: those of a network tell nobody what others change in them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

MOUNTS = Path("/proc/mounts")
"""Where Linux lists what is mounted; elsewhere nothing is known."""

_OF_A_NETWORK = (
    "9p afs beegfs ceph cephfs cifs coda davfs glusterfs gpfs lustre ncpfs nfs nfs4 prl_fs "
    "smb smb2 smb3 smbfs vboxsf virtiofs vmhgfs"
)
_LOCAL_FUSE = frozenset({"fuseblk", "fuse.ext2", "fuse.lxcfs", "fuse.ntfs", "fuse.ntfs-3g"})


def is_networked(path: Path, mounts: Path = MOUNTS) -> bool:
    """Whether a path lies where a change may come from another machine, as far as can be told."""
    kind = kind_of(path, mounts)
    return kind in _OF_A_NETWORK.split() or (kind.startswith("fuse") and kind not in _LOCAL_FUSE)


def kind_of(path: Path, mounts: Path = MOUNTS) -> str:
    """The kind of file system that a path lies on; "" where nobody tells."""
    place = path.resolve()
    kind, depth = "", -1
    for point, mounted in _mounted(mounts):
        # Of those on one place the last one hides the others.
        if place.is_relative_to(point) and len(point.parts) >= depth:
            kind, depth = mounted, len(point.parts)
    return kind


def _mounted(mounts: Path) -> Iterator[tuple[Path, str]]:
    """Where something is mounted, and its kind."""
    try:
        listed = mounts.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return
    for line in listed.splitlines():
        fields = line.split(" ")
        if len(fields) >= 3:
            yield Path(_unescaped(fields[1])), fields[2]


def _unescaped(field: str) -> str:
    """A place as it is: blanks and the like are written in octal there."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), field)
