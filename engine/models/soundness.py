"""Whether a file of a model is whole, as far as that can be told without loading it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

_HEADER = 8
"""Bytes that say how long the header of a safetensors file is."""
_MOST_HEADER = 100_000_000


def flaw(path: Path) -> str:
    """What is wrong with a file by its format, "" if nothing is; reads headers only."""
    try:
        size = path.stat().st_size
        if not size:
            return "is empty"
        if path.suffix == ".safetensors":
            return _flaw_of_tensors(path, size)
        if path.suffix == ".json":
            json.loads(path.read_bytes())
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    except ValueError:
        return "is no JSON that can be read"
    return ""


def flaw_by_checksum(path: Path) -> str:
    """As `flaw`; a file of the hub's cache is also compared with the checksum in its name there."""
    if found := flaw(path):
        return found
    blob = path.resolve()
    if blob.parent.name != "blobs":
        return ""
    digest = {64: _sha256, 40: _git_sha1}.get(len(blob.name))
    return "has another checksum than on the hub" if digest and digest(blob) != blob.name else ""


def _flaw_of_tensors(path: Path, size: int) -> str:
    with path.open("rb") as file:
        length = int.from_bytes(file.read(_HEADER), "little")
        if length > min(_MOST_HEADER, size):
            return f"is cut or damaged in its header ({size:,} bytes are here)"
        try:
            tensors = json.loads(file.read(length))
            ends = [one["data_offsets"][1] for name, one in tensors.items() if name[0] != "_"]
            needed = _HEADER + length + max(ends, default=0)
        except (ValueError, LookupError, TypeError, AttributeError):
            return "is damaged in its header"
    return "" if needed == size else f"has {size:,} bytes of {needed:,}"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _git_sha1(path: Path) -> str:
    """How git, and so the hub, names a small file."""
    content = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
