"""The shots of a video as they pass by, each with a few small frames, in flat memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from PIL.Image import Image

from engine.progress import check_cancelled
from engine.video.container import SMALL, Frame, Video
from engine.video.still import PLACES
from ingest.video.boundaries import WIDTH, Boundaries

_EVERY = 0.25
"""Seconds from one frame that may be kept to the next."""

_MOST_KEPT = 24
"""Frames of a shot that are kept until its end is known: twice as far apart when it is too long."""


@dataclass(frozen=True)
class Shot:
    """A shot in milliseconds, and frames of it, the first of which stands for it.

    `size`: width and height of its pictures in the video.
    """

    start_ms: int
    end_ms: int
    frames: tuple[Image, ...]
    size: tuple[int, int]


class _Kept(NamedTuple):
    time: float
    image: Image
    size: tuple[int, int]


class _Open:
    """A shot whose end is not known yet."""

    def __init__(self, start: float) -> None:
        self.start = start
        self._kept: list[_Kept] = []
        self._every = _EVERY

    def add(self, kept: _Kept) -> None:
        """Take a frame, unless one was taken just before it."""
        if self._kept and kept.time < self._kept[-1].time + self._every - _EVERY / 2:
            return
        self._kept.append(kept)
        if len(self._kept) > _MOST_KEPT:
            self._kept = self._kept[::2]
            self._every *= 2

    def ended(self, end: float) -> Shot | None:
        """The shot, now that its end is known; None where it has no frame."""
        if not self._kept:
            return None
        length = end - self.start
        chosen = [self._nearest(self.start + place * length) for place in PLACES]
        frames = {one.time: one.image for one in chosen}
        return Shot(
            round(1000 * self.start), round(1000 * end), tuple(frames.values()), chosen[0].size
        )

    def _nearest(self, time: float) -> _Kept:
        return min(self._kept, key=lambda one: abs(one.time - time))


class ShotReader:
    """Reads the shots of an open video from a moment on, once; `on_time` is told how far it is.

    Raises UnreadableImage where nothing of it can be seen.
    """

    def __init__(
        self, video: Video, start_ms: int = 0, on_time: Callable[[float], None] = lambda _: None
    ) -> None:
        self._video = video
        self._start_ms = start_ms
        self._on_time = on_time

    def __iter__(self) -> Iterator[Shot]:
        start = self._start_ms / 1000
        boundaries, shot = Boundaries(start), _Open(start)
        waiting: deque[_Kept] = deque()
        last: Frame | None = None
        for frame in self._video.frames(self._start_ms):
            check_cancelled()
            time = frame.time_ms / 1000
            self._on_time(time)
            if last is None or int(time / _EVERY) != int(last.time / _EVERY):
                waiting.append(_Kept(time, frame.picture(SMALL), frame.size))
            last = frame
            for cut in boundaries.push(time, frame.glance(WIDTH)):
                yield from _closed(shot, waiting, cut)
                shot = _Open(cut)
            _move(waiting, shot, boundaries.decided)
        if last is None:
            if not self._start_ms:
                raise self._video.unseen()
            return
        for cut in boundaries.finish():
            yield from _closed(shot, waiting, cut)
            shot = _Open(cut)
        end = last.time + last.seconds
        self._video.note_end(end)
        yield from _closed(shot, waiting, end)


def _closed(shot: _Open, waiting: deque[_Kept], end: float) -> Iterator[Shot]:
    _move(waiting, shot, end)
    if found := shot.ended(end):
        yield found


def _move(waiting: deque[_Kept], shot: _Open, until: float) -> None:
    while waiting and waiting[0].time < until:
        shot.add(waiting.popleft())
