"""What is seen in a video as subtitles: WebVTT and SubRip, which players show beside it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import count
from pathlib import Path

from engine.legible import legible
from mrag_client.models import OutlineAnswer, OutlineShot
from service.takeaway.outputs import Claims, Sweeper, check_writable, put, read_beside
from service.takeaway.packet import Mode

_MOST = 2**24
_ARROW = re.compile("--+>")


def as_vtt(parts: Iterable[OutlineAnswer]) -> str:
    """As WebVTT; `parts` are those of one video, in order."""
    cues = (
        f"{_time(shot.start)} --> {_time(shot.end)}\n{_escaped(shot.caption)}\n"
        for shot in _told(parts)
    )
    return "\n".join(["WEBVTT\n", *cues])


def as_srt(parts: Iterable[OutlineAnswer]) -> str:
    """As SubRip; `parts` are those of one video, in order."""
    cues = (
        f"{number}\n{_time(shot.start, ',')} --> {_time(shot.end, ',')}\n{_plain(shot.caption)}\n"
        for number, shot in zip(count(1), _told(parts), strict=False)
    )
    return "\n".join(cues)


WRITTEN: Mapping[str, tuple[Callable[[Iterable[OutlineAnswer]], str], str]] = {
    "vtt": (as_vtt, "text/vtt"),
    "srt": (as_srt, "application/x-subrip"),
}
"""How each is written, and what it is called on the web."""


class SubtitleFiles:
    """trip.vtt or trip.srt beside trip.mp4; only `overwrite` replaces one that is there."""

    def __init__(self, kind: str, mode: Mode) -> None:
        self._ending, self._write = f".{kind}", WRITTEN[kind][0]
        self._mode: Mode = mode
        self._claims, self._sweeper = Claims(), Sweeper(self._ending)

    def wants(self, video: Path) -> bool:
        """Whether an outline would be written; raises Untaken where it cannot."""
        place = self._of(video)
        if self._mode != "overwrite" and read_beside(place, _MOST):
            return False
        check_writable(place)
        return True

    def write(self, video: Path, parts: Iterable[OutlineAnswer]) -> None:
        """Write an outline; raises Untaken, or DiskFull."""
        put(self._of(video), self._write(parts).encode())

    def _of(self, video: Path) -> Path:
        place = video.with_suffix(self._ending)
        self._claims.claim(place, video, "give one of them another name")
        self._sweeper.sweep(video.parent)
        return place


def _told(parts: Iterable[OutlineAnswer]) -> Iterator[OutlineShot]:
    return (shot for part in parts for shot in part.shots if shot.caption.strip())


def _time(seconds: float, point: str = ".") -> str:
    whole = round(1000 * seconds)
    hours, minutes, rest = whole // 3_600_000, whole // 60_000 % 60, whole % 60_000
    return f"{hours:02}:{minutes:02}:{rest // 1000:02}{point}{rest % 1000:03}"


def _plain(text: str) -> str:
    """A caption on one line, without what would end it or begin another."""
    return _ARROW.sub("->", legible(" ".join(text.split())))


def _escaped(text: str) -> str:
    return _plain(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
