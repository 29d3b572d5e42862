"""Shards of generated captions: those of pictures without any, and those of refinement rounds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from corpus.arrays import binaries, numbers, texts
from corpus.parquet import Columns, DamagedShard, Halves, ShardFile, packed, unpacked, write_columns
from engine.types import MadeWith

_DESCRIBED, _ROUND = "mrag-generated/2", "mrag-round/2"
_VECTOR = "vector"
_GROUP = 4096
"""Rows that are read together: a round may be of hundreds of thousands."""


@dataclass(frozen=True)
class Described:
    """A caption that was generated for the picture with this sha256.

    `made_with` is None of what an earlier version wrote down, which did not note it.
    """

    sha256: str
    text: str
    made_with: MadeWith | None = None


@dataclass(frozen=True)
class Refined:
    """A caption that a refinement round adds to a picture, which has captions of its own.

    It stands while these are the ones that it was scored against: `captions_key` is theirs.
    `score` is what it was worth.
    """

    sha256: str
    captions_key: int
    text: str
    score: float


def write_described(
    folder: Path,
    number: int,
    described: Sequence[Described],
    vectors: Halves,
    *,
    commit: int,
    encoder_id: str,
) -> ShardFile:
    """Write generated captions and their vectors (n, dim), whole or not at all."""
    columns = {
        "since": numbers([commit] * len(described)),
        "sha256": binaries([bytes.fromhex(one.sha256) for one in described]),
        "text": texts([one.text for one in described]),
        **_made_with([one.made_with for one in described]),
    }
    return _write(folder, number, _DESCRIBED, columns, vectors, commit, encoder_id)


def _made_with(noted: Sequence[MadeWith | None]) -> dict[str, pa.Array]:
    """A column for each field of what descriptions were made with."""
    columns = {}
    for field in fields(MadeWith):
        values: list[Any] = [one and getattr(one, field.name) for one in noted]
        columns[field.name] = numbers(values) if field.name == "captions" else texts(values)
    return columns


def write_round(
    folder: Path,
    number: int,
    refined: Sequence[Refined],
    vectors: Halves,
    *,
    commit: int,
    encoder_id: str,
) -> ShardFile:
    """Write the captions of a refinement round and their vectors, whole or not at all."""
    columns = {
        "sha256": binaries([bytes.fromhex(one.sha256) for one in refined]),
        "captions_key": numbers([one.captions_key for one in refined]),
        "text": texts([one.text for one in refined]),
        "score": numbers([one.score for one in refined], pa.float64()),
    }
    return _write(folder, number, _ROUND, columns, vectors, commit, encoder_id)


def _write(
    folder: Path,
    number: int,
    kind: str,
    columns: dict[str, pa.Array],
    vectors: Halves,
    commit: int,
    encoder_id: str,
) -> ShardFile:
    # In parts, as all of a large round are more than one column can hold.
    parts = [vectors[at : at + _GROUP] for at in range(0, len(vectors), _GROUP)]
    chunks = [packed(part, np.arange(len(part) + 1)) for part in parts]
    table = pa.table({**columns, _VECTOR: pa.chunked_array(chunks, pa.binary())})
    dim = str(vectors.shape[1])
    about = {"kind": kind, "encoder_id": encoder_id, "dim": dim, "commit": str(commit)}
    return write_columns(folder, number, table, about, (_VECTOR,), _GROUP)


def move_described(
    file: ShardFile, rows: Sequence[int], folder: Path, number: int
) -> ShardFile | None:
    """Write these rows of a shard of generated captions to a new one; None if it has no others."""
    columns = Columns(file, _DESCRIBED)
    if len(rows) == columns.rows:
        return None
    table = columns.table().take(numbers(rows)).combine_chunks()
    return write_columns(folder, number, table, columns.about, (_VECTOR,), _GROUP)


class _Generated:
    """A shard of generated captions, read in groups of rows; raises DamagedShard."""

    def __init__(self, file: ShardFile, kind: str) -> None:
        self.columns = Columns(file, kind)
        self.commit = self.columns.number("commit")
        self._group = -1
        self._texts: list[str] = []
        self._vectors: Halves = np.empty((0, self.columns.dim), np.float16)

    def caption(self, row: int) -> tuple[str, Halves]:
        """A caption and its vector (dim,); rows that lie together are quickest in their order."""
        self._read(row // _GROUP)
        try:
            return self._texts[row % _GROUP], self._vectors[row % _GROUP]
        except IndexError as error:
            raise DamagedShard(self.columns.shard.path, error) from error

    def _read(self, group: int) -> None:
        if group != self._group:
            found = self.columns.group(group, ("text", _VECTOR))
            self._texts = found["text"].to_pylist()
            self._vectors = unpacked(found[_VECTOR], self.columns.dim)
            self._group = group

    def _list(self, name: str) -> list[Any]:
        values: list[Any] = self.columns.column(name).to_pylist()
        return values


class DescribedShard(_Generated):
    """Captions of pictures that have none of their own."""

    def __init__(self, file: ShardFile) -> None:
        super().__init__(file, _DESCRIBED)

    def contents(self) -> list[tuple[str, int]]:
        """The sha256 of each picture, and the commit of its caption."""
        pairs = zip(self._list("sha256"), self._list("since"), strict=True)
        return [(sha256.hex(), since) for sha256, since in pairs]

    def made_with(self) -> list[MadeWith | None]:
        """What each was made with; None where that was not noted."""
        names = [field.name for field in fields(MadeWith)]
        if not self.columns.has(*names):
            return [None] * self.columns.rows
        columns = (self._list(name) for name in names)
        return [
            None if generator is None else MadeWith(generator, *others)
            for generator, *others in zip(*columns, strict=True)
        ]


class RoundShard(_Generated):
    """The captions of a refinement round."""

    def __init__(self, file: ShardFile) -> None:
        super().__init__(file, _ROUND)

    def refined(self) -> list[Refined]:
        """The captions with what they stand on."""
        columns = (self._list(name) for name in ("sha256", "captions_key", "text", "score"))
        return [
            Refined(sha256.hex(), key, text, score)
            for sha256, key, text, score in zip(*columns, strict=True)
        ]
