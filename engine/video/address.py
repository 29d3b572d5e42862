"""Where a shot is: its video, and from when to when, written as a media fragment.

    /films/trip.mp4#t=751.200,758.960

So a shot has a place of its own, as a picture has, and whoever opens what lies there is given its
key frame (`engine.images`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path
from typing import Self

VIDEO_SUFFIXES = frozenset(
    {".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".mts", ".m2ts", ".wmv"}
    | {".3gp", ".ogv", ".flv"}
)
"""Lower-case file suffixes that are taken for videos."""

_ENDINGS = "|".join(sorted(suffix[1:] for suffix in VIDEO_SUFFIXES))
_ADDRESS = re.compile(rf"(.+\.(?:{_ENDINGS}))#t=(\d+)\.(\d{{3}}),(\d+)\.(\d{{3}})", re.I | re.S)


@dataclass(frozen=True)
class Clip:
    """A part of a video, in milliseconds from its beginning; `end` no longer belongs to it."""

    file: Path
    start_ms: int
    end_ms: int

    @classmethod
    def at(cls, place: str | PathLike[str]) -> Self | None:
        """The part of a video that an address names; None for any other place."""
        found = _ADDRESS.fullmatch(fspath(place))
        if found is None:
            return None
        start, end = (int(found[at] + found[at + 1]) for at in (2, 4))
        return cls(Path(found[1]), start, end)

    @property
    def start(self) -> float:
        """Seconds from the beginning of the video."""
        return self.start_ms / 1000

    @property
    def end(self) -> float:
        """Seconds from the beginning of the video."""
        return self.end_ms / 1000

    @property
    def address(self) -> Path:
        """Where it is, as `at` reads it."""
        return Path(f"{self.file}{self.fragment}")

    @property
    def fragment(self) -> str:
        """What stands behind the name of the file."""
        return f"#t={_seconds(self.start_ms)},{_seconds(self.end_ms)}"


def file_at(place: str | PathLike[str]) -> Path:
    """The file behind a place: the video of a shot, else the place itself."""
    clip = Clip.at(place)
    return Path(place) if clip is None else clip.file


def is_video(path: str | PathLike[str]) -> bool:
    """Whether a file is taken for a video, by its name."""
    return Path(path).suffix.lower() in VIDEO_SUFFIXES


def clock(seconds: float) -> str:
    """A moment of a video as it is shown: 00:12:31."""
    whole = int(seconds)
    return f"{whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02}"


def shown_place(place: str) -> str:
    """A place as a person reads it: of a shot its video, and when."""
    clip = Clip.at(place)
    return place if clip is None else f"{clip.file} at {clock(clip.start)}"


def _seconds(milliseconds: int) -> str:
    return f"{milliseconds // 1000}.{milliseconds % 1000:03}"
