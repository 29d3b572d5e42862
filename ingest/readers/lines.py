"""Lines of text files, in bounded memory."""

from __future__ import annotations

import codecs
import io
from collections.abc import Iterator
from pathlib import Path

from engine.errors import SourceError
from mrag_client.files import open_regular

LINE_LIMIT = 16 * 2**20
"""Longest line, in characters: what is longer is no table and no list of captions."""


_MARKS = {
    # UTF-32's first: the mark of UTF-16 is how its own begins.
    "utf-32": (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE),
    "utf-16": (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE),
}


def encoding_of(head: bytes) -> str:
    """UTF-32 or UTF-16 where the byte order mark says so, else UTF-8 with or without a mark."""
    found = (encoding for encoding, marks in _MARKS.items() if head.startswith(marks))
    return next(found, "utf-8-sig")


def read_lines(path: Path, *, newline: str | None = None) -> Iterator[str]:
    """The lines with their ends; bytes that cannot be decoded come as lone surrogates.

    Raises SourceError at a line of more than LINE_LIMIT characters.
    """
    with open_regular(path) as opened:
        encoding = encoding_of(opened.read(4))
        opened.seek(0)
        file = io.TextIOWrapper(opened, encoding, errors="surrogateescape", newline=newline)
        number = 0
        while line := file.readline(LINE_LIMIT):
            number += 1
            if len(line) == LINE_LIMIT and not line.endswith(("\n", "\r")):
                raise SourceError(
                    f"{path}: line {number} is longer than {LINE_LIMIT:,} characters; "
                    "that is no list of rows or captions"
                )
            yield line


def is_decoded(text: str) -> bool:
    """Whether all of the text could be decoded: UTF-16 and UTF-32 unmarked are full of zeros."""
    if 3 * text.count("\0") > len(text):
        return False
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
