"""Frames of one shot, decoded again from its video when somebody wants to see it."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

from PIL import Image

from engine.errors import UnreadableImage
from engine.identity import shot_sha256
from engine.images import Picture
from engine.limits import DEFAULT_LIMITS, Limits
from engine.metadata.facts import later
from engine.video.address import Clip
from engine.video.container import SMALL, Frame, Video
from mrag_client.files import open_regular

PLACES = (0.5, 1 / 6, 5 / 6)
"""Where in a shot its frames are taken from, as shares of its length; the first is shown."""


def open_shot(clip: Clip, limits: Limits = DEFAULT_LIMITS) -> Picture:
    """The key frame of a shot as a picture, with its other frames; raises UnreadableImage."""
    wanted = [clip.start_ms + round(at * (clip.end_ms - clip.start_ms)) for at in PLACES]
    with Video(clip.file, limits) as video:
        found = {at: _frame(video, clip, at) for at in sorted(wanted)}
        key, *others = (found[at] for at in wanted)
        width, height = key.size
        said = later(video.facts, clip.start)
        return Picture(
            image=key.picture(SMALL),
            sha256=shot_sha256(content_of(clip.file), clip.start_ms),
            width=width,
            height=height,
            taken_at=said.taken_at,
            metadata=said.metadata,
            frames=tuple(one.picture(SMALL) for one in others),
        )


def open_still(clip: Clip, limits: Limits = DEFAULT_LIMITS) -> Image.Image:
    """The key frame of a shot, whole; raises UnreadableImage."""
    with Video(clip.file, limits) as video:
        middle = clip.start_ms + round(PLACES[0] * (clip.end_ms - clip.start_ms))
        return _frame(video, clip, middle).picture()


def content_of(path: Path) -> str:
    """The sha256 of a file's bytes, remembered as long as it does not change; raises OSError."""
    status = path.stat()
    return _content_of(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=64)
def _content_of(path: Path, size: int, mtime_ns: int) -> str:
    del size, mtime_ns  # part of what is remembered
    digest = hashlib.sha256()
    with open_regular(path) as file:
        while part := file.read(2**20):
            digest.update(part)
    return digest.hexdigest()


def _frame(video: Video, clip: Clip, at_ms: int) -> Frame:
    """The frame that is seen at a moment."""
    found: Frame | None = None
    for frame in video.frames(clip.start_ms):
        if found is not None and frame.time_ms > at_ms:
            break
        found = frame
        if frame.time_ms >= at_ms:
            break
    if found is None:
        raise UnreadableImage(
            f"{clip.file}: has no picture at {clip.start:.3f} s; it was changed since it was "
            f"taken in: sync its collection"
        )
    return found
