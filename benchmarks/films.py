"""Makes small videos of still pictures, of which it is known what is seen from when to when."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.stream import VideoStream
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Part:
    """A picture that is seen for some seconds, as the camera moves over it by `drift` of its width.

    `fade`: seconds in which it comes out of the one before.
    """

    picture: Image.Image
    seconds: float
    fade: float = 0.0
    drift: float = 0.05


@dataclass(frozen=True)
class Film:
    """How a film is written; `uneven`: every third frame is left out, and times tell so."""

    size: tuple[int, int] = (320, 240)
    fps: int = 25
    codec: str = "libx264"
    turned: int = 0
    created: datetime | None = None
    uneven: bool = False
    flashes: tuple[float, ...] = ()
    noise: float = 0.0


def write_film(path: Path, parts: Sequence[Part], how: Film | None = None) -> list[float]:
    """Write a film; gives the moments at which its parts begin, a fade's in its middle."""
    how = how or Film()
    with av.open(str(path), "w") as container:
        if how.created:
            container.metadata["creation_time"] = how.created.isoformat()
        stream = container.add_stream(how.codec, rate=how.fps)
        assert isinstance(stream, VideoStream)
        stream.width, stream.height = how.size
        stream.pix_fmt = "yuv420p"
        stream.time_base = Fraction(1, 1000)
        stream.codec_context.time_base = Fraction(1, 1000)
        if how.codec == "libx264":
            stream.options = {"preset": "ultrafast", "crf": "20"}
        if how.turned:
            stream.set_display_rotation(how.turned)
        for number, pixels in enumerate(_pixels(parts, how)):
            if how.uneven and number % 3 == 1:
                continue
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = round(1000 * number / how.fps), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    begins, at = [], 0.0
    for part in parts:
        begins.append(at - part.fade / 2)
        at += part.seconds
    return begins


def _pixels(parts: Sequence[Part], how: Film) -> Iterator[Pixels]:
    rng = np.random.default_rng(0)
    at, number = 0.0, 0
    for place, part in enumerate(parts):
        end = at + part.seconds
        coming = parts[place + 1] if place + 1 < len(parts) else None
        while number / how.fps < end - 1e-9:
            time = number / how.fps
            pixels = _view(part, (time - at) / part.seconds, how.size)
            if coming and coming.fade and time > end - coming.fade:
                share = (time - end + coming.fade) / coming.fade
                pixels = (1 - share) * pixels + share * _view(coming, 0.0, how.size)
            if how.noise:
                pixels = pixels + rng.normal(0, how.noise, pixels.shape).astype(np.float32)
            if any(flash <= time < flash + 0.08 for flash in how.flashes):
                pixels = np.full_like(pixels, 255)
            yield np.clip(pixels, 0, 255).astype(np.uint8)
            number += 1
        at = end


def _view(part: Part, share: float, size: tuple[int, int]) -> NDArray[np.float32]:
    """The picture as the camera sees it after a share of its time."""
    width, height = part.picture.size
    shift = part.drift * width * min(1.0, max(0.0, share))
    box = (shift, 0.0, min(width, width * (1 - part.drift) + shift), float(height))
    seen = part.picture.resize(size, Image.Resampling.BILINEAR, box=box)
    return np.asarray(seen, np.float32)
