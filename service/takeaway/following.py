"""Goes on describing as pictures come: whatever is new or changed in folders."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import closing
from pathlib import Path

from engine.images import SUFFIXES
from engine.progress import OnProgress, silent
from ingest.watching import SETTLE_S, Stamp, stamp_of, watch
from service.takeaway.describing import Takeaway

Find = Callable[[Iterable[Path]], Sequence[Path]]
"""The pictures in folders and files; see `service.takeaway.pictures`."""


def follow(
    takeaway: Takeaway,
    paths: Collection[Path],
    find: Find,
    *,
    poll: float | None = None,
    settle: float = SETTLE_S,
    on_progress: OnProgress = silent,
) -> None:
    """Describe what is there, and then what comes, until it is cancelled.

    What is written beside pictures, or into them, is nothing new.
    """
    seen: dict[Path, Stamp] = {}
    with closing(watch(paths, poll=poll, settle=settle)) as changes:
        for changed in changes:
            new = _new(find(paths if not seen else _looked_at(changed)), seen)
            if new:
                takeaway.run(new, on_progress)
                seen |= {picture: stamp_of(picture) for picture in new}  # as we left them


def _looked_at(changed: Iterable[Path]) -> list[Path]:
    """Of what changed, the folders and the pictures that are there."""
    return [
        path
        for path in sorted(changed)
        if path.is_dir() or (path.suffix.lower() in SUFFIXES and path.is_file())
    ]


def _new(pictures: Iterable[Path], seen: dict[Path, Stamp]) -> list[Path]:
    return [one for one in pictures if seen.get(one) is None or stamp_of(one) != seen[one]]
