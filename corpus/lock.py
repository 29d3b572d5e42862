"""One writer at a time in a collection, and readers whose shards stay while they read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from filelock import FileLock, Timeout

from engine.collection import CollectionFolder
from engine.errors import StoreLocked
from engine.folder_lock import release, shared

_MOMENT_S = 0.1
"""How long the lock is waited for: who asks whether it is held holds it for less."""


@contextmanager
def writing(folder: CollectionFolder) -> Iterator[None]:
    """Keep other writers out of a collection; nested use in one thread is allowed.

    Raises StoreLocked in a moment if another process or thread is writing. The operating
    system gives the lock back when its process ends, however it ends.
    """
    folder.path.mkdir(parents=True, exist_ok=True)
    # A singleton is the same lock wherever it is taken, held by thread: so steps can nest.
    lock = FileLock(folder.writing_lock, timeout=_MOMENT_S, is_singleton=True)
    try:
        lock.acquire()
    except Timeout as error:
        raise StoreLocked(
            f"collection {folder.name!r} is being written to by another mrag process, or by "
            "another task of this one; wait until it has finished, or end it (what it has done is "
            "kept)"
        ) from error
    try:
        yield
    finally:
        lock.release()


class Reading:
    """Keeps the shards that a ledger names from being removed, until it is closed."""

    def __init__(self, folder: CollectionFolder) -> None:
        # Who reads waits for who removes, which takes a moment; who removes does it another day.
        self._handle = shared(folder.embeddings, wait=True)

    def close(self) -> None:
        """Let go; more than once is allowed."""
        release(self._handle)
        self._handle = None
