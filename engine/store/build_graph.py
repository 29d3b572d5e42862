"""Builds the graphs of embedded indexes: `python -m engine.store.build_graph FOLDER...`.

A process of its own, because Edge keeps Python's lock for as long as it builds: in the process
that answers every thread would wait, for minutes.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

from engine.errors import MragError
from engine.store.edge_folder import LOCK_PATIENCE_S, acquire_shard, edge_errors, release_shard

_PATIENT = 10
"""By how much whoever answers goes first."""


def main(folders: list[str]) -> None:
    """Build the graph of each index that is large enough to need one, and write it to disk."""
    with suppress(AttributeError, OSError):
        os.nice(_PATIENT)
    for folder in map(Path, folders):
        with edge_errors(folder, folder.parents[2].name):
            shared = acquire_shard(folder, folder.parents[2].name, LOCK_PATIENCE_S)
            shared.optimize()
            release_shard(shared, seal=True)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except MragError as error:
        sys.exit(str(error))
