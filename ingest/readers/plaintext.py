"""Reads captions alone from a text file, one a line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from corpus.records import Skipped
from ingest.readers.annotation import Annotation, one_line
from ingest.readers.lines import is_decoded, read_lines


def read_text(path: Path) -> Iterator[Annotation | Skipped]:
    """An entry for each line that is not blank."""
    for number, line in enumerate(read_lines(path), start=1):
        where = f"line {number}"
        if not is_decoded(line):
            yield Skipped(str(path), f"{where} is not UTF-8; save the file as UTF-8")
        elif text := one_line(line):
            yield Annotation(where=where, captions=(text,))
