"""Pictures from files or bytes: one way in, within limits, always upright sRGB on white."""

from __future__ import annotations

import hashlib
import os
import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pillow_heif
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageCms

from engine.errors import UnreadableImage
from engine.files import NotAFile, open_regular

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
_TIME = re.compile(r"\s*(\d{4})\D(\d\d)\D(\d\d)\D(\d\d)\D(\d\d)\D(\d\d)")


@dataclass(frozen=True)
class Limits:
    """The largest picture that is opened, in bytes of its file and in pixels."""

    max_bytes: int = 64 * 2**20
    max_pixels: int = 100_000_000


DEFAULT_LIMITS = Limits()


@dataclass(frozen=True)
class Picture:
    """An opened picture: upright RGB, and what its file says about it.

    `sha256` is of the file's bytes; `width` and `height` are those of the upright picture.
    `taken_at` is from EXIF, without time zone where the camera gave none.
    """

    image: Image.Image
    sha256: str
    width: int
    height: int
    taken_at: datetime | None = None


def open_picture(source: Path | bytes, limits: Limits = DEFAULT_LIMITS) -> Picture:
    """Open a picture file, or the bytes of one, as upright sRGB.

    Transparency is laid on white; of an animation the first frame is taken; 16-bit and
    floating-point values are scaled to 8 bits. Raises UnreadableImage for whatever cannot be
    opened whole and within the limits.
    """
    name = "the given bytes" if isinstance(source, bytes) else str(source)
    data = source if isinstance(source, bytes) else _read(source, limits.max_bytes)
    _check_bytes(name, len(data), limits.max_bytes)
    try:
        opened = _identify(name, data)
        _check_pixels(name, opened.size, limits.max_pixels)
        opened.load()
        _check_pixels(name, opened.size, limits.max_pixels)
        exif = _exif(opened)
        image = _upright(_to_rgb(opened), exif)
    except UnreadableImage:
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
    return Picture(image, digest, image.width, image.height, _taken_at(exif))


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
    failure: Exception | None = None
    for format_name in FORMATS:
        factory, accept = Image.OPEN[format_name]
        if accept is None or accept(data[:16]) is not True:
            continue
        try:
            return factory(BytesIO(data), "")
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
    raise UnreadableImage(
        f"{name}: is not a picture that can be read, it begins with {data[:8]!r}; "
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


def _taken_at(exif: Image.Exif) -> datetime | None:
    """When the shutter was pressed; None where EXIF does not say it or is damaged."""
    try:
        tags = exif.get_ifd(ExifTags.IFD.Exif)
        found = _TIME.match(_text(tags.get(ExifTags.Base.DateTimeOriginal)))
        if found is None:
            return None
        taken = datetime.strptime(":".join(found.groups()), "%Y:%m:%d:%H:%M:%S")
        offset = _text(tags.get(ExifTags.Base.OffsetTimeOriginal)).strip("\0 ")
    except Exception:
        return None
    with suppress(ValueError):
        return taken.replace(tzinfo=datetime.strptime(offset, "%z").tzinfo)
    return taken


def _text(value: object) -> str:
    if isinstance(value, bytes):
        return value.decode("ascii", "replace")
    return value if isinstance(value, str) else ""


def _to_rgb(image: Image.Image) -> Image.Image:
    """A plain RGB copy: sRGB, on white where it was transparent."""
    colours, alpha = _split_alpha(_to_eight_bits(image))
    rgb = _to_srgb(colours)
    rgb.info = {}
    if alpha is None:
        return rgb
    page = Image.new("RGB", rgb.size, "white")
    page.paste(rgb, mask=alpha)
    return page


def _to_eight_bits(image: Image.Image) -> Image.Image:
    """Grey values of more than 8 bits scaled to 8; other pictures as they are."""
    if not image.mode.startswith(("I", "F")):
        return image
    values = np.asarray(image)
    grey = Image.fromarray(_scale_to_bytes(values))
    grey.info = {"icc_profile": image.info.get("icc_profile")}
    key = image.info.get("transparency")
    if isinstance(key, int):
        grey.putalpha(Image.fromarray(np.where(values == key, 0, 255).astype(np.uint8)))
    return grey


def _scale_to_bytes(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Scale so that white is 255.

    16-bit files say what white is. 32-bit and floating-point files do not: there it is the
    first of 1 (floating point only), 255 and 65535 that no value exceeds; values beyond all
    of these, or below zero, are stretched from their least to their greatest.
    """
    if values.dtype.kind == "u":
        return np.rint(values / np.float32(65535 / 255)).astype(np.uint8)
    numbers = np.nan_to_num(values.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    black, high = min(0.0, float(numbers.min())), float(numbers.max())
    whites = [1.0, 255.0, 65535.0] if values.dtype.kind == "f" else [255.0, 65535.0]
    white = next((white for white in whites if black == 0 and high <= white), high)
    return np.rint((numbers - black) * (255 / (white - black))).astype(np.uint8)


def _split_alpha(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """The colours without transparency, and the opacity of each pixel if it is not full."""
    if not image.has_transparency_data:
        return image, None
    key = image.info.get("transparency")
    if image.mode == "RGB" and isinstance(key, tuple) and max(key) > 255:
        # Pillow reads the colours of 16-bit pictures as 8 bits, but leaves the key at 16.
        image.info["transparency"] = tuple(value >> 8 for value in key)
    rgba = image.convert("RGBA")
    return rgba.convert("RGB"), rgba.getchannel("A")


def _to_srgb(image: Image.Image) -> Image.Image:
    """RGB by the embedded colour profile; without a usable one, by Pillow's conversion."""
    if image.mode not in {"L", "RGB", "CMYK"}:
        image = image.convert("RGB")
    profile = image.info.get("icc_profile")
    if profile:
        with suppress(ImageCms.PyCMSError, OSError, ValueError, TypeError):
            return _through_profile(image, profile)
    return image.convert("RGB")


def _through_profile(image: Image.Image, profile: bytes) -> Image.Image:
    source = ImageCms.ImageCmsProfile(BytesIO(profile))
    if image.mode == "RGB" and "sRGB" in ImageCms.getProfileDescription(source):
        return image.copy()
    converted = ImageCms.profileToProfile(image, source, _SRGB, outputMode="RGB")
    assert converted is not None
    return converted
