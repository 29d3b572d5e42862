"""What the store of captions and the store of pictures have in common."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Self

from engine.store.checks import checked_ids
from engine.store.generations import Hold
from engine.store.interface import VectorIndex

UPSERT_BATCH = 256
"""Points handed to the index at once: larger batches are slower and take more memory."""


class IndexStore:
    """Owns a vector index. Threads may share one; use it as a context manager or close it.

    One that is neither closed nor used any more lets go of its index when it is dropped.
    """

    def __init__(self, index: VectorIndex, hold: Hold | None = None) -> None:
        """Take over the index, and the hold on its generation if it is part of one."""
        self._index = index
        self._hold = hold
        self._dim = index.spec.dim

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def delete(self, ids: Sequence[str]) -> None:
        """Remove points; unknown ids are ignored."""
        self._index.delete(checked_ids(ids))

    def ids(self) -> Iterator[str]:
        """All ids, in ascending order."""
        return self._index.ids()

    def optimize(self) -> None:
        """Build the graph that makes large stores fast to search.

        The embedded store searches new points exactly until then, and stops all threads of
        the process while it builds (a minute and more for 100,000 captions): a push has it
        done by a child process, see `engine.store.graph`. A server does this by itself.
        """
        self._index.optimize()

    def flush(self) -> None:
        """Write what is still in memory to disk."""
        self._index.flush()

    def close(self) -> None:
        """Release the store."""
        self._index.close()
        if self._hold is not None:
            self._hold.close()
