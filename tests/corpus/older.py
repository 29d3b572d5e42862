"""Shards as earlier versions wrote them."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq

from corpus import metadata_column
from corpus.parquet import ShardFile, shard_files, write_columns
from corpus.shards import VECTORS


def without_metadata(folder: Path) -> list[ShardFile]:
    """Write every shard of a folder again without the column of what files say."""
    made = []
    for number, file in shard_files(folder).items():
        table = pq.read_table(file.path)
        about = {key.decode(): value.decode() for key, value in table.schema.metadata.items()}
        file.path.unlink()
        older = table.drop_columns([metadata_column.NAME])
        made.append(write_columns(folder, number, older, about, VECTORS))
    return made
