"""What an ingest skipped: counted, and written down one JSON object a line."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from corpus.records import Skipped
from engine.files import partial_path, remove_partials

Kind = Literal["unreadable", "duplicate", "conflict", "source", "repeated", "not finite"]
"""`unreadable`: a picture that cannot be opened. `duplicate`: another file has the same bytes, and
they are one picture with the captions of both. `conflict`: so it is, but in another split, so that
the captions of this one are left out.
`source`: the source could not say what it is. `repeated`: an id that the source gives twice.
`not finite`: the encoder gave no usable vector."""

_EXAMPLES = 10


class SkipLog:
    """Counts what is skipped by kind, keeps a few examples, and writes all of it to a file.

    The file is that of the last run, and appears whole when the run ends.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        remove_partials(path.parent, of=path.name)
        self._partial = partial_path(path)
        self._file = self._partial.open("w", encoding="utf-8")
        self.counts: Counter[str] = Counter()
        self.examples: list[Skipped] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()
        self._partial.replace(self._path)

    def add(self, kind: Kind, skipped: Skipped) -> None:
        """Note something that was skipped."""
        self.counts[kind] += 1
        if len(self.examples) < _EXAMPLES:
            self.examples.append(skipped)
        line = {"uri": skipped.uri, "kind": kind, "reason": skipped.reason}
        self._file.write(json.dumps(line) + "\n")
