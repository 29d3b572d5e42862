"""A video file that is open: what it says of itself, and its frames, upright, with their times."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from io import SEEK_END, BytesIO
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import av
import numpy as np
from av.container import InputContainer
from av.error import FFmpegError
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray
from PIL import Image

from engine.errors import UnreadableImage
from engine.limits import DEFAULT_LIMITS, Limits
from engine.metadata.facts import Facts, facts
from engine.signatures import SIGNATURE, picture_ending
from engine.video.address import clock
from mrag_client.files import NotAFile, open_regular

SMALL = 384
"""Pixels of the shorter side of a frame that is kept: more than any encoder looks at."""

_FORMATS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,flv,asf,ogg"
"""What is opened. Not among them: lists of other files, by which a file could have this machine
fetch what it names."""

_BUFFER = 2**20
_FEW = 100
"""Packets in a row that cannot be decoded before the rest is given up."""

_EARLIER_MS = 10_000

_LACKING, _LACKING_S = 0.05, 1.0
"""A share of what a video says that it is long, and seconds: what is cut short lacks more."""

_LONGEST_S = 60.0
"""A frame is not taken to be seen for longer, whatever is said."""

_TURNS = {
    90: Image.Transpose.ROTATE_90,
    180: Image.Transpose.ROTATE_180,
    270: Image.Transpose.ROTATE_270,
}
_PLACE = re.compile(r"([+-]\d{1,2}(?:\.\d+)?)([+-]\d{1,3}(?:\.\d+)?)")
_DURATION = re.compile(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)")
"""As Matroska has it: 00:12:31.500000000"""

_EARLIEST = 1971
"""Files of devices that knew no time say the first years that they can."""


@dataclass(frozen=True)
class Frame:
    """A frame that was decoded; `time` in seconds from the beginning of its video.

    `seconds` is for how long it is seen, as far as that is known.
    """

    time: float
    frame: VideoFrame
    aspect: Fraction
    seconds: float

    @property
    def time_ms(self) -> int:
        """The time in whole milliseconds."""
        return round(1000 * self.time)

    @property
    def turned(self) -> bool:
        """Whether width and height change places to show it upright."""
        return self.frame.rotation % 180 != 0

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the upright picture, with square pixels."""
        width, height = max(1, round(self.frame.width * self.aspect)), self.frame.height
        return (height, width) if self.turned else (width, height)

    def picture(self, shorter: int = 0) -> Image.Image:
        """The upright picture as RGB, made smaller so that its shorter side has so many pixels."""
        width, height = _fitted(*self.size, shorter)
        if self.turned:
            width, height = height, width
        rgb = self.frame.reformat(width, height, "rgb24", interpolation="AREA").to_ndarray()
        image = Image.fromarray(rgb)
        turn = _TURNS.get(round(self.frame.rotation) % 360)
        return image if turn is None else image.transpose(turn)

    def glance(self, width: int) -> NDArray[np.uint8]:
        """A small picture to compare with others of the video, (height, width, 3), BGR."""
        height = max(1, round(width * self.frame.height / max(1, self.frame.width)))
        seen = self.frame.reformat(
            width, min(height, 2 * width), "bgr24", interpolation="FAST_BILINEAR"
        )
        return np.asarray(seen.to_ndarray(), np.uint8)


class _File:
    """A file whose trouble is kept until it is asked for: PyAV would print it, and go on."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.seek, self.tell, self.close = file.seek, file.tell, file.close
        self.trouble: OSError | None = None

    def read(self, size: int) -> bytes:
        """The next bytes; none where they cannot be read."""
        try:
            return self._file.read(size)
        except OSError as error:
            self.trouble = error
            return b""


class Video:
    """A video file, or the bytes of one, open for reading.

    `trouble` says what of it could not be read, "" as long as all could. Raises UnreadableImage
    for what cannot be opened, has no pictures, or has larger ones than the limits allow.
    """

    def __init__(self, source: Path | bytes, limits: Limits = DEFAULT_LIMITS) -> None:
        self._name = "the given bytes" if isinstance(source, bytes) else str(source)
        self._file = _File(_opened_file(source))
        self.trouble = ""
        self._spoiled, self._begun = 0, False
        try:
            self._container = self._open(limits)
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        self._container.close()
        self._file.close()

    @property
    def duration(self) -> float | None:
        """How long it says that it is, in seconds; None where it does not."""
        stream = self._stream
        if stream.duration is not None and stream.time_base is not None:
            return float(stream.duration * stream.time_base)
        length = self._container.duration
        return None if length is None else length / av.time_base

    @property
    def step(self) -> float:
        """Seconds from one frame to the next, as far as it says."""
        rate = self._stream.average_rate or self._stream.guessed_rate
        return float(1 / rate) if rate else 0.04

    @property
    def facts(self) -> Facts:
        """What the file says of itself: when it began, where, and with what."""
        said = {**self._stream.metadata, **self._container.metadata}
        said = {key.lower(): value for key, value in said.items()}
        apple = "com.apple.quicktime."
        camera = f"{said.get(f'{apple}make', '')} {said.get(f'{apple}model', '')}"
        place = said.get(f"{apple}location.iso6709") or said.get("location", "")
        found = _PLACE.match(place)
        return facts(
            taken_at=_moment(said.get(f"{apple}creationdate"), said.get("creation_time")),
            camera=camera,
            place=(float(found[1]), float(found[2])) if found else None,
            title=said.get("title", ""),
        )

    def unseen(self) -> UnreadableImage:
        """What is to be raised where no frame of it could be decoded."""
        why = f" ({self.trouble})" if self.trouble else ""
        return UnreadableImage(
            f"{self._name}: no picture of it can be seen{why}; it may be cut short or damaged: "
            "copy or export it again"
        )

    def note_end(self, seconds: float) -> None:
        """Note where its last frame ended: a video that says to be longer is cut short."""
        said = self._said
        if self.trouble or said is None:
            return
        if said - seconds > max(_LACKING_S, _LACKING * said):
            self.trouble = (
                f"it says that it lasts {clock(said)} and ends at {clock(seconds)}: it may be cut "
                "short; copy or export it again"
            )

    def frames(self, start_ms: int = 0) -> Iterator[Frame]:
        """The frames from a moment on, in order; what cannot be decoded is passed over, and told.

        Times come from the file, never from counting frames.
        """
        # Some containers say only roughly where things are: then it is begun somewhat earlier.
        for back_ms in dict.fromkeys((0, min(_EARLIER_MS, start_ms), start_ms)):
            if start_ms or self._begun:
                self._seek(max(0, start_ms - back_ms))
            self._begun = True
            timed = self._timed()
            first = next(timed, None)
            if first and (first.time_ms <= start_ms or back_ms >= start_ms):
                yield from (one for one in chain([first], timed) if one.time_ms >= start_ms)
                return

    def _timed(self) -> Iterator[Frame]:
        """The frames from where it stands, with their times."""
        last, step, begin = -1.0, self.step, self._begin()
        for frame in self._decoded():
            if begin is None:
                begin = frame.pts or 0
            time = last + step
            if frame.pts is not None and frame.time_base is not None:
                time = float((frame.pts - begin) * frame.time_base)
            if time <= last:  # times that run backwards: counted on from the last one
                time = last + step
            last = time = max(0.0, time)
            aspect = self._stream.sample_aspect_ratio or Fraction(1)
            yield Frame(time, frame, aspect, self._seen(frame))

    def _seen(self, frame: VideoFrame) -> float:
        """For how many seconds a frame is seen; files tell it of each, some of them wrongly."""
        told = float((frame.duration or 0) * (frame.time_base or 0))
        return min(told, _LONGEST_S) if told > self.step / 2 else self.step

    @property
    def _stream(self) -> VideoStream:
        return _films(self._container)[0]

    @property
    def _said(self) -> float | None:
        """How long its pictures go on, as they say themselves: sound may go on for longer."""
        stream = self._stream
        if stream.duration is not None and stream.time_base is not None:
            return float(stream.duration * stream.time_base)
        tag = _DURATION.match(stream.metadata.get("DURATION", ""))
        if tag is None:
            return None
        hours, minutes, seconds = (float(part) for part in tag.groups())
        begin = float((stream.start_time or 0) * (stream.time_base or 0))
        return 3600 * hours + 60 * minutes + seconds - max(0.0, begin)

    def _begin(self) -> int | None:
        start: int | None = self._stream.start_time
        return start

    def _open(self, limits: Limits) -> InputContainer:
        options = {"format_whitelist": _FORMATS, "protocol_whitelist": "file"}
        try:
            container = av.open(
                self._file,
                mode="r",
                container_options=options,
                metadata_errors="replace",
                buffer_size=_BUFFER,
            )
        except (FFmpegError, OSError, ValueError) as error:
            if self._file.trouble:
                told = f"cannot be read ({_told(self._file.trouble)}); check its disk"
                raise UnreadableImage(f"{self._name}: {told}") from error
            if not self._file.seek(0, SEEK_END):
                empty = f"{self._name}: is empty; copy or export it again"
                raise UnreadableImage(empty) from error
            self._file.seek(0)
            if ending := picture_ending(self._file.read(SIGNATURE)):
                told = f"holds a picture and no video; name it {ending}"
                raise UnreadableImage(f"{self._name}: {told}") from error
            raise UnreadableImage(
                f"{self._name}: is not a video that can be read ({_told(error)}); it may be cut "
                "short or damaged: copy or export it again"
            ) from error
        try:
            self._check(container, limits)
        except BaseException:
            container.close()
            raise
        return container

    def _check(self, container: InputContainer, limits: Limits) -> None:
        films = _films(container)
        if not films:
            what = "holds sound alone" if container.streams.audio else "holds no pictures"
            raise UnreadableImage(f"{self._name}: {what}; give a video with pictures")
        stream = films[0]
        pixels = stream.codec_context.width * stream.codec_context.height
        if pixels > limits.max_pixels:
            raise UnreadableImage(
                f"{self._name}: its pictures have {pixels:,} pixels, the limit is "
                f"{limits.max_pixels:,}; make it smaller or raise MRAG_MAX_IMAGE_PIXELS"
            )
        stream.codec_context.options = {"max_pixels": str(limits.max_pixels)}
        stream.thread_type = "AUTO"

    def _seek(self, start_ms: int) -> None:
        stream = self._stream
        base = stream.time_base or Fraction(1, 1000)
        offset = int(Fraction(start_ms, 1000) / base) + (stream.start_time or 0)
        with suppress(FFmpegError, OSError):  # else it is read from the beginning
            self._container.seek(offset, stream=stream, backward=True)

    def _decoded(self) -> Iterator[VideoFrame]:
        yield from self._decodable()
        if error := self._file.trouble:  # its disk's, not its own, which may get over it
            raise UnreadableImage(
                f"{self._name}: cannot be read any further ({_told(error)}); check its disk, and "
                "do the same again"
            ) from error

    def _decodable(self) -> Iterator[VideoFrame]:
        bad = 0
        for decode in self._packets():
            try:
                found = decode()
            except (FFmpegError, ValueError) as error:
                if isinstance(error, av.error.EOFError):
                    return
                bad, self._spoiled = bad + 1, self._spoiled + 1
                parts = "1 part" if self._spoiled == 1 else f"{self._spoiled:,} parts"
                self.trouble = f"{parts} of it cannot be decoded ({_told(error)})"
                if bad > _FEW:
                    self.trouble += "; the rest is given up"
                    return
                continue
            bad = 0
            yield from found

    def _packets(self) -> Iterator[Callable[[], list[Any]]]:
        try:
            for packet in self._container.demux(self._stream):
                yield packet.decode
        except (FFmpegError, OSError, ValueError) as error:
            self.trouble = f"the rest of it cannot be read ({_told(error)})"


def _films(container: InputContainer) -> list[VideoStream]:
    """The streams that move: the cover of a piece of music does not."""
    return [
        one
        for one in container.streams.video
        if one.codec_context is not None and not one.disposition & Disposition.attached_pic
    ]


def _opened_file(source: Path | bytes) -> BinaryIO:
    if isinstance(source, bytes):
        return BytesIO(source)
    try:
        file: BinaryIO = open_regular(source)
    except NotAFile as error:
        raise UnreadableImage(f"{source}: {error}; give a video file") from error
    except FileNotFoundError as error:
        raise UnreadableImage(
            f"{source}: there is no such file; if it was moved, sync its collection"
        ) from error
    except (OSError, ValueError) as error:
        raise UnreadableImage(f"{source}: cannot be read ({error}); check the path") from error
    return file


def _fitted(width: int, height: int, shorter: int) -> tuple[int, int]:
    if not shorter or min(width, height) <= shorter:
        return width, height
    scale = shorter / min(width, height)
    return max(1, round(width * scale)), max(1, round(height * scale))


def _moment(*said: str | None) -> datetime | None:
    for text in said:
        with suppress(ValueError):
            found = datetime.fromisoformat((text or "").strip())
            if found.year >= _EARLIEST:
                return found
    return None


def _told(error: Exception) -> str:
    said = error.strerror if isinstance(error, OSError | FFmpegError) else str(error)
    return (said or str(error) or type(error).__name__).strip()
