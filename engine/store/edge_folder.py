"""The folder of an embedded index: making it, opening it once per process, naming its faults.

A folder holds `index.json` (what the index was made with) and `shard` (Qdrant Edge's files).
It is made under another name and renamed when it is whole, so a folder that exists is whole.
"""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import qdrant_edge as edge
from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_random_exponential

from engine.errors import CollectionMissing, StoreLocked, StoreUnavailable
from engine.store.interface import WORDS, IndexSpec
from engine.store.made_with import check_made_with, made_with

LOCK_PATIENCE_S = 2.0
"""How long a locked index is waited for: another mrag command may be about to end."""

_CARD = "index.json"
SHARD = "shard"


class SharedShard:
    """A shard that all the indexes of one process on one folder use together."""

    def __init__(self, key: Path, shard: edge.EdgeShard) -> None:
        self.key = key
        self.shard = shard
        self.users = 0


_open_shards: WeakValueDictionary[Path, SharedShard] = WeakValueDictionary()
_folder_locks: dict[Path, threading.Lock] = {}
_registry_lock = threading.Lock()


def make_folder(folder: Path, spec: IndexSpec) -> None:
    """Make an empty index, whole or not at all."""
    partial = folder.with_name(f"{folder.name}.partial")
    with edge_errors(folder, spec.collection):
        if partial.exists():
            shutil.rmtree(partial)
        partial.mkdir(parents=True)
        (partial / _CARD).write_text(json.dumps(made_with(spec)) + "\n", encoding="utf-8")
        shard = edge.EdgeShard.create(str(partial / SHARD), _config(spec))
        for field in spec.keywords:
            _index_field(shard, field, edge.PayloadSchemaType.Keyword)
        for field in spec.datetimes:
            _index_field(shard, field, edge.PayloadSchemaType.Datetime)
        shard.close()
        partial.rename(folder)


def check_folder(folder: Path, spec: IndexSpec) -> None:
    """Refuse a folder that is missing, damaged or made with something else."""
    if not folder.is_dir():
        raise CollectionMissing(
            f"collection {spec.collection!r} has no index of {spec.name} in {folder}; write it "
            f"with: mrag push {spec.collection}"
        )
    if not (folder / SHARD / "segments").is_dir():
        raise StoreUnavailable(_damaged(folder, spec.collection, "its shard is missing"))
    try:
        card = json.loads((folder / _CARD).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StoreUnavailable(_damaged(folder, spec.collection, str(error))) from error
    check_made_with(card if isinstance(card, dict) else None, spec, f"the index in {folder}")


def acquire_shard(folder: Path, collection: str, patience_s: float) -> SharedShard:
    """Open the shard of a folder, or share it if this process has it open."""
    key = folder.resolve()
    with _lock_of(key):
        shared = _open_shards.get(key)
        if shared is None:
            shared = SharedShard(key, _load(folder, collection, patience_s))
            _open_shards[key] = shared
        shared.users += 1
        return shared


def release_shard(shared: SharedShard) -> None:
    """Give up one use of a shard; the last one closes it and lets other processes in."""
    with _lock_of(shared.key):
        shared.users -= 1
        if shared.users == 0:
            _open_shards.pop(shared.key, None)
            shared.shard.close()


def check_free(folder: Path, collection: str) -> None:
    """Raise StoreLocked if another process has the index open; a damaged one is free."""
    try:
        release_shard(acquire_shard(folder, collection, LOCK_PATIENCE_S))
    except StoreLocked:
        raise
    except StoreUnavailable:
        return


@contextmanager
def edge_errors(folder: Path, collection: str) -> Iterator[None]:
    """Turn Edge's errors, which are all plain Exceptions, and the disk's into StoreUnavailable."""
    try:
        yield
    except OSError as error:
        raise StoreUnavailable(
            f"the index in {folder} cannot be used: {error}; check that the folder can be "
            "written and that the disk has space"
        ) from error
    except Exception as error:
        if type(error) is not Exception:
            raise
        if _is_lock(error):
            raise StoreLocked(
                f"the index in {folder} is open in another mrag process (the app, or an ingest "
                "that is running); wait for it or end it, or use a Qdrant server, which serves "
                "many at once, by setting MRAG_QDRANT_URL"
            ) from error
        raise StoreUnavailable(_damaged(folder, collection, str(error))) from error


def _lock_of(key: Path) -> threading.Lock:
    """One for each folder: to wait for a locked one takes seconds, and keeps nobody from others."""
    with _registry_lock:
        return _folder_locks.setdefault(key, threading.Lock())


def _load(folder: Path, collection: str, patience_s: float) -> edge.EdgeShard:
    with edge_errors(folder, collection):
        attempts = Retrying(
            retry=retry_if_exception(_is_lock),
            stop=stop_after_delay(patience_s),
            wait=wait_random_exponential(multiplier=0.05, max=0.5),
            reraise=True,
        )
        return attempts(edge.EdgeShard.load, str(folder / SHARD))


def _is_lock(error: BaseException) -> bool:
    return "WouldBlock" in str(error)


def _damaged(folder: Path, collection: str, reason: str) -> str:
    return (
        f"the index in {folder} cannot be read: {reason}; if it is damaged, write it again from "
        f"the embeddings with: mrag push {collection} --rebuild"
    )


def _index_field(shard: edge.EdgeShard, field: str, schema: Any) -> None:
    shard.update(edge.UpdateOperation.create_field_index(field, schema))


def _config(spec: IndexSpec) -> edge.EdgeConfig:
    params = edge.EdgeVectorParams(
        size=spec.dim,
        distance=edge.Distance.Cosine,
        datatype=edge.VectorStorageDatatype.Float16,
    )
    words = edge.EdgeSparseVectorParams(modifier=edge.Modifier.Idf)
    return edge.EdgeConfig(
        vectors=dict.fromkeys(spec.vectors, params),
        sparse_vectors={WORDS: words} if spec.typical_words else {},
    )
