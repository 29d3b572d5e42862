"""Waits for changes in folders and files: told by the system, or looked for where it tells nothing.

What changes is given when it has settled: a file that still grows is nobody's picture yet.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Generator, Iterable, Mapping
from contextlib import closing, nullcontext
from pathlib import Path
from stat import S_ISDIR
from threading import Event
from time import monotonic

import watchfiles

from engine.progress import Progress, check_cancelled, tell, watched_cancellation
from ingest.mounts import is_networked
from ingest.readers.clutter import is_clutter

POLL_S = 30.0
"""How often is looked where nobody tells of changes."""

SETTLE_S = 2.0
"""How long nothing may change before what changed is given."""

PATIENCE_S = 60.0
"""After this time is given what has settled, though other things still change."""

_TICK_S, _LEAST_TICK_S = 0.5, 0.01
_GATHER_MS = 200

Stamp = tuple[int, int, int] | None
"""Size, time and number of a file or folder; None: it is not there."""


def watch(
    paths: Collection[Path],
    *,
    poll: float | None = None,
    settle: float = SETTLE_S,
    every: float | None = None,
) -> Generator[set[Path]]:
    """What changes in folders (and below them) and files, each time that it has settled.

    The first set is empty: from then on nothing is missed, so whoever looks at everything once
    does it then. What is given has changed, come or gone, and may be a folder in which something
    did; hidden files and what systems leave in folders are passed over. Paths need not be there,
    and may go and come back. `poll`: look every so many seconds; None: only where the system does
    not tell, as on file systems of a network. `every`: after so many seconds without a change an
    empty set is given. Ends by Cancelled (`engine.progress`), or when it is
    closed.
    """
    settling = Settling(settle)
    tick = min(_TICK_S, max(settle / 4, _LEAST_TICK_S))
    with closing(_Watched(paths, poll, tick)) as watched:
        yield set()
        given = monotonic()
        while True:
            check_cancelled()
            settling.note(watched.changed(), monotonic())
            settled = settling.settled(monotonic())
            if settled or (every is not None and monotonic() - given >= every):
                yield settled
                given = monotonic()


class Settling:
    """Holds what has changed back until it has been the same for a while."""

    def __init__(self, seconds: float, stamp: Callable[[Path], Stamp] | None = None) -> None:
        """`stamp` tells how a path is now."""
        self._seconds = seconds
        self._stamp = stamp or stamp_of
        self._changing: dict[Path, tuple[Stamp, float]] = {}
        self._since: float | None = None

    def note(self, paths: Iterable[Path], now: float) -> None:
        """Note that something changed, at a moment."""
        for path in paths:
            self._changing[path] = self._stamp(path), now
        for path, (before, _) in self._changing.items():
            stamp = self._stamp(path)
            if stamp != before:
                self._changing[path] = stamp, now
        if self._changing and self._since is None:
            self._since = now

    def settled(self, now: float) -> set[Path]:
        """What has settled, once all has, or some of it long ago; it is given once."""
        quiet = {p for p, (_, at) in self._changing.items() if now - at >= self._seconds}
        waited = self._since is not None and now - self._since >= max(PATIENCE_S, self._seconds)
        if not quiet or (len(quiet) < len(self._changing) and not waited):
            return set()
        for path in quiet:
            del self._changing[path]
        self._since = now if self._changing else None
        return quiet


def stamp_of(path: Path) -> Stamp:
    """How a file or folder is now, as far as it can be seen."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    return status.st_size, status.st_mtime_ns, status.st_ino


class _Watched:
    """Some paths, each watched in the way that its file system needs."""

    def __init__(self, paths: Collection[Path], poll: float | None, tick: float) -> None:
        self._roots = tuple(dict.fromkeys(paths))
        self._poll = poll
        self._tick = tick
        self._stop = Event()
        self._listening: Generator[set[tuple[watchfiles.Change, str]]] | None = None
        self._told: list[Path] = []
        self._polled: list[_Polled] = []
        self._begin()

    def close(self) -> None:
        """Let go of what the system gave."""
        if self._listening is not None:
            self._listening.close()
        self._listening = None

    def changed(self) -> set[Path]:
        """What has changed since this was last asked, after at most a moment."""
        changed = self._events()
        if moved := {root for root in self._roots if self._is_another(root, changed)}:
            # A folder is watched, not its name; and what happens meanwhile nobody tells.
            changed |= {*moved, *self._told}
            self._begin()
        for polled in self._polled:
            changed |= polled.changed()
        return {path for path in changed if not self._is_clutter(path)}

    def _is_another(self, root: Path, changed: set[Path]) -> bool:
        """Whether another folder lies at a root now, or none, or one for the first time."""
        return _folder_number(root) != self._numbers[root] or (
            root in changed and root in self._told and not root.is_dir()
        )

    def _begin(self) -> None:
        """Have the system tell of local folders, and look at all else from now on."""
        self.close()
        self._numbers = {root: _folder_number(root) for root in self._roots}
        folders = [root for root, number in self._numbers.items() if number is not None]
        local = [] if self._poll else [one for one in folders if not is_networked(one)]
        self._told = local if local and self._listen(local) else []
        seen = {root: found for polled in self._polled for root, found in polled.seen.items()}
        looked_at = [one for one in folders if one not in self._told]
        others = [root for root in self._roots if root not in folders]
        self._polled = [
            _Polled(looked_at, self._poll or POLL_S, seen),
            _Polled(others, self._poll or 0.0, seen),  # to look at one file costs nothing
        ]

    def _listen(self, folders: list[Path]) -> bool:
        """Whether the system tells of changes in these folders from now on."""
        self._listening = watchfiles.watch(
            *folders,
            watch_filter=None,
            debounce=_GATHER_MS,
            step=min(50, int(self._tick * 1000)),
            stop_event=self._stop,
            rust_timeout=int(self._tick * 1000),
            yield_on_timeout=True,
            ignore_permission_denied=True,
        )
        try:
            next(self._listening)  # it begins only now
        except (OSError, RuntimeError) as error:
            # No more folders may be watched, or one has just gone.
            tell(Progress(f"look every {POLL_S:.0f} s, as nothing tells of changes ({error})", 0))
            self.close()
        return self._listening is not None

    def _events(self) -> set[Path]:
        """What the system tells of, after at most a moment."""
        cancellation = watched_cancellation()
        with cancellation.waking(self._stop.set) if cancellation else nullcontext():
            if self._listening is not None:
                return {Path(path) for _, path in next(self._listening, set())}
            self._stop.wait(self._tick)
            return set()

    def _is_clutter(self, path: Path) -> bool:
        below = (path.relative_to(root) for root in self._roots if path.is_relative_to(root))
        return all(any(map(is_clutter, place.parts)) for place in below)


class _Polled:
    """Folders and files that are looked at again and again."""

    def __init__(
        self, roots: Iterable[Path], every: float, seen: Mapping[Path, Mapping[Path, Stamp]]
    ) -> None:
        """`seen`: how some of them were when they were last looked at."""
        self._every = every
        self._looked = monotonic()
        self.seen = {root: seen[root] if root in seen else _stamps(root) for root in roots}

    def changed(self) -> set[Path]:
        """What is otherwise than it was, if it is time to look again."""
        if not self.seen or monotonic() - self._looked < self._every:
            return set()
        changed: set[Path] = set()
        for root, before in self.seen.items():
            self.seen[root] = now = _stamps(root)
            changed |= {path for path, _ in before.items() ^ now.items()}
        self._looked = monotonic()
        return changed


def _folder_number(path: Path) -> tuple[int, int] | None:
    """Which folder lies at a path; None: none does."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    return (status.st_dev, status.st_ino) if S_ISDIR(status.st_mode) else None


def _stamps(root: Path) -> Mapping[Path, Stamp]:
    """How each file is in a folder and below it, or the file itself; each folder once."""
    if _folder_number(root) is None:
        return {root: stamp_of(root)}
    found: dict[Path, Stamp] = {}
    pending, seen = [root], set[tuple[int, int] | None]()
    while pending:
        folder = pending.pop()
        number = _folder_number(folder)
        if number in seen:
            continue
        seen.add(number)
        for path in _listed(folder):
            if path.is_dir():
                pending.append(path)
            else:
                found[path] = stamp_of(path)
    return found


def _listed(folder: Path) -> list[Path]:
    """What of a user's lies in a folder; nothing where it cannot be read."""
    check_cancelled()
    try:
        return [Path(item.path) for item in os.scandir(folder) if not is_clutter(item.name)]
    except OSError:
        return []
