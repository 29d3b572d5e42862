"""Pictures from files or bytes: one way in, within limits, always upright sRGB on white."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from concurrent.futures import CancelledError
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pillow_heif
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageCms

from engine.errors import UnreadableImage
from engine.limits import DEFAULT_LIMITS, Limits
from engine.metadata.facts import Facts, later
from engine.metadata.reading import facts_of
from engine.signatures import video_ending
from engine.types import NO_METADATA, Metadata
from engine.video.address import Clip
from mrag_client.files import NotAFile, open_regular

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "AVIF", "HEIF")
"""The formats that are read; whatever else Pillow could open is refused."""

SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".webp", ".gif", ".tif"}
    | {".tiff", ".bmp", ".avif", ".heic", ".heif", ".hif"}
)
"""Lower-case file suffixes that a folder reader takes as pictures."""

pillow_heif.register_heif_opener(thumbnails=False, depth_images=False, aux_images=False)
Image.init()

_SRGB = ImageCms.createProfile("sRGB")
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_PEAK = {"WEBP": 16, "AVIF": 12, "HEIF": 12, "TIFF": 12}
"""Bytes a pixel while it is decoded, where it is more than the picture and its RGB copy."""

_ROWS = 256
"""Rows that are scaled to 8 bits at once: numbers in between take sixteen times as much."""


@dataclass(frozen=True)
class Picture:
    """An opened picture: upright RGB, and what its file says about it.

    `sha256` is of the file's bytes; `width` and `height` are those of the upright picture.
    `taken_at` is without time zone where the camera gave none. Of a shot of a video it is the key
    frame, made small, with `frames` as others of it, and `sha256` as `identity.shot_sha256` has it.
    """

    image: Image.Image
    sha256: str
    width: int
    height: int
    taken_at: datetime | None = None
    metadata: Metadata = NO_METADATA
    frames: tuple[Image.Image, ...] = ()

    @property
    def facts(self) -> Facts:
        """What its file says."""
        return Facts(self.taken_at, self.metadata)


Admit = Callable[[int], object]
"""Told how many bytes of memory are about to be taken; it may wait until they are free."""


def open_picture(
    source: Path | bytes, limits: Limits = DEFAULT_LIMITS, admit: Admit = lambda _: None
) -> Picture:
    """Open a picture file, or the bytes of one, as upright sRGB.

    Transparency is laid on white; of an animation the first frame is taken; 16-bit and
    floating-point values are scaled to 8 bits. `admit` is asked once, when the header has been
    read and no pixel yet. The address of a shot (`engine.video.address`) opens its key frame.
    Raises UnreadableImage for whatever cannot be opened whole and within the limits.
    """
    if not isinstance(source, bytes) and (clip := Clip.at(source)):
        from engine.video.still import open_shot  # decoders of videos, which pictures do not need

        return open_shot(clip, limits)
    name = "the given bytes" if isinstance(source, bytes) else str(source)
    data = source if isinstance(source, bytes) else _read(source, limits.max_bytes)
    _check_bytes(name, len(data), limits.max_bytes)
    try:
        image = _identify(name, data)
        _check_pixels(name, image.size, limits.max_pixels)
        admit(len(data) + _decoding_bytes(image))
        image.load()
        _check_pixels(name, image.size, limits.max_pixels)
        exif = _exif(image)
        said = facts_of(image, exif)
        image = _to_rgb(image)
        image = _upright(image, exif)
    except (UnreadableImage, CancelledError):
        raise
    except Image.DecompressionBombError as error:  # tiles and canvases that decoders check
        raise UnreadableImage(
            f"{name}: its header asks for too much memory ({error}), the limit is "
            f"{limits.max_pixels:,} pixels; if it is a real picture, save it again smaller"
        ) from error
    except MemoryError as error:
        raise UnreadableImage(
            f"{name}: there is not enough memory to decode it; make it smaller, or lower "
            "MRAG_MAX_IMAGE_PIXELS so that such pictures are skipped at once"
        ) from error
    except Exception as error:  # decoders raise nearly anything on damaged files
        raise UnreadableImage(
            f"{name}: cannot be decoded ({type(error).__name__}: {error}); the file is damaged "
            "or cut short: copy or export it again"
        ) from error
    digest = hashlib.sha256(data).hexdigest()
    width, height = image.size
    return Picture(image, digest, width, height, said.taken_at, said.metadata)


def open_pixels(path: Path, limits: Limits = DEFAULT_LIMITS) -> Image.Image:
    """A picture to look at: as `open_picture`, but a shot's key frame in its full size."""
    if clip := Clip.at(path):
        from engine.video.still import open_still

        return open_still(clip, limits)
    return open_picture(path, limits).image


def read_facts(path: Path, limits: Limits = DEFAULT_LIMITS) -> Facts | None:
    """What a picture file says of itself, without its pixels; None where it cannot be opened.

    Of a shot what its video says, taken as much later as it begins later.
    """
    if clip := Clip.at(path):
        from engine.video.container import Video

        with suppress(UnreadableImage), Video(clip.file, limits) as video:
            return later(video.facts, clip.start)
        return None
    try:
        with open_regular(path) as file:
            image = _identified(str(path), file, file.read(16))
            _check_pixels(str(path), image.size, limits.max_pixels)
            if image.format == "PNG":
                image.load()  # what it says may stand behind the pixels
            return facts_of(image, _exif(image))
    except Exception:  # decoders raise nearly anything on damaged files
        return None


def image_bytes(image: Image.Image) -> int:
    """Memory of an RGB picture: Pillow keeps four bytes a pixel."""
    return 4 * image.width * image.height


def _decoding_bytes(image: Image.Image) -> int:
    """About what decoding to RGB takes at its peak, by the header."""
    return _PEAK.get(image.format or "", 8) * image.width * image.height


def _read(path: Path, max_bytes: int) -> bytes:
    """The bytes of a regular file, at most one more than allowed."""
    try:
        with open_regular(path) as file:
            _check_bytes(str(path), os.fstat(file.fileno()).st_size, max_bytes)
            return file.read(max_bytes + 1)
    except NotAFile as error:
        raise UnreadableImage(f"{path}: {error}; give a picture file") from error
    except FileNotFoundError as error:
        raise UnreadableImage(f"{path}: there is no such file; check the path") from error
    except PermissionError as error:
        raise UnreadableImage(f"{path}: may not be read; give this user read access") from error
    except (OSError, ValueError) as error:
        raise UnreadableImage(f"{path}: cannot be read ({error}); check the path") from error


def _check_bytes(name: str, size: int, limit: int) -> None:
    if size > limit:
        raise UnreadableImage(
            f"{name}: {size:,} bytes or more, the limit is {limit:,}; make the file smaller "
            "or raise MRAG_MAX_IMAGE_BYTES"
        )


def _check_pixels(name: str, size: tuple[int, int], limit: int) -> None:
    width, height = size
    if width < 1 or height < 1:
        raise UnreadableImage(
            f"{name}: {width} x {height} pixels, a picture needs at least 1 x 1; export it again"
        )
    if width * height > limit:
        raise UnreadableImage(
            f"{name}: {width} x {height} = {width * height:,} pixels, the limit is {limit:,}; "
            "make the picture smaller or raise MRAG_MAX_IMAGE_PIXELS"
        )


def _identify(name: str, data: bytes) -> Image.Image:
    """Read the header by the first of our formats that takes it; no pixel is decoded.

    Image.open is not used because its own pixel limit is one for the whole process.
    """
    if not data:
        raise UnreadableImage(f"{name}: is empty (0 bytes); copy or export it again")
    return _identified(name, BytesIO(data), data[:16])


def _identified(name: str, file: BinaryIO, begins: bytes) -> Image.Image:
    failure: Exception | None = None
    for format_name in FORMATS:
        factory, accept = Image.OPEN[format_name]
        if accept is None or accept(begins) is not True:
            continue
        try:
            file.seek(0)
            return factory(file, "")
        except (
            SyntaxError,
            IndexError,
            TypeError,
            KeyError,
            EOFError,
            OSError,
            ValueError,
        ) as error:
            failure = error
    if failure is not None:
        raise failure
    if ending := video_ending(begins):
        raise UnreadableImage(
            f"{name}: holds a video and no picture; give it, with the ending {ending}, where "
            "videos are taken: mrag ingest, mrag caption, mrag describe"
        )
    raise UnreadableImage(
        f"{name}: is not a picture that can be read, it begins with “{repr(begins[:8])[2:-1]}”; "
        f"convert it to one of {', '.join(FORMATS)}"
    )


def _exif(image: Image.Image) -> Image.Exif:
    """The EXIF data, empty where it is damaged."""
    try:
        return image.getexif()
    except Exception:  # a picture is worth more than what it says about itself
        return Image.Exif()


def _upright(image: Image.Image, exif: Image.Exif) -> Image.Image:
    orientation = None
    with suppress(Exception):
        orientation = exif.get(ExifTags.Base.Orientation)
    if not isinstance(orientation, int) or orientation not in _TURNS:
        return image
    return image.transpose(_TURNS[orientation])


def _to_rgb(image: Image.Image) -> Image.Image:
    """A plain RGB copy: sRGB, on white where it was transparent."""
    image = _to_eight_bits(image)
    if image.has_transparency_data:
        return _on_white(_with_alpha(image))
    rgb = _to_srgb(image)
    rgb.info = {}
    return rgb


def _to_eight_bits(image: Image.Image) -> Image.Image:
    """Grey values of more than 8 bits scaled to 8; other pictures as they are."""
    if not image.mode.startswith(("I", "F")):
        return image
    values = np.asarray(image)
    grey = Image.fromarray(_scale_to_bytes(values))
    grey.info = {"icc_profile": image.info.get("icc_profile")}
    key = image.info.get("transparency")
    if isinstance(key, int):
        grey.putalpha(Image.fromarray(np.where(values == key, np.uint8(0), np.uint8(255))))
    return grey


def _scale_to_bytes(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Scale so that white is 255.

    16-bit files say what white is. 32-bit and floating-point files do not: there it is the
    first of 1 (floating point only), 255 and 65535 that no value exceeds; values beyond all
    of these, or below zero, are stretched from their least to their greatest.
    """
    bands = [values[start : start + _ROWS] for start in range(0, len(values), _ROWS)]
    if values.dtype.kind == "u":
        white, black = 65535.0, 0.0
    else:
        black = min(0.0, *(float(_numbers(band).min()) for band in bands))
        high = max(float(_numbers(band).max()) for band in bands)
        whites = [1.0, 255.0, 65535.0] if values.dtype.kind == "f" else [255.0, 65535.0]
        white = next((white for white in whites if black == 0 and high <= white), high)
    scale = 255 / (white - black)
    scaled = [np.rint((_numbers(band) - black) * scale).astype(np.uint8) for band in bands]
    return np.concatenate(scaled)


def _numbers(values: NDArray[Any]) -> NDArray[np.float64]:
    return np.nan_to_num(values.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)


def _with_alpha(image: Image.Image) -> Image.Image:
    """The picture with the opacity of each pixel."""
    if image.mode == "RGBA":
        return image
    key = image.info.get("transparency")
    if image.mode == "RGB" and isinstance(key, tuple) and max(key) > 255:
        # Pillow reads the colours of 16-bit pictures as 8 bits, but leaves the key at 16.
        image.info["transparency"] = tuple(value >> 8 for value in key)
    return image.convert("RGBA")


def _on_white(image: Image.Image) -> Image.Image:
    """The colours of an RGBA picture, laid on white."""
    page = Image.new("RGB", image.size, "white")
    has_profile = bool(image.info.get("icc_profile"))
    colours = _to_srgb(image.convert("RGB")) if has_profile else image
    page.paste(colours, mask=image)
    return page


def _to_srgb(image: Image.Image) -> Image.Image:
    """An RGB copy by the embedded colour profile; without a usable one, by Pillow's conversion."""
    profile = image.info.get("icc_profile")
    if profile:
        with suppress(ImageCms.PyCMSError, OSError, ValueError, TypeError):
            plain = image if image.mode in {"L", "RGB", "CMYK"} else image.convert("RGB")
            return _through_profile(plain, profile)
    return image.convert("RGB")


def _through_profile(image: Image.Image, profile: bytes) -> Image.Image:
    source = ImageCms.ImageCmsProfile(BytesIO(profile))
    if image.mode == "RGB" and "sRGB" in ImageCms.getProfileDescription(source):
        return image.copy()
    converted = ImageCms.profileToProfile(image, source, _SRGB, outputMode="RGB")
    assert converted is not None
    return converted
