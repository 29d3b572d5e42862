"""Elements of a list inside a large JSON file, one at a time."""

from __future__ import annotations

import codecs
import mmap
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import ijson

from engine.errors import SourceError
from mrag_client.files import open_regular

_HIGH, _LOW = rb"\\u[dD][89abAB][0-9a-fA-F]{2}", rb"\\u[dD][c-fC-F][0-9a-fA-F]{2}"
_HALF = re.compile(rb"%s(?!%s)|(?<!\\u[dD][89abAB]..)%s" % (_HIGH, _LOW, _LOW))


def items(path: Path, prefix: str) -> Iterator[Any]:
    """The elements at an ijson prefix such as `images.item`.

    COCO's 90 MB of train captions take 30 MiB and seconds this way, 400 MiB with `json.load`.
    Raises SourceError where the file is not whole JSON.
    """
    count = 0
    with open_regular(path) as file:
        parser = ijson.get_backend("python") if _has_halves(file) else ijson
        _pass_mark(file)
        try:
            for item in parser.items(file, prefix, use_float=True):
                count += 1
                yield item
        except (ijson.JSONError, ValueError, ArithmeticError) as error:
            raise SourceError(
                f"{path} is not whole JSON after {count:,} elements of {prefix}: {_said(error)}; "
                "get the file again"
            ) from error


def _said(error: Exception) -> str:
    """The first line of what the parser said; it says it in bytes, quoting the file."""
    said = error.args[0] if error.args else ""
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
    return text.strip().partition("\n")[0]


def _has_halves(file: BinaryIO) -> bool:
    """Whether a half of a character may be written in the file, such as `\\ud83d` alone.

    ijson's C parser makes "?" of it, or breaks off; the slow one hands it on, to be refused.
    """
    if not file.seek(0, os.SEEK_END):
        return False
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return _HALF.search(content) is not None


def _pass_mark(file: BinaryIO) -> None:
    file.seek(0)
    if file.read(3) != codecs.BOM_UTF8:
        file.seek(0)
