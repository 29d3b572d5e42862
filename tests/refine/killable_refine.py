"""A refinement to be killed: `killable_refine.py HOME SECONDS_A_BATCH` says "ready" and begins."""

from __future__ import annotations

import sys
import time
from collections.abc import Collection, Sequence
from pathlib import Path

from engine.collection import CollectionFolder
from engine.settings import Settings
from engine.types import CaptionResult, Vectors
from refine import drafts
from refine.loop import RefineOptions, refine
from tests.refine.refining import ScriptedWriter, TwoTongues, WorthScore
from tests.worlds import PixelEncoder

VALIDATION = (1.0, 1.1, 1.2, 1.1)


def worth(image_id: str, take: int) -> float:
    """A third of the training pictures is described well, each time another third."""
    return 2.0 if int(image_id[:4]) % 3 == take % 3 else 0.5


class SlowWriter:
    """Takes its time, so that a kill can come anywhere."""

    def __init__(self, folder: CollectionFolder, seconds: float) -> None:
        self._plain = ScriptedWriter(folder, VALIDATION, worth)
        self._seconds = seconds

    def describe_vectors(
        self, raw: Vectors, *, exclude: Sequence[Collection[str]] | None = None
    ) -> list[CaptionResult]:
        time.sleep(self._seconds)
        return self._plain.describe_vectors(raw, exclude=exclude)


def run(home: Path, seconds: float) -> None:
    drafts.BATCH = 4
    folder = CollectionFolder(home, "noise")
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    refine(
        folder,
        folder.read_card(),
        Settings(home=home, qdrant_url=""),
        TwoTongues(PixelEncoder()),
        lambda: SlowWriter(folder, seconds),
        RefineOptions(),
        writer_id="script",
        score=WorthScore(),
    )


if __name__ == "__main__":
    run(Path(sys.argv[1]), float(sys.argv[2]))
