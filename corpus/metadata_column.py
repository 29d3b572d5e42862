"""The column of a shard that keeps what the files of pictures say of them; see `corpus.shards`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain

import pyarrow as pa

from corpus.arrays import dealt, lists, numbers, offsets, texts
from corpus.entry import Name
from engine.types import Metadata

NAME = "metadata"

_SAID = pa.struct(
    [
        ("camera", pa.string()),
        ("lens", pa.string()),
        ("latitude", pa.float64()),
        ("longitude", pa.float64()),
        ("title", pa.string()),
        ("rating", pa.int32()),
        ("keywords", pa.list_(pa.string())),
        ("sidecar", pa.string()),  # none: nobody has looked
    ]
)
FIELD = pa.field(NAME, pa.list_(_SAID))
"""Of each row the files of its names, in their order. Earlier versions had no such column."""

Said = tuple[Metadata, str | None]
"""What a file says, and what tells whether its sidecars have changed; see `Name`."""


def metadata_column(names: Sequence[Sequence[Name]]) -> pa.Array:
    """What the files of each row's names say."""
    flat = list(chain.from_iterable(names))
    said = [name.metadata for name in flat]
    keywords = [one.keywords for one in said]
    columns = [
        texts([one.camera for one in said]),
        texts([one.lens for one in said]),
        numbers([one.latitude for one in said], pa.float64()),
        numbers([one.longitude for one in said], pa.float64()),
        texts([one.title for one in said]),
        numbers([one.rating for one in said], pa.int32()),
        lists(offsets(keywords), texts(list(chain.from_iterable(keywords)))),
        texts([name.sidecar for name in flat]),
    ]
    return lists(offsets(names), pa.StructArray.from_arrays(columns, fields=list(_SAID)))


def said_of_names(column: pa.Array) -> Iterator[Sequence[Said]]:
    """What `metadata_column` kept of each row."""
    flat = column.flatten()
    *fields, keywords, sidecars = (field.to_pylist() for field in flat.flatten())
    each = map(Metadata, *fields, map(tuple, keywords))
    return dealt(list(zip(each, sidecars, strict=True)), column)


def with_metadata(table: pa.Table) -> pa.Table:
    """The table with that column: empty where an earlier version wrote it."""
    if NAME in table.schema.names:
        return table
    return table.append_column(FIELD, metadata_column([()] * table.num_rows))
