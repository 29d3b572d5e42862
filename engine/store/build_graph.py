"""Builds the graphs of embedded indexes: `python -m engine.store.build_graph FOLDER...`.

A process of its own, because Edge keeps Python's lock for as long as it builds: in the process
that answers every thread would wait, for minutes.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

import qdrant_edge as edge

from engine.store.edge_folder import SHARD

_PATIENT = 10
"""By how much whoever answers goes first."""


def main(folders: list[str]) -> None:
    """Build the graph of each index that is large enough to need one, and write it to disk."""
    with suppress(AttributeError, OSError):
        os.nice(_PATIENT)
    for folder in folders:
        shard = edge.EdgeShard.load(str(Path(folder, SHARD)))
        shard.optimize()
        shard.flush()
        shard.close()


if __name__ == "__main__":
    main(sys.argv[1:])
