"""Embedding shards: pictures, captions that stand alone, and what was withdrawn, as columns.

A shard holds pictures in order, then captions that stand alone ("loose"), then the pictures that it
withdraws, a row each; see `SCHEMA`. No shard is ever changed: a picture that is written again is
superseded by the later row of the same content. `since` is the commit that a row was last changed
in, which it keeps when it is moved to another shard by a compaction.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, repeat
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from corpus import metadata_column
from corpus.arrays import binaries, dealt, lists, numbers, offsets, texts
from corpus.entry import Entry, Name
from corpus.parquet import (
    Columns,
    DamagedShard,
    Halves,
    ShardFile,
    packed,
    shard_files,
    write_columns,
)
from corpus.records import CaptionRecord
from engine.types import NO_METADATA

__all__ = ["DamagedShard", "Halves", "ShardFile", "shard_files"]

KIND = "mrag-shard/2"
VECTORS = ("image", "caption_vectors")
_NAME = pa.struct(
    [
        ("image_id", pa.string()),
        ("uri", pa.string()),
        ("path", pa.binary()),
        ("size", pa.int64()),
        ("mtime_ns", pa.int64()),
        ("captions", pa.list_(pa.string())),
        ("split", pa.string()),
        ("tags", pa.list_(pa.string())),
    ]
)
SCHEMA = pa.schema(
    [
        ("since", pa.int64()),
        ("sha256", pa.binary()),  # 32 bytes; none: a caption that stands alone, or stood
        ("names", pa.list_(_NAME)),  # captions only where there are several; path as the system's
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("taken_at", pa.string()),  # ISO 8601
        ("split", pa.string()),
        ("captions", pa.list_(pa.string())),
        ("image", pa.binary()),  # float16 (dim,), little-endian
        ("caption_vectors", pa.binary()),  # float16 (len(captions), dim)
        metadata_column.FIELD,
    ]
)


class Withdrawn(NamedTuple):
    """What is there no longer, as of a commit: a picture by its content, or a loose caption."""

    sha256: str
    since: int = 0
    caption: CaptionRecord | None = None


@dataclass(frozen=True)
class Contents:
    """What goes into a shard; `images` (n, dim) and `captions` (m, dim) as they are stored.

    The captions of the pictures in order, then the loose ones. `since`: the commit of each
    picture, where that is an earlier one than the shard's; None: of that.
    """

    entries: Sequence[Entry]
    loose: Sequence[CaptionRecord]
    withdrawn: Sequence[Withdrawn]
    images: Halves
    captions: Halves
    since: Sequence[int | None] = ()

    def commits(self, commit: int) -> list[int]:
        """The commit of each picture."""
        since = self.since or [None] * len(self.entries)
        return [commit if one is None else one for one in since]


def write_shard(
    folder: Path, number: int, contents: Contents, *, commit: int, encoder_id: str
) -> ShardFile:
    """Write a shard of this commit, whole or not at all."""
    counts = len(contents.entries), len(contents.loose), len(contents.withdrawn)
    total = sum(counts)
    told = [len(entry.captions) for entry in contents.entries]
    if len(contents.images) != counts[0] or len(contents.captions) != sum(told) + counts[1]:
        raise ValueError(
            f"{len(contents.images)} pictures' and {len(contents.captions)} captions' vectors do "
            f"not belong to {counts[0]} pictures with {sum(told)} captions and {counts[1]} alone"
        )
    said = [*(entry.captions for entry in contents.entries)]
    said += [(caption.text,) for caption in contents.loose]
    ends_of_vectors = offsets([*said, *[()] * counts[2]])
    unsaid = [one.caption for one in contents.withdrawn]
    said += [(caption.text,) if caption else () for caption in unsaid]
    hashes = [bytes.fromhex(entry.sha256) for entry in contents.entries]
    gone = [bytes.fromhex(one.sha256) or None for one in contents.withdrawn]
    rest = [None] * (total - counts[0])
    entries = contents.entries
    splits = [entry.split for entry in entries] + [caption.split for caption in contents.loose]
    ends = np.minimum(np.arange(total + 1), counts[0])
    columns = {
        "since": numbers([*contents.commits(commit), *[commit] * (counts[1] + counts[2])]),
        "sha256": binaries([*hashes, *[None] * counts[1], *gone]),
        "names": _names_column(
            [
                *(entry.names for entry in entries),
                *(_of_caption(caption) for caption in contents.loose),
                *(_of_caption(caption) if caption else () for caption in unsaid),
            ]
        ),
        "width": numbers([*(entry.width for entry in entries), *rest], pa.int32()),
        "height": numbers([*(entry.height for entry in entries), *rest], pa.int32()),
        "taken_at": texts([*(entry.taken_at for entry in entries), *rest]),
        "split": texts([*splits, *[None] * counts[2]]),
        "captions": _texts_column(said),
        "image": packed(contents.images, ends),
        "caption_vectors": packed(contents.captions, ends_of_vectors.astype(np.int64)),
        metadata_column.NAME: metadata_column.metadata_column(
            [*(entry.names for entry in entries), *((),) * len(rest)]
        ),
    }
    table = pa.table(columns, schema=SCHEMA)
    return write_rows(folder, number, table, counts, commit, contents.images.shape[1], encoder_id)


def write_rows(
    folder: Path,
    number: int,
    table: pa.Table,
    counts: tuple[int, int, int],
    commit: int,
    dim: int,
    encoder_id: str,
) -> ShardFile:
    """Write rows of SCHEMA that are in order; `counts`: pictures, loose captions, withdrawn.

    `commit` is the latest that they know of.
    """
    numbers = dict(zip(("pictures", "loose", "withdrawn"), counts, strict=True))
    numbers |= {"dim": dim, "commit": commit}
    about = {"kind": KIND, "encoder_id": encoder_id}
    about |= {key: str(value) for key, value in numbers.items()}
    return write_columns(folder, number, table, about, VECTORS)


class Shard:
    """A shard, read column by column as it is asked for; rows are those of the file.

    Every reading raises DamagedShard where the file is not what was written.
    """

    def __init__(self, file: ShardFile) -> None:
        self.columns = Columns(file, KIND)
        self.number = file.number
        self.pictures = self.columns.number("pictures")
        self.loose = self.columns.number("loose")
        self.withdrawn = self.columns.number("withdrawn")
        self.commit = self.columns.number("commit")
        if self.pictures + self.loose + self.withdrawn != self.columns.rows:
            raise DamagedShard(file.path, "its counts do not add up")

    @property
    def encoder_id(self) -> str:
        """The encoder that the vectors were made with."""
        return str(self.columns.about.get("encoder_id", ""))

    @property
    def images(self) -> Halves:
        """The vectors of the pictures: (pictures, dim)."""
        return self.columns.halves("image")

    @property
    def captions(self) -> Halves:
        """The vectors of all captions: those of the pictures in order, then the loose ones."""
        return self.columns.halves("caption_vectors")

    @cached_property
    def offsets(self) -> NDArray[np.int64]:
        """For each row where its captions begin among `captions`, and the end: (rows + 1,)."""
        return self.columns.offsets("caption_vectors")

    def span(self, row: int) -> slice:
        """The rows of `captions` that belong to a picture or a loose caption."""
        return slice(int(self.offsets[row]), int(self.offsets[row + 1]))

    @cached_property
    def splits(self) -> list[str]:
        """The split of each picture and each loose caption."""
        return self._list("split", self.pictures + self.loose)

    @cached_property
    def sha256s(self) -> list[bytes]:
        """The content of each picture."""
        return self._list("sha256", self.pictures)

    @cached_property
    def image_ids(self) -> list[str]:
        """The name by which each picture is shown."""
        names = self.columns.column("names").slice(0, self.pictures)
        firsts = pc.list_element(names, 0)
        ids: list[str] = pc.struct_field(firsts, "image_id").to_pylist()
        return ids

    @cached_property
    def texts(self) -> list[list[str]]:
        """The captions of each picture, and of each loose caption its one."""
        return self._list("captions", self.pictures + self.loose)

    @cached_property
    def since(self) -> list[int]:
        """The commit that each row was last changed in."""
        return self._list("since", self.columns.rows)

    def gone(self) -> list[Withdrawn]:
        """What is withdrawn, in order."""
        first = self.pictures + self.loose
        hashes, texts = (
            self.columns.column(name).slice(first).to_pylist() for name in ("sha256", "captions")
        )
        names = _names(self.columns.column("names").slice(first))
        return [
            Withdrawn(sha256.hex(), since)
            if sha256
            else Withdrawn("", since, CaptionRecord(said[0], own[0].image_id))
            for sha256, since, said, own in zip(
                hashes, self.since[first:], texts, names, strict=True
            )
        ]

    def entry(self, row: int) -> Entry:
        """The picture in a row."""
        (found,) = self.entries([row])
        return found

    def entries(self, rows: Sequence[int] | None = None) -> list[Entry]:
        """The pictures in these rows, in the order given; None: all."""
        chosen = range(self.pictures) if rows is None else rows
        taken = numbers(chosen)
        lists = {
            name: self.columns.column(name).take(taken).to_pylist()
            for name in ("sha256", "width", "height", "taken_at", "split", "captions")
        }
        names = _names(self.columns.column("names").take(taken))
        each = zip(*lists.values(), names, self._said(taken), strict=True)
        return [
            Entry(sha256.hex(), width, height, _told(own, split, tuple(captions), said), taken_at)
            for sha256, width, height, taken_at, split, captions, own, said in each
        ]

    def loose_captions(self, rows: Sequence[int] | None = None) -> list[CaptionRecord]:
        """The captions that stand alone in these rows; None: all."""
        chosen = range(self.pictures, self.pictures + self.loose) if rows is None else rows
        names = _names(self.columns.column("names").take(numbers(chosen)))
        return [
            CaptionRecord(self.texts[row][0], own[0].image_id, self.splits[row])
            for row, own in zip(chosen, names, strict=True)
        ]

    def _said(self, rows: pa.Array) -> Iterable[Sequence[metadata_column.Said]]:
        """What the files of these rows' names say; nothing where nobody has looked."""
        if metadata_column.NAME not in self.columns.names:
            return repeat((), len(rows))
        column = self.columns.column(metadata_column.NAME)
        return metadata_column.said_of_names(column.take(rows))

    def _list(self, name: str, rows: int) -> list[Any]:
        values: list[Any] = self.columns.column(name).slice(0, rows).to_pylist()
        return values


def encoder_of(folder: Path) -> str:
    """The id of the encoder that a folder's shards were made with, "" where there is no shard.

    Raises DamagedShard.
    """
    for file in shard_files(folder).values():
        return Shard(file).encoder_id
    return ""


def _of_caption(caption: CaptionRecord) -> tuple[Name, ...]:
    """Which picture a loose caption is of, as names are written."""
    return (Name(caption.image_id, "", "", 0, 0),)


def _names_column(names: Sequence[Sequence[Name]]) -> pa.Array:
    """The names of each row; what they say is written only where there are several."""
    flat = list(chain.from_iterable(names))
    several = [len(own) > 1 for own in names for _ in own]
    said = list(zip(flat, several, strict=True))
    columns = [
        texts([name.image_id for name in flat]),
        texts([name.uri for name in flat]),
        binaries([os.fsencode(name.path) for name in flat]),
        numbers([name.size for name in flat]),
        numbers([name.mtime_ns for name in flat]),
        _texts_column([name.captions if more else () for name, more in said]),
        texts([name.split if more else None for name, more in said]),
        _texts_column([name.tags for name in flat]),
    ]
    structs = pa.StructArray.from_arrays(columns, fields=list(_NAME))
    return lists(offsets(names), structs)


def _texts_column(said: Sequence[Sequence[str]]) -> pa.Array:
    return lists(offsets(said), texts(list(chain.from_iterable(said))))


def _names(column: pa.Array) -> Iterator[Sequence[Name]]:
    """The names of each row."""
    flat = column.flatten()
    fields: Mapping[str, list[Any]] = {
        field.name: column.to_pylist()
        for field, column in zip(flat.type, flat.flatten(), strict=True)
    }
    names = [
        Name(
            image_id,
            uri,
            os.fsdecode(path),
            size,
            mtime_ns,
            tuple(captions),
            split or "",
            tuple(tags),
        )
        for image_id, uri, path, size, mtime_ns, captions, split, tags in zip(
            *fields.values(), strict=True
        )
    ]
    return dealt(names, column)


def _told(
    names: Sequence[Name],
    split: str,
    captions: tuple[str, ...],
    said: Sequence[metadata_column.Said],
) -> tuple[Name, ...]:
    """The names with what they say: a single one says what the picture has."""
    alone = len(names) == 1
    return tuple(
        Name(
            name.image_id,
            name.uri,
            name.path,
            name.size,
            name.mtime_ns,
            captions if alone else name.captions,
            split if alone else name.split,
            name.tags,
            metadata,
            sidecar,
        )
        for name, (metadata, sidecar) in zip(
            names, said or repeat((NO_METADATA, None), len(names)), strict=True
        )
    )
