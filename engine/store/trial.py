"""Opens an index in a process of its own first, where that could end the process.

Edge maps files into memory, and the system ends who touches a page that is not there: of a file
that was cut, or of a hole where the disk is full.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from engine.disk import FREE_SPACE, free_bytes, in_words
from engine.errors import Damaged, DiskFull
from engine.store.holes import room_taken

_LONG_S = 300
_MEMORY = 2 * 2**30
"""Bytes that opening may take beside a few times what the index takes on disk: a damaged one was
seen to ask for all there are."""

_OPEN = """
import sys
import qdrant_edge as edge
try:
    import resource
    resource.setrlimit(resource.RLIMIT_DATA, (int(sys.argv[2]), int(sys.argv[2])))
except (ImportError, ValueError, OSError):
    pass
shard = edge.EdgeShard.load(sys.argv[1])
shard.count(edge.CountRequest(True, None))
shard.close()
"""
_FULL = "No space left"


def try_to_open(shard: Path, needed: int, remedy: str) -> None:
    """Raise what would have ended this process: DiskFull, or Damaged, which says the remedy.

    What opening would merely raise is left to who opens. `needed`: the bytes that it may take on
    disk at most.
    """
    taken, _ = room_taken(shard)
    command = [sys.executable, "-c", _OPEN, str(shard), str(_MEMORY + 4 * taken)]
    try:
        done = subprocess.run(
            command,
            check=False,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_LONG_S,
        )
    except subprocess.TimeoutExpired as error:
        raise Damaged(f"the index in {shard} cannot be opened in {_LONG_S} s; {remedy}") from error
    free = free_bytes(shard)
    ended = -done.returncode == getattr(signal, "SIGBUS", 0) and free < needed
    if ended or (done.returncode and _FULL in done.stderr):
        raise DiskFull(
            f"the disk of {shard} is full: {in_words(free)} free, up to {in_words(needed)} needed "
            f"to open the index; {FREE_SPACE}"
        )
    if done.returncode < 0:
        name = signal.Signals(-done.returncode).name
        raise Damaged(f"the index in {shard} ends who opens it ({name}); {remedy}")
