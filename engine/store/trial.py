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

_OPEN = """
import sys
import qdrant_edge as edge
shard = edge.EdgeShard.load(sys.argv[1])
shard.count(edge.CountRequest(True, None))
shard.close()
"""
_FULL = "No space left"


def try_to_open(shard: Path, needed: int, remedy: str) -> str:
    """Raise what would have ended this process: DiskFull, or Damaged, which says the remedy.

    What opening would merely raise is given back, "" for nothing. `needed`: the bytes that it may
    take at most.
    """
    command = [sys.executable, "-c", _OPEN, str(shard)]
    done = subprocess.run(
        command,
        check=False,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
    )
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
    return done.stderr if done.returncode else ""
