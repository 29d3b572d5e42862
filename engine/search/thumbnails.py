"""Small versions of pictures, made once and kept on disk within a bound."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from io import BytesIO
from pathlib import Path

from PIL import Image

from engine.errors import UnreadableImage
from engine.files import write_whole
from engine.images import open_pixels
from engine.limits import Limits
from engine.video.address import Clip, file_at

_LOG = logging.getLogger(__name__)
_QUALITY = 80
_SWEEP_EVERY = 256


_STILL = 640
"""Up to this size a key frame is shown as it was kept when its video was watched."""


def shrunk(image: Image.Image, side: int) -> bytes:
    """An RGB picture as WebP, at most `side` pixels wide and high."""
    small = image.copy()
    small.thumbnail((side, side))
    buffer = BytesIO()
    small.save(buffer, "WEBP", quality=_QUALITY)
    return buffer.getvalue()


def keep_still(folder: Path, address: Path, image: Image.Image) -> None:
    """Keep the key frame of a shot beside thumbnails, so that its video is not decoded again.

    Nothing is lost where it cannot be kept.
    """
    try:
        write_whole(_kept_at(folder, address, _STILL), shrunk(image, _STILL), durable=False)
    except OSError as error:
        _LOG.warning("key frames are not kept in %s: %s", folder, error)


class Thumbnails:
    """WebP versions of picture files, kept in `folder` up to about `max_bytes` in all.

    A file that has changed gets a new one. Safe to share between threads and processes.
    """

    def __init__(self, folder: Path, limits: Limits, *, max_bytes: int, workers: int) -> None:
        self._folder = folder
        self._limits = limits
        self._max_bytes = max_bytes
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="thumbnails")
        self._made = 0

    def get(self, uris: Sequence[str], side: int) -> list[bytes]:
        """One for each file address, in order; grey where the file cannot be read."""
        return list(self._pool.map(partial(self._one, side=side), uris))

    def close(self) -> None:
        """Wait for what is being made, and make no more."""
        self._pool.shutdown()

    def _one(self, uri: str, side: int) -> bytes:
        path = Path(uri)
        try:
            kept = _kept_at(self._folder, path, side)
        except (OSError, ValueError):
            return _grey(side)
        try:
            data = kept.read_bytes()
            os.utime(kept)  # used just now: it is swept last
        except OSError:
            data = self._made_of(path, side)
            self._keep(kept, data)
        return data

    def _made_of(self, path: Path, side: int) -> bytes:
        try:
            if side < _STILL and Clip.at(path):
                return shrunk(Image.open(BytesIO(self._one(str(path), _STILL))), side)
            return shrunk(open_pixels(path, self._limits), side)
        except UnreadableImage:
            return _grey(side)

    def _keep(self, kept: Path, data: bytes) -> None:
        """Write it whole or not at all; a full or read-only disk costs speed alone."""
        try:
            write_whole(kept, data, durable=False)
            self._made += 1
            if self._made % _SWEEP_EVERY == 0:
                self._sweep()
        except OSError as error:
            _LOG.warning("thumbnails are not kept in %s: %s", self._folder, error)

    def _sweep(self) -> None:
        """Remove those used longest ago until the rest is within the bound."""
        found = []
        for path in self._folder.iterdir():
            try:
                found.append((path.stat(), path))
            except OSError:
                continue  # another thread has swept it
        total = sum(status.st_size for status, _ in found)
        for status, path in sorted(found, key=lambda pair: pair[0].st_mtime):
            if total <= self._max_bytes:
                return
            path.unlink(missing_ok=True)
            total -= status.st_size


def _kept_at(folder: Path, path: Path, side: int) -> Path:
    """Where the version of that size is kept, of a file as it is now; raises OSError."""
    status = file_at(path).stat()
    told = f"{path.absolute()}\0{status.st_mtime_ns}\0{status.st_size}\0{side}"
    return folder / f"{hashlib.sha256(os.fsencode(told)).hexdigest()}.webp"


def _grey(side: int) -> bytes:
    return shrunk(Image.new("RGB", (side, side), "#888888"), side)
