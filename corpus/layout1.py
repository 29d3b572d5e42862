"""Reads what the first layout of collections wrote: safetensors files with records in their header.

Only a migration reads it (`corpus.migration`). What lived was decided by rows that superseded
earlier ones of the same id or the same content, in the order of the files.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from safetensors import SafetensorError, safe_open

from corpus.parquet import Halves
from engine.collection import CollectionFolder
from engine.errors import StoreUnavailable

_NAME = re.compile(r"shard-(\d{5,})\.safetensors")
_DAMAGE = (SafetensorError, OSError, ValueError, KeyError, TypeError)


class OldShard(NamedTuple):
    """A shard of any kind: its records, the encoder, and its vectors by name."""

    records: Any
    encoder_id: str
    vectors: Mapping[str, Halves]


class Place(NamedTuple):
    """Where a living picture lies, and what tells it."""

    image_id: str
    sha256: str
    shard: int
    row: int


def old_shards(folder: Path) -> dict[int, Path]:
    """The old shards in a folder by number, ascending."""
    found = {}
    for path in folder.glob("shard-*.safetensors"):
        match = _NAME.fullmatch(path.name)
        if match:
            found[int(match[1])] = path
    return dict(sorted(found.items()))


def read_old(path: Path, *tensors: str) -> OldShard:
    """Read a shard's records, and these of its tensors; raises StoreUnavailable where it cannot."""
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            records = json.loads(metadata["records"])
            vectors = {name: np.asarray(file.get_tensor(name), np.float16) for name in tensors}
            return OldShard(records, metadata["encoder_id"], vectors)
    except _DAMAGE as error:
        raise StoreUnavailable(
            f"the embeddings in {path} cannot be read ({error}); delete that file and migrate "
            "again: what was in it is embedded anew by the next ingest"
        ) from error


def living(folder: CollectionFolder) -> dict[int, dict[int, str]]:
    """The living pictures: shard -> row -> sha256, rows ascending."""
    by_id: dict[str, Place] = {}
    by_content: dict[str, Place] = {}

    def retire(place: Place | None) -> None:
        if place is not None:
            by_id.pop(place.image_id, None)
            by_content.pop(place.sha256, None)

    for number, path in old_shards(folder.embeddings).items():
        records = read_old(path).records
        for row, entry in enumerate(records["entries"]):
            place = Place(entry["image_id"], entry["sha256"], number, row)
            retire(by_id.get(place.image_id))
            retire(by_content.get(place.sha256))
            by_id[place.image_id] = by_content[place.sha256] = place
        for image_id, sha256 in records.get("withdrawn", ()):
            known = by_id.get(image_id)
            if known is not None and known.sha256 == sha256:
                retire(known)
    found: dict[int, dict[int, str]] = {}
    for place in sorted(by_id.values(), key=lambda one: (one.shard, one.row)):
        found.setdefault(place.shard, {})[place.row] = place.sha256
    return found


def old_fact(folder: CollectionFolder, name: str) -> Any:
    """What the old ledger noted by that name; None where it did not, or is not there."""
    path = folder.embeddings / "ledger.sqlite"
    if not path.is_file():
        return None
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as db:
            query = "select value from fact where name = ?"
            found = db.execute(query, (name,)).fetchone()
            return json.loads(found[0]) if found else None
    except (sqlite3.Error, ValueError):
        return None


def leftovers(folder: CollectionFolder) -> Iterator[Path]:
    """The files of the old layout that nothing reads once a collection has been brought over."""
    for place in (folder.embeddings, folder.generated, folder.rounds):
        yield from old_shards(place).values()
