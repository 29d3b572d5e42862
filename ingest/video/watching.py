"""What a video gives a collection: a record of each of its shots, watched once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from corpus.records import ImageRecord, Skipped
from corpus.videos import Span, Videos
from engine.errors import UnreadableImage
from engine.identity import shot_sha256
from engine.images import Picture
from engine.limits import Limits
from engine.metadata.facts import Facts, later
from engine.video.address import Clip
from engine.video.container import Video
from engine.video.still import content_of
from ingest.readers.annotation import printable
from ingest.video.boundaries import METHOD
from ingest.video.shots import Shot, ShotReader

IsKnown = Callable[[str], bool]
"""Whether there is a picture of that content already."""

OnTime = Callable[[float, float | None], None]
"""Told how far a video was watched, and how long it is, in seconds."""


@dataclass(frozen=True)
class VideoFile:
    """A video as it lay there when it was begun."""

    path: Path
    size: int
    mtime_ns: int
    sha256: str

    def check(self) -> None:
        """Raises UnreadableImage where another file lies there by now, or none."""
        try:
            status = self.path.stat()
            is_there = (status.st_size, status.st_mtime_ns) == (self.size, self.mtime_ns)
        except OSError:
            is_there = False
        if not is_there:
            raise UnreadableImage(
                f"{self.path}: was changed or taken away while it was watched; ingest it again "
                "when it is whole"
            )


@dataclass(frozen=True)
class ShotRecord:
    """A shot: its record and content, and what was seen of it, where it was watched now."""

    record: ImageRecord
    sha256: str
    picture: Picture | None = None


def known_shots(videos: Videos, record: ImageRecord, path: Path) -> list[ImageRecord] | None:
    """The records of a video's shots, without watching it; None where they are not known.

    A video that lies where none was is read if it is as long as one that is known.
    """
    status = path.stat()
    content = videos.content_at(path, status.st_size, status.st_mtime_ns)
    if not content and videos.has_size(status.st_size):
        content = content_of(path)
    watched = videos.watched(content, METHOD)
    if not watched.whole:
        return None
    return [_record(record, path, span) for span in watched.shots]


class Watcher:
    """Watches the videos of one pass over a source; notes what it finds in `videos`."""

    def __init__(self, videos: Videos, limits: Limits, is_known: IsKnown, on_time: OnTime) -> None:
        self._videos = videos
        self._limits = limits
        self._is_known = is_known
        self._on_time = on_time

    def begun(self, path: Path) -> VideoFile:
        """The video that lies there, which is noted; raises OSError."""
        status = path.stat()
        size, mtime_ns = status.st_size, status.st_mtime_ns
        sha256 = self._videos.content_at(path, size, mtime_ns) or content_of(path)
        self._videos.put_file(path, size, mtime_ns, sha256)
        return VideoFile(path, size, mtime_ns, sha256)

    def shots(self, record: ImageRecord, file: VideoFile) -> Iterator[ShotRecord | Skipped]:
        """The shots of a video: those that are known, then those that have to be watched.

        Killed at any moment, the next pass goes on with the first shot that is not known. Raises
        UnreadableImage for what is no video, or another one by now.
        """
        path, sha256 = file.path, file.sha256
        watched = self._videos.watched(sha256, METHOD)
        known = _prefix(watched.shots, lambda span: self._is_known(shot_sha256(sha256, span[0])))
        for span in watched.shots[:known]:
            yield ShotRecord(_record(record, path, span), shot_sha256(sha256, span[0]))
        if watched.whole and known == len(watched.shots):
            return
        self._videos.begin(sha256, METHOD, watched.shots[:known])
        start_ms = watched.shots[known - 1][1] if known else 0
        yield from self._watched(record, file, start_ms)
        self._videos.end(sha256)

    def before(self, file: VideoFile) -> list[Path]:
        """Addresses of the shots of other videos that lay there before."""
        others = (one for one in self._videos.were_at(file.path) if one != file.sha256)
        spans = (span for other in others for span in self._videos.shots(other))
        return [Clip(file.path, *span).address for span in spans]

    def settled(self, file: VideoFile) -> None:
        """Note that all shots of a video have been given, and those from before have left."""
        self._videos.forget_others(file.path, file.sha256)

    def _watched(
        self, record: ImageRecord, file: VideoFile, start_ms: int
    ) -> Iterator[ShotRecord | Skipped]:
        path, sha256 = file.path, file.sha256
        with Video(path, self._limits) as video:
            length, facts = video.duration, video.facts
            reader = ShotReader(video, start_ms, lambda time: self._on_time(time, length))
            for shot in reader:
                file.check()
                span = (shot.start_ms, shot.end_ms)
                self._videos.add(sha256, span)
                content = shot_sha256(sha256, shot.start_ms)
                picture = _picture(shot, content, facts)
                yield ShotRecord(_record(record, path, span), content, picture)
            if video.trouble:
                reason = f"what could be seen of it was taken in; {video.trouble}"
                yield Skipped(record.uri, printable(reason))


def _prefix(spans: tuple[Span, ...], is_known: Callable[[Span], bool]) -> int:
    """How many of the first are known, one after the other."""
    return next((at for at, span in enumerate(spans) if not is_known(span)), len(spans))


def _record(record: ImageRecord, path: Path, span: Span) -> ImageRecord:
    clip = Clip(path, *span)
    return replace(
        record,
        image_id=f"{record.image_id}{clip.fragment}",
        uri=f"{record.uri}{clip.fragment}",
        path=clip.address,
    )


def _picture(shot: Shot, sha256: str, said: Facts) -> Picture:
    key, *others = shot.frames
    facts = later(said, shot.start_ms / 1000)
    return Picture(key, sha256, *shot.size, facts.taken_at, facts.metadata, frames=tuple(others))
