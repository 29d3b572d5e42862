"""How much room things take: on disk, and in this process's memory."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

_MAPPING = re.compile(r"[0-9a-f]+-[0-9a-f]+ \S+ \S+ \S+ \d+ *(.*)")


def disk_bytes(folder: Path) -> int:
    """Bytes that the files in and below a folder take on disk; sparse ones take less there."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                status = Path(place, name).lstat()
            except OSError:
                continue  # gone meanwhile
            # Windows counts no blocks.
            total += status.st_blocks * 512 if hasattr(status, "st_blocks") else status.st_size
    return total


def free_bytes(folder: Path) -> int:
    """Bytes that are free on the disk where the folder lies, or will lie."""
    there = next(place for place in (folder, *folder.parents) if place.exists())
    return shutil.disk_usage(there).free


def mapped_bytes(folder: Path) -> int | None:
    """Bytes of the folder's files that are in this process's memory; None where not told."""
    start = f"{folder.resolve()}/"
    total, counts = 0, False
    try:
        with Path("/proc/self/smaps").open(encoding="utf-8", errors="replace") as lines:
            for line in lines:
                if found := _MAPPING.fullmatch(line.rstrip("\n")):
                    counts = found[1].startswith(start)
                elif counts and line.startswith("Rss:"):
                    total += int(line.split()[1]) * 1024
    except OSError:
        return None
    return total


def process_bytes() -> int | None:
    """Bytes of memory that this process uses; None where the system does not tell."""
    try:
        status = Path("/proc/self/status").read_text(encoding="utf-8")
    except OSError:
        return None
    found = re.search(r"^VmRSS:\s*(\d+) kB", status, re.MULTILINE)
    return int(found[1]) * 1024 if found else None


def readable(size: float) -> str:
    """Bytes for people: 3 digits at most, in steps of a thousand."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if size >= 100 or unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:,.1f} TB"
