"""Lines of text files, in bounded memory."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from pathlib import Path

from engine.errors import SourceError

LINE_LIMIT = 16 * 2**20
"""Longest line, in characters: what is longer is no table and no list of captions."""


def encoding_of(head: bytes) -> str:
    """UTF-16 where the byte order mark says so, else UTF-8 with or without a mark."""
    marked = head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return "utf-16" if marked else "utf-8-sig"


def read_lines(path: Path, *, newline: str | None = None) -> Iterator[str]:
    """The lines with their ends; bytes that cannot be decoded come as lone surrogates.

    Raises SourceError at a line of more than LINE_LIMIT characters.
    """
    with path.open("rb") as file:
        encoding = encoding_of(file.read(2))
    with path.open(encoding=encoding, errors="surrogateescape", newline=newline) as file:
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
    """Whether all of the text could be decoded."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
