"""Where one shot of a video ends and the next begins, told while its frames pass by.

Hard cuts are found by PySceneDetect's detector, which holds the change of a frame against the
changes around it; they count where the pictures well before and after them differ, which those
around a flash do not. Fades and dissolves are slow: a picture each half second is looked at, and
where those on both sides of a moment differ far more than each side does in itself, one is half
done. What is decided of a shot follows from its own frames and those after it, so that a reading
which begins with it finds the same.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from math import floor
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scenedetect import AdaptiveDetector, FrameTimecode

METHOD = "adaptive+dissolve 2"
"""Named anew whenever shots are found otherwise than before."""

WIDTH = 160
"""Of the pictures that are compared."""

SHORTEST, LONGEST = 0.5, 60.0
"""Seconds of a shot: a shorter one belongs to the one before it, a longer one is cut in pieces."""

_RATIO, _LEAST, _WINDOW = 3.0, 15.0, 2
"""Of a hard cut, as PySceneDetect has them: its change against that of so many frames around it."""

_AROUND = 0.3
"""Seconds before and after a hard cut that are compared: flashes are shorter."""

_DIFFERENT = 8.0
"""How far those differ at least, at the mean of 255."""

_SAMPLED = 0.5
"""Seconds from one picture to the next where slow changes are looked for."""

_HALF, _SIDE = 2, 4
"""So many of these pictures reach from the middle of a slow change to its ends, and beyond them."""

_SLOW, _TIMES = 14.0, 2.0
"""How far the ends of a slow change differ at least, and times as far as each side in itself."""

_SAME = 0.0005
"""Times are in whole milliseconds: closer ones are the same."""

Glance = NDArray[np.uint8]
"""A small picture of a frame, (height, width, 3)."""


class _Seen(NamedTuple):
    time: float
    glance: Glance


class _Slow(NamedTuple):
    """What may be a slow change: its ends, and how far they differ."""

    begin: float
    end: float
    change: float


class Boundaries:
    """Told of frames one after the other, it says where shots begin, some seconds later.

    Times are in seconds, of whole milliseconds. `decided`: cuts before this have all been told.
    """

    def __init__(self, start: float = 0.0) -> None:
        self._detector = AdaptiveDetector(_RATIO, 0, _WINDOW, _LEAST)
        self._count, self._finished = 0, False
        self._judged = -1.0
        self._seen: deque[_Seen] = deque()
        self._samples: deque[_Seen] = deque()
        self._hard: deque[float] = deque()
        self._last = self.decided = start

    def push(self, time: float, glance: Glance) -> Iterator[float]:
        """Tell of a frame; gives the moments at which shots begin that are decided by now."""
        seen = _Seen(time, glance)
        self._seen.append(seen)
        # Frames are counted, as the times between them may be uneven.
        if self._detector.process_frame(FrameTimecode(self._count, 25.0), glance):
            self._hard.append(self._seen[-1 - _WINDOW].time)
        self._count += 1
        if not self._samples or floor(time / _SAMPLED) != floor(self._samples[-1].time / _SAMPLED):
            self._samples.append(seen)
            yield from self._cuts(self._settled())
            self._forget()

    def finish(self) -> Iterator[float]:
        """The moments that are left, where no frame comes any more."""
        self._finished = True
        if self._seen:
            yield from self._cuts(self._seen[-1].time)

    def _settled(self) -> float:
        """Up to when all is known that decides: as long as a slow change and its sides take."""
        behind = 2 * _HALF + _SIDE + 2
        if len(self._samples) <= behind:
            return self.decided
        known = self._seen[-1 - _WINDOW].time if len(self._seen) > _WINDOW else self.decided
        return min(self._samples[-behind].time, known - _AROUND)

    def _cuts(self, until: float) -> Iterator[float]:
        self.decided = max(self.decided, until)
        while (cut := self._next()) is not None:
            self._last = cut
            yield cut

    def _next(self) -> float | None:
        """The first cut before `decided`; None where there is none."""
        hard = self._next_hard()
        slow = self._next_slow(hard)
        if slow is not None:
            return slow
        if hard is not None:
            self._hard.popleft()
            return hard
        piece = self._last + LONGEST
        return piece if piece + SHORTEST < self.decided else None

    def _next_hard(self) -> float | None:
        while self._hard and self._hard[0] < self.decided:
            time = self._hard[0]
            if time - self._last > SHORTEST - _SAME and self._differs(time):
                return time
            self._hard.popleft()
        return None

    def _differs(self, time: float) -> bool:
        """Whether the picture well before a cut differs from the one well after."""
        before = self._at(max(time - _AROUND, self._last))
        return _apart(before, self._at(time + _AROUND)) >= _DIFFERENT

    def _next_slow(self, hard: float | None) -> float | None:
        """The middle of the first slow change since the last cut, where it is over by now."""
        best: _Slow | None = None
        samples = [one for one in self._samples if one.time >= self._last - _SAME]
        for middle in range(_HALF, len(samples) - _HALF):
            begin, end = middle - _HALF, middle + _HALF
            if samples[middle].time <= self._judged:
                continue
            if samples[end].time >= (hard or self.decided):
                if hard is None and not self._finished:
                    return None  # it may be greater yet
                break
            found = self._slow_change(samples, begin, end)
            if best is not None and (found is None or found.change <= best.change):
                break
            if found is None:
                self._judged = samples[middle].time
            best = found
        return None if best is None else self._middle(best)

    def _slow_change(self, samples: list[_Seen], begin: int, end: int) -> _Slow | None:
        """What lies between two samples, if they differ far more than each side does in itself."""
        first, last = samples[begin], samples[end]
        change = _apart(first.glance, last.glance)
        if change < _SLOW:
            return None
        sides = (samples[max(0, begin - _SIDE)], first), (last, self._side(samples, end))
        span = last.time - first.time
        if min(late.time - early.time for early, late in sides) < span / 2:
            return None  # too little of a side is seen to tell what it does in itself
        still = max(
            _apart(early.glance, late.glance) * span / (late.time - early.time)
            for early, late in sides
        )
        return _Slow(first.time, last.time, change) if change >= _TIMES * still else None

    def _side(self, samples: list[_Seen], at: int) -> _Seen:
        """The last picture of the side that begins there, before the next hard cut."""
        end = self._hard[0] if self._hard else float("inf")
        side = [one for one in samples[at : at + _SIDE + 1] if one.time < end]
        return side[-1] if side else samples[at]

    def _middle(self, change: _Slow) -> float:
        """When it is half done: as far from what was before as from what comes."""
        before, after = self._at(change.begin), self._at(change.end)
        during = [one for one in self._seen if change.begin < one.time <= change.end]
        return min(
            during,
            key=lambda one: abs(_apart(one.glance, before) - _apart(one.glance, after)),
        ).time

    def _at(self, time: float) -> Glance:
        """What was seen at a moment, as far as it is remembered."""
        found = self._seen[0].glance
        for one in self._seen:
            if one.time > time:
                break
            found = one.glance
        return found

    def _forget(self) -> None:
        """Forget what no decision needs any more."""
        until = self.decided - (2 * _HALF + _SIDE + 2) * _SAMPLED - _AROUND
        for kept in (self._seen, self._samples):
            while len(kept) > _WINDOW + 1 and kept[0].time < until:
                kept.popleft()


def _apart(one: Glance, other: Glance) -> float:
    """How far two small pictures differ, at the mean, of 255."""
    if one.shape != other.shape:
        return 255.0
    return float(np.abs(one.astype(np.int16) - other).mean())
