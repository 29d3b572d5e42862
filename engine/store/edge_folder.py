"""The folder of an embedded index: making it, opening it once per process, naming its faults.

A folder holds `index.json` (what the index was made with), `shard` (Qdrant Edge's files) and
`seal.json`: what these files were when they were written last, which is held against them before
they are opened. Without it, while the index is written and after a kill, they are tried in another
process first. `index.json` is written last: a folder without it never became whole.
"""

from __future__ import annotations

import json
import re
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import qdrant_edge as edge
from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_random_exponential

from engine.disk import check_room, free_bytes, refusal, refused
from engine.errors import CollectionMissing, Damaged, StoreLocked, StoreUnavailable
from engine.folder_lock import is_locked, unread
from engine.store.holes import ROOM, room_taken
from engine.store.interface import WORDS, FieldKind, IndexSpec
from engine.store.made_with import check_made_with, made_with
from engine.store.seal import Seal
from engine.store.trial import try_to_open

LOCK_PATIENCE_S = 2.0
"""How long a locked index is waited for: another mrag command may be about to end."""

_CARD = "index.json"
_SEAL = "seal.json"
SHARD = "shard"

_SCHEMAS: dict[FieldKind, Any] = {
    "keyword": edge.PayloadSchemaType.Keyword,
    "datetime": edge.PayloadSchemaType.Datetime,
    "integer": edge.PayloadSchemaType.Integer,
    "location": edge.PayloadSchemaType.Geo,
    "number": edge.PayloadSchemaType.Float,
    "text": edge.TextIndexParams(
        tokenizer=edge.TokenizerType.Whitespace, lowercase=False, phrase_matching=True
    ),
}

_OF_SYSTEM = re.compile(r"os error (\d+)")
_CODES = {"No space left": 28, "Read-only file system": 30, "Permission denied": 13}


class SharedShard:
    """A shard that all the indexes of one process on one folder use together."""

    def __init__(self, key: Path, collection: str, shard: edge.EdgeShard, *, sealed: bool) -> None:
        self.key = key
        self.collection = collection
        self.shard = shard
        self.users = 0
        self._sealed = sealed
        self._failed = False
        self._writing = threading.RLock()
        self._calls = 0
        self._ended = threading.Condition()

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Note a call of the shard that goes on meanwhile."""
        with self._ended:
            self._calls += 1
        try:
            yield
        finally:
            with self._ended:
                self._calls -= 1
                self._ended.notify_all()

    def close(self) -> None:
        """Close the shard when the calls of other threads have ended: Edge refuses to before."""
        with self._ended:
            self._ended.wait_for(lambda: not self._calls)
            self.shard.close()

    def write(self, operation: edge.UpdateOperation) -> None:
        """Change points; raises DiskFull before the system ends who writes to a full disk."""
        check_room(self.key, ROOM, "to write to the index")
        with self._changing():
            self.shard.update(operation)

    def optimize(self) -> None:
        """Build the graph beside what is there; raises DiskFull."""
        taken, _ = room_taken(self.key)
        check_room(self.key, taken + ROOM, "to build the graph of the index")
        with self._changing():
            self.shard.optimize()

    def flush(self) -> None:
        """Write what is still in memory to disk."""
        with self._writing, self._noting_failure():
            self.shard.flush()

    def seal(self) -> None:
        """Note what the files are now."""
        with self._writing:
            if self.wants_seal():
                Seal.of(self.key / SHARD, settled=False).write(self.key / _SEAL)
                self._sealed = True

    def wants_seal(self) -> bool:
        """Whether files were written since they were sealed, and all is on disk now; not where a
        write has failed."""
        with self._writing:
            if self._sealed or self._failed:
                return False
            self.flush()
            return True

    @contextmanager
    def _changing(self) -> Iterator[None]:
        with self._writing, self._noting_failure():
            if self._sealed:
                (self.key / _SEAL).unlink(missing_ok=True)
                self._sealed = False
            yield

    @contextmanager
    def _noting_failure(self) -> Iterator[None]:
        try:
            yield
        except BaseException:
            self._failed = True
            raise


_open_shards: WeakValueDictionary[Path, SharedShard] = WeakValueDictionary()
_folder_locks: dict[Path, threading.Lock] = {}
_registry_lock = threading.Lock()


@contextmanager
def made_if_missing(folder: Path, spec: IndexSpec) -> Iterator[None]:
    """Make an empty index where there is none; it is open meanwhile, which spares opening it."""
    made = _made_if_missing(folder, spec)
    try:
        yield
    finally:
        if made is not None:
            with edge_errors(folder, spec.collection):
                release_shard(made)


def _made_if_missing(folder: Path, spec: IndexSpec) -> SharedShard | None:
    """An empty index, which is open; None where there is one."""
    key = folder.resolve()
    with _lock_of(key), edge_errors(folder, spec.collection):
        if (folder / _CARD).exists():
            return None
        check_room(folder, ROOM, "to make the index")
        if folder.exists():
            shutil.rmtree(folder)  # who made it was interrupted
        folder.mkdir(parents=True)
        shard = edge.EdgeShard.create(str(key / SHARD), _config(spec))
        for field, kind in spec.fields.items():
            shard.update(edge.UpdateOperation.create_field_index(field, _SCHEMAS[kind]))
        (folder / _CARD).write_text(json.dumps(made_with(spec)) + "\n", encoding="utf-8")
        made = _open_shards[key] = SharedShard(key, spec.collection, shard, sealed=False)
        made.users = 1
        return made


def check_folder(folder: Path, spec: IndexSpec) -> None:
    """Refuse a folder that is missing, damaged or made with something else."""
    if not folder.is_dir():
        raise CollectionMissing(
            f"collection {spec.collection!r} has no index of {spec.name} in {folder}; write it "
            f"with: mrag push {spec.collection}"
        )
    if not (folder / SHARD / "segments").is_dir():
        raise Damaged(_damaged(folder, spec.collection, "its shard is missing"))
    try:
        card = json.loads((folder / _CARD).read_text(encoding="utf-8"))
    except PermissionError as error:
        raise refused(folder / _CARD, error) from error
    except (OSError, ValueError) as error:
        raise Damaged(_damaged(folder, spec.collection, str(error))) from error
    check_made_with(card if isinstance(card, dict) else None, spec, f"the index in {folder}")


def acquire_shard(folder: Path, collection: str, patience_s: float) -> SharedShard:
    """Open the shard of a folder, or share it if this process has it open."""
    key = folder.resolve()
    with _lock_of(key):
        shared = _open_shards.get(key)
        if shared is None:
            shared = _opened(key, collection, patience_s)
            _open_shards[key] = shared
        shared.users += 1
        return shared


def release_shard(shared: SharedShard, *, seal: bool = False) -> None:
    """Give up one use of a shard; the last one closes it and lets other processes in.

    `seal`: who gives it up has written to it, and flushed that.
    """
    with _lock_of(shared.key):
        shared.users -= 1
        if shared.users:
            if seal:
                shared.seal()
            return
        wanted = False
        try:
            wanted = seal and shared.wants_seal()
        finally:
            _open_shards.pop(shared.key, None)
            shared.close()
        if wanted:
            _seal_closed(shared.key)


def _seal_closed(key: Path) -> None:
    """Seal files that nobody has open, unless somebody has opened them since."""
    with unread(key / SHARD / "wal") as free:
        if free:
            _keep(Seal.of(key / SHARD, settled=False, closed=True), key)


def check_bytes(folder: Path, collection: str) -> None:
    """Read an index byte by byte: raises Damaged where it is not what was written."""
    _held(folder.resolve(), collection, thorough=True)


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
    """Turn what Edge raises, and the system, into StoreUnavailable.

    Edge's errors are plain Exceptions; where it meets what cannot be, a PanicException, which
    is none.
    """
    try:
        yield
    except OSError as error:
        raise refused(folder, error) from error
    except BaseException as error:
        if type(error) is not Exception and type(error).__name__ != "PanicException":
            raise
        raise _named(error, folder, collection) from error


def _named(error: BaseException, folder: Path, collection: str) -> StoreUnavailable:
    """What Edge said, as the error that it is."""
    if _is_lock(str(error)):
        return StoreLocked(_locked(folder))
    told = str(error)
    numbered = _OF_SYSTEM.search(told)
    code = int(numbered[1]) if numbered else 0
    code = code or next((number for words, number in _CODES.items() if words in told), 0)
    if code in _CODES.values():
        return refusal(folder, code, told)
    return Damaged(_damaged(folder, collection, told))


def _lock_of(key: Path) -> threading.Lock:
    """One for each folder: to wait for a locked one takes seconds, and keeps nobody from others."""
    with _registry_lock:
        return _folder_locks.setdefault(key, threading.Lock())


def _opened(key: Path, collection: str, patience_s: float) -> SharedShard:
    """Open the shard of a folder, if its files are those that were written.

    Raises Damaged, DiskFull and StoreLocked.
    """
    seal = _held(key, collection)
    _, holes = room_taken(key / SHARD)
    if seal is None or free_bytes(key) < holes + ROOM:
        if seal and not seal.settled:
            _keep(replace(seal, closed=False), key)  # to be tried changes what it is
        try_to_open(key / SHARD, holes + ROOM, _rebuild(collection))
    if seal is None:
        return SharedShard(key, collection, _load(key, collection, patience_s), sealed=False)
    with edge_errors(key, collection):
        quick = seal.settled and seal.is_quick(key / SHARD)
        if not seal.settled:
            (key / _SEAL).unlink(missing_ok=True)  # so does opening it
    try:
        shard = _load(key, collection, patience_s)
    except StoreLocked:
        if not seal.settled:
            _keep(replace(seal, closed=False), key)
        raise
    sealed = quick or _keep(Seal.of(key / SHARD, settled=True, known=seal), key)
    return SharedShard(key, collection, shard, sealed=sealed)


def _held(key: Path, collection: str, *, thorough: bool = False) -> Seal | None:
    """The seal of an index that is whole; None where there is none. Raises Damaged.

    One that was written before the index was closed, which changes files, says nothing after a
    kill in between.
    """
    with edge_errors(key, collection):
        seal = Seal.read(key / _SEAL)
        breach = "" if seal is None else seal.breach(key / SHARD, thorough=thorough)
        if seal and seal.binds and breach and Seal.read(key / _SEAL) == seal:
            if is_locked(key / SHARD / "wal"):
                raise StoreLocked(_locked(key))
            raise Damaged(_damaged(key, collection, breach))
    return None if breach else seal


def _keep(seal: Seal, key: Path) -> bool:
    """Whether the seal could be kept: a full disk costs no more than a slower opening."""
    try:
        seal.write(key / _SEAL)
    except OSError:
        return False
    return True


def _load(folder: Path, collection: str, patience_s: float) -> edge.EdgeShard:
    with edge_errors(folder, collection):
        attempts = Retrying(
            retry=retry_if_exception(lambda error: _is_lock(str(error))),
            stop=stop_after_delay(patience_s),
            wait=wait_random_exponential(multiplier=0.05, max=0.5),
            reraise=True,
        )
        return attempts(edge.EdgeShard.load, str(folder / SHARD))


def _is_lock(told: str) -> bool:
    return "WouldBlock" in told


def _locked(folder: Path) -> str:
    return (
        f"the index in {folder} is open in another mrag process (the app, or an ingest "
        "that is running); wait for it or end it, or use a Qdrant server, which serves "
        "many at once, by setting MRAG_QDRANT_URL"
    )


def _damaged(folder: Path, collection: str, reason: str) -> str:
    return f"the index in {folder} is damaged: {reason}; {_rebuild(collection)}"


def _rebuild(collection: str) -> str:
    return f"write it again from the embeddings with: mrag push {collection} --rebuild"


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
