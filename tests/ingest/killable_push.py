"""Pushes to be killed: `killable_push.py HOME MOMENT`, over a collection that is embedded.

Moment `random`: fits one map after another and pushes each. Else one fit, and a push that ends
by itself `before`, `at` or `after` the writing of the pointer.
"""

from __future__ import annotations

import os
import sys
from functools import partial
from pathlib import Path

from engine.alignment.alignment import Method
from engine.collection import CollectionFolder
from engine.settings import Settings
from engine.store.generations import change_over
from ingest import push
from ingest.fit import fit

METHODS: tuple[Method, ...] = ("centred", "shrink", "procrustes")


def cut(moment: str, folder: CollectionFolder, number: int) -> None:
    """Die around the writing of the pointer."""
    if moment == "at":
        (folder.index / ".current.x.partial").write_text(f"{number:06d}")
    if moment == "after":
        change_over(folder, number)
    os._exit(9)


def run(home: Path, moment: str) -> None:
    push.FLUSH_POINTS = 10
    folder = CollectionFolder(home, "noise")
    settings, card = Settings(home=home, qdrant_url=""), folder.read_card()
    if moment != "random":
        vars(push)["change_over"] = partial(cut, moment)
        fit(folder, card, method="centred")
        push.push(folder, card, settings)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for turn in range(1000):
        fit(folder, card, method=METHODS[turn % len(METHODS)])
        push.push(folder, card, settings)


if __name__ == "__main__":
    run(Path(sys.argv[1]), sys.argv[2])
