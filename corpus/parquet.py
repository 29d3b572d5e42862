"""Parquet files that are one commit: written whole, checked page by page and as a whole.

The name of a file holds its number and the CRC-32 of its bytes: `shard-00012.9f3a01bc.parquet`. So
a copy that is cut or damaged is known wherever it is, also by who reads no Parquet.
"""

from __future__ import annotations

import os
import re
import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from engine.disk import refused
from engine.errors import StoreUnavailable
from engine.files import write_whole

Halves = NDArray[np.float16]

_NAME = re.compile(r"shard-(\d{5,})\.([0-9a-f]{8})\.parquet")
_MOST = 2**31 - 1
"""Bytes that the offsets of one binary column can count."""
_DAMAGE = (
    pa.ArrowException,
    OSError,
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    IndexError,
    struct.error,
)


class DamagedShard(StoreUnavailable):
    """A shard that cannot be read as it was written; `path` names it."""

    def __init__(self, path: Path, reason: object) -> None:
        super().__init__(
            f"the embeddings in {path} cannot be read ({reason}); set them aside with: mrag verify "
            f"{path.absolute().parents[1].name} --mend, and ingest again: only what was in that "
            "file is embedded again"
        )
        self.path = path


@dataclass(frozen=True)
class ShardFile:
    """A shard on disk: its number, and where it lies."""

    number: int
    path: Path

    @property
    def checksum(self) -> int:
        """The CRC-32 that its bytes had when they were written."""
        match = _NAME.fullmatch(self.path.name)
        return int(match[2], 16) if match else -1

    def is_whole(self) -> bool:
        """Whether its bytes are those that were written; reads all of them.

        Raises StoreUnavailable where the system refuses: they may be, all the same.
        """
        try:
            with self.path.open("rb") as file:
                found = 0
                while block := file.read(2**20):
                    found = zlib.crc32(block, found)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise refused(self.path, error) from error
        return found == self.checksum


def shard_files(folder: Path) -> dict[int, ShardFile]:
    """The shards in a folder by number, ascending."""
    found = {}
    for path in folder.glob("shard-*.parquet"):
        match = _NAME.fullmatch(path.name)
        if match:
            found[int(match[1])] = ShardFile(int(match[1]), path)
    return dict(sorted(found.items()))


def write_columns(
    folder: Path,
    number: int,
    table: pa.Table,
    about: Mapping[str, str],
    vectors: Sequence[str],
    group: int = 2**20,
) -> ShardFile:
    """Write a table as the shard of that number, whole or not at all.

    `about` is kept in the file. Columns of `vectors` are not compressed: they do not shrink.
    `group`: rows that can be read apart from the others.
    """
    buffer = pa.BufferOutputStream()
    paths = _leaves(table.schema)
    compression = {path: "NONE" if path in vectors else "ZSTD" for path in paths}
    writer = pq.ParquetWriter(
        buffer,
        table.schema.with_metadata(dict(about)),
        compression=compression,
        use_dictionary=[path for path in paths if path not in vectors],
        write_statistics=False,
        write_page_checksum=True,
        data_page_size=2**26,
    )
    writer.write_table(table, row_group_size=group)
    writer.close()
    content = _sealed(memoryview(buffer.getvalue()))
    path = folder / f"shard-{number:05d}.{zlib.crc32(content):08x}.parquet"
    write_whole(path, content)
    return ShardFile(number, path)


class Columns:
    """The columns of a shard, each read when it is first asked for.

    The file stays open, so that what was begun can be read to its end although the file is
    replaced meanwhile. Raises DamagedShard wherever the file is not what was
    written, StoreUnavailable where the system refuses to read it.
    """

    def __init__(self, shard: ShardFile, kind: str) -> None:
        self.shard = shard
        self._read: dict[str, pa.Array] = {}
        try:
            source = pa.OSFile(str(shard.path))
            _check_seal(source)
            self._file = pq.ParquetFile(source, page_checksum_verification=True, pre_buffer=False)
            self.about = {
                key.decode(): value.decode()
                for key, value in (self._file.schema_arrow.metadata or {}).items()
            }
            self.rows = int(self._file.metadata.num_rows)
            if self.about.get("kind") != kind:
                raise ValueError(f"it is of kind {self.about.get('kind')}, not {kind}")
        except _DAMAGE as error:
            raise _trouble(shard.path, error) from error

    def has(self, *names: str) -> bool:
        """Whether it has these columns: a later version may have added some."""
        return set(names) <= set(self._file.schema_arrow.names)

    @property
    def names(self) -> list[str]:
        """The columns that the file has."""
        return list(self._file.schema_arrow.names)

    def column(self, name: str) -> pa.Array:
        """A column, of all rows."""
        if name not in self._read:
            try:
                table = self._file.read([name], use_threads=False)
                if table.num_rows != self.rows:
                    raise ValueError(f"column {name} has {table.num_rows} rows, not {self.rows}")
                self._read[name] = pa.concat_arrays(
                    table.column(name).chunks or [pa.nulls(0, table.schema.field(name).type)]
                )
            except _DAMAGE as error:
                raise _trouble(self.shard.path, error) from error
        return self._read[name]

    def group(self, at: int, names: Sequence[str]) -> dict[str, pa.Array]:
        """Columns of one group of rows alone; nothing of it is kept."""
        try:
            table = self._file.read_row_group(at, list(names), use_threads=False)
            return {name: pa.concat_arrays(table.column(name).chunks) for name in names}
        except _DAMAGE as error:
            raise _trouble(self.shard.path, error) from error

    def table(self) -> pa.Table:
        """All of it."""
        try:
            return self._file.read(use_threads=False)
        except _DAMAGE as error:
            raise _trouble(self.shard.path, error) from error

    def number(self, name: str) -> int:
        """A number that the file says of itself."""
        try:
            return int(self.about[name])
        except (KeyError, ValueError) as error:
            raise DamagedShard(self.shard.path, error) from error

    @cached_property
    def dim(self) -> int:
        """The length of its vectors."""
        return self.number("dim")

    def halves(self, name: str) -> Halves:
        """The vectors in a column, one after the other: (n, dim) float16, not copied.

        A row holds any number of them; see `offsets`.
        """
        try:
            return unpacked(self.column(name), self.dim)
        except _DAMAGE as error:
            raise _trouble(self.shard.path, error) from error

    def offsets(self, name: str) -> NDArray[np.int64]:
        """For each row of a column of vectors where its vectors begin, and the end: (rows + 1,)."""
        ends = _ends(self.column(name)).astype(np.int64)
        offsets: NDArray[np.int64] = (ends - ends[0]) // (2 * self.dim)
        return offsets


def _trouble(path: Path, error: Exception) -> StoreUnavailable:
    """What came of reading a file: damage, or what the system refuses of one that may be whole."""
    number = error.errno if isinstance(error, OSError) else None
    if number is None or isinstance(error, FileNotFoundError):  # pyarrow calls damage OSError, too
        return DamagedShard(path, error)
    return refused(path, OSError(number, os.strerror(number)))


_END = struct.Struct("<I4s")
"""How Parquet ends: the length of the footer before it, and a mark."""


def _sealed(content: memoryview) -> bytes:
    """A Parquet file with a CRC-32 of its footer before that, where no reader of Parquet looks.

    Parquet has checksums for its pages, but none for what says where these lie and what they are.
    """
    (length, _) = _END.unpack(content[-_END.size :])
    footer = content[len(content) - _END.size - length :]
    seal = zlib.crc32(footer).to_bytes(4, "little")
    return b"".join([content[: len(content) - len(footer)], seal, footer])


def _check_seal(source: pa.NativeFile) -> None:
    """Raise ValueError where the footer of a file is not what was written."""
    size = source.size()
    (length, _) = _END.unpack(source.read_at(_END.size, size - _END.size))
    start = size - _END.size - length - 4
    if start < 0:
        raise ValueError("its footer is longer than the file")
    found = source.read_at(size - start, start)
    if zlib.crc32(found[4:]) != int.from_bytes(found[:4], "little"):
        raise ValueError("the checksum of its footer is not that before it")


def packed(rows: Halves, offsets: NDArray[np.int64]) -> pa.Array:
    """Vectors (n, dim) as a column of len(offsets) - 1 rows: those from one offset to the next."""
    size = int(offsets[-1]) * 2 * rows.shape[1]
    if size > _MOST:
        raise ValueError(f"{size:,} bytes of vectors do not fit in a column: it takes {_MOST:,}")
    rows = np.ascontiguousarray(rows, np.float16)
    ends = np.ascontiguousarray(offsets * 2 * rows.shape[1], np.int32)
    return pa.Array.from_buffers(
        pa.binary(), len(ends) - 1, [None, pa.py_buffer(ends), pa.py_buffer(rows)]
    )


def unpacked(array: pa.Array, dim: int) -> Halves:
    """The vectors in a column that `packed` made: (n, dim), not copied."""
    ends = _ends(array)
    data = np.frombuffer(array.buffers()[2] or b"", np.uint8)
    return data[ends[0] : ends[-1]].view(np.float16).reshape(-1, dim)


def _ends(array: pa.Array) -> NDArray[np.int32]:
    """Where the values of a binary column lie in its data: (rows + 1,)."""
    if not len(array):
        return np.zeros(1, np.int32)
    ends = np.frombuffer(array.buffers()[1], np.int32)
    return ends[array.offset : array.offset + len(array) + 1]


def _leaves(schema: pa.Schema) -> list[str]:
    """The paths of the columns as Parquet spells them."""
    rows = pa.Table.from_arrays([pa.nulls(0, field.type) for field in schema], schema=schema)
    empty = pa.BufferOutputStream()
    pq.write_table(rows, empty)
    found: Any = pq.ParquetFile(pa.BufferReader(empty.getvalue())).schema
    return [found.column(at).path for at in range(len(found.names))]
