"""Small safetensors files of numbers and text: written whole or not at all, read or refused."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from engine.errors import AlignmentError
from engine.files import write_whole

Matrix = NDArray[np.float64]


_CHECKSUM = "crc32"


def write_tensors(
    path: Path, kind: str, tensors: Mapping[str, NDArray[Any]], metadata: Mapping[str, str]
) -> None:
    """Write the file, whole or not at all."""
    about = {**metadata, "kind": kind}
    content = save(dict(tensors), metadata={**about, _CHECKSUM: _checksum(tensors, about)})
    write_whole(path, content)


def read_tensors(path: Path, kind: str, remedy: str) -> tuple[dict[str, Matrix], dict[str, str]]:
    """Read the tensors and the metadata of a file of this kind.

    Raises AlignmentError, which ends with the remedy, when the file is absent, damaged,
    of another kind, or holds anything but finite float64 and float16 numbers and uint64 ones.
    """
    if not path.is_file():
        raise AlignmentError(f"there is no file {path}; {remedy}")
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except (SafetensorError, OSError, ValueError, TypeError) as error:
        raise AlignmentError(f"{path} cannot be read ({error}); {remedy}") from error
    checksum = metadata.pop(_CHECKSUM, None)
    if checksum is not None and checksum != _checksum(tensors, metadata):
        raise AlignmentError(f"{path} is not what was written into it; {remedy}")
    if metadata.get("kind") != kind:
        found = metadata.get("kind", "none")
        raise AlignmentError(f"{path} is not a file of kind {kind} (found: {found}); {remedy}")
    for name, tensor in tensors.items():
        if tensor.dtype == np.uint64:
            continue
        if tensor.dtype not in (np.float64, np.float16) or not np.isfinite(tensor).all():
            raise AlignmentError(
                f"tensor {name!r} of {path} is not finite float64 (found {tensor.dtype}); {remedy}"
            )
    return tensors, metadata


def _checksum(tensors: Mapping[str, NDArray[Any]], metadata: Mapping[str, str]) -> str:
    """Of all that a file says; the format itself has none."""
    found = zlib.crc32(json.dumps(sorted(metadata.items())).encode())
    for name in sorted(tensors):
        found = zlib.crc32(name.encode(), found)
        found = zlib.crc32(tensors[name].tobytes(), found)
    return f"{found:08x}"
