"""Pictures of every format, mode and state of repair, through the one way in."""

from __future__ import annotations

import hashlib
import os
import struct
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps

from engine.errors import UnreadableImage
from engine.images import FORMATS, SUFFIXES, Picture, open_picture
from engine.limits import Limits
from tests.films import film

PHOTOS = Path(__file__).parents[2].parent / "shared" / "photos"
LOSSY = {"JPEG", "WEBP", "AVIF", "HEIF"}


def colour_test(size: tuple[int, int] = (48, 32)) -> Image.Image:
    """Four plain quarters: red, green, blue, yellow."""
    image = Image.new("RGB", size, "red")
    width, height = size[0] // 2, size[1] // 2
    image.paste("lime", (width, 0, size[0], height))
    image.paste("blue", (0, height, width, size[1]))
    image.paste("yellow", (width, height, size[0], size[1]))
    return image


def photo_like(size: tuple[int, int] = (96, 64)) -> Image.Image:
    """Smooth noise, so that a decoder has data to lose in every part of the file."""
    coarse = np.random.default_rng(0).integers(0, 256, (8, 12, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)


def encoded(image: Image.Image, file_format: str, **options: Any) -> bytes:
    file = BytesIO()
    image.save(file, file_format, **options)
    return file.getvalue()


def pixels(picture: Picture) -> NDArray[np.int64]:
    return np.asarray(picture.image).astype(np.int64)


def corner_colours(picture: Picture) -> list[tuple[int, ...]]:
    """The middle of each quarter, rounded to the nearest of black and white per channel."""
    values = pixels(picture)
    height, width = values.shape[:2]
    points = [(y, x) for y in (height // 4, height * 3 // 4) for x in (width // 4, width * 3 // 4)]
    return [tuple(round(c / 255) for c in values[point]) for point in points]


RED, GREEN, BLUE, YELLOW = (1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 0)


@pytest.mark.parametrize("file_format", FORMATS)
def test_every_format_is_read(file_format: str) -> None:
    data = encoded(colour_test(), file_format)
    picture = open_picture(data)
    assert picture.image.mode == "RGB"
    assert (picture.width, picture.height) == picture.image.size == (48, 32)
    assert corner_colours(picture) == [RED, GREEN, BLUE, YELLOW]
    assert picture.sha256 == hashlib.sha256(data).hexdigest()
    assert picture.taken_at is None


def test_the_content_decides_not_the_suffix(tmp_path: Path) -> None:
    path = tmp_path / "really-a-png.jpg"
    path.write_bytes(encoded(colour_test(), "PNG"))
    assert corner_colours(open_picture(path)) == [RED, GREEN, BLUE, YELLOW]


def test_suffixes_are_lower_case_and_cover_every_format() -> None:
    assert all(suffix.startswith(".") and suffix == suffix.lower() for suffix in SUFFIXES)
    registered = Image.registered_extensions()
    assert {registered[suffix] for suffix in SUFFIXES if suffix in registered} >= set(FORMATS)


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF", "HEIF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(file_format: str, orientation: int) -> None:
    upright = colour_test()
    undo = {5: 5, 6: 8, 7: 7, 8: 6}.get(orientation, orientation)
    exif = Image.Exif()
    exif[0x0112] = undo
    turned = ImageOps.exif_transpose(with_exif(upright, exif))
    exif[0x0112] = orientation
    picture = open_picture(encoded(turned, file_format, exif=exif.tobytes()))
    assert (picture.width, picture.height) == (48, 32)
    assert corner_colours(picture) == [RED, GREEN, BLUE, YELLOW]


def with_exif(image: Image.Image, exif: Image.Exif) -> Image.Image:
    return Image.open(BytesIO(encoded(image, "PNG", exif=exif)))


@pytest.mark.parametrize("orientation", [0, 9, -1, 2**16 - 1])
def test_orientation_that_means_nothing_is_ignored(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation % 2**16
    picture = open_picture(encoded(colour_test(), "PNG", exif=exif))
    assert corner_colours(picture) == [RED, GREEN, BLUE, YELLOW]


def exif_with_time(taken: str, offset: str | None = None) -> bytes:
    exif = Image.Exif()
    tags = exif.get_ifd(0x8769)
    tags[0x9003] = taken
    if offset is not None:
        tags[0x9011] = offset
    return exif.tobytes()


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF", "HEIF"])
def test_time_taken(file_format: str) -> None:
    exif = exif_with_time("2023:07:09 18:30:05", "+02:00")
    picture = open_picture(encoded(colour_test(), file_format, exif=exif))
    assert picture.taken_at == datetime(2023, 7, 9, 18, 30, 5, tzinfo=timezone(timedelta(hours=2)))


@pytest.mark.parametrize(
    ("taken", "offset", "expected"),
    [
        ("2023:07:09 18:30:05", None, datetime(2023, 7, 9, 18, 30, 5)),
        ("2023-07-09T18:30:05", "Z", datetime(2023, 7, 9, 18, 30, 5, tzinfo=UTC)),
        ("2023:07:09 18:30:05", "nonsense", datetime(2023, 7, 9, 18, 30, 5)),
        ("2023:07:09 18:30:05", "+99:00", datetime(2023, 7, 9, 18, 30, 5)),
        ("0000:00:00 00:00:00", None, None),
        ("2023:02:31 10:00:00", None, None),
        ("    :  :     :  :  ", "", None),
        ("yesterday", None, None),
    ],
)
def test_odd_times(taken: str, offset: str | None, expected: datetime | None) -> None:
    exif = exif_with_time(taken, offset)
    picture = open_picture(encoded(colour_test(), "JPEG", exif=exif))
    assert picture.taken_at == expected


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@settings(max_examples=150, deadline=None)
@given(junk=st.binary(max_size=80))
def test_bad_exif_never_fails_the_picture(junk: bytes) -> None:
    head = b"Exif\0\0" + junk
    data = encoded(colour_test(), "JPEG")
    segment = b"\xff\xe1" + struct.pack(">H", len(head) + 2) + head
    picture = open_picture(data[:2] + segment + data[2:])
    assert sorted(corner_colours(picture)) == sorted([RED, GREEN, BLUE, YELLOW])


def on_white(image: Image.Image, file_format: str, **options: Any) -> Picture:
    return open_picture(encoded(image, file_format, **options))


@pytest.mark.parametrize("file_format", ["PNG", "WEBP", "TIFF", "AVIF", "HEIF"])
def test_alpha_is_laid_on_white(file_format: str) -> None:
    image = Image.new("RGBA", (30, 10), (0, 0, 255, 255))
    image.paste((0, 0, 255, 128), (10, 0, 20, 10))
    image.paste((0, 0, 0, 0), (20, 0, 30, 10))
    options = {} if file_format == "TIFF" else {"quality": 100}
    if file_format == "WEBP":
        options = {"lossless": True}
    values = pixels(on_white(image, file_format, **options))
    np.testing.assert_allclose(values[5, 5], (0, 0, 255), atol=6)
    np.testing.assert_allclose(values[5, 15], (127, 127, 255), atol=6)
    np.testing.assert_allclose(values[5, 25], (255, 255, 255), atol=6)


def test_transparent_grey_palette_and_key_are_laid_on_white() -> None:
    grey = Image.new("LA", (2, 1), (100, 255))
    grey.putpixel((1, 0), (0, 0))
    assert pixels(on_white(grey, "PNG")).tolist() == [[[100] * 3, [255] * 3]]

    indexed = Image.new("P", (2, 1))
    indexed.putpalette([10, 20, 30, 40, 50, 60])
    indexed.putpixel((1, 0), 1)
    for file_format in ("PNG", "GIF"):
        found = pixels(on_white(indexed, file_format, transparency=1))
        assert found.tolist() == [[[10, 20, 30], [255] * 3]]
    half = on_white(indexed, "PNG", transparency=bytes([255, 128]))
    np.testing.assert_allclose(pixels(half)[0, 1], (147, 152, 157), atol=1)

    keyed = Image.new("RGB", (2, 1), (1, 2, 3))
    keyed.putpixel((1, 0), (9, 9, 9))
    found = pixels(on_white(keyed, "PNG", transparency=(9, 9, 9)))
    assert found.tolist() == [[[1, 2, 3], [255] * 3]]


def test_premultiplied_alpha_is_laid_on_white() -> None:
    """A TIFF that says its alpha is associated: the blue is stored halved already."""
    data = encoded(Image.new("RGBA", (1, 1), (0, 0, 128, 128)), "TIFF")
    separate, associated = (struct.pack("<HHIHH", 338, 3, 1, kind, 0) for kind in (2, 1))
    assert separate in data
    picture = open_picture(data.replace(separate, associated))
    np.testing.assert_allclose(pixels(picture)[0, 0], (127, 127, 255), atol=2)


def test_one_bit_and_palette() -> None:
    bits = Image.new("1", (2, 1))
    bits.putpixel((1, 0), 1)
    for file_format in ("PNG", "TIFF", "BMP", "GIF"):
        found = pixels(open_picture(encoded(bits, file_format)))
        assert found.tolist() == [[[0] * 3, [255] * 3]]
    indexed = colour_test().quantize(4)
    assert corner_colours(open_picture(encoded(indexed, "PNG"))) == [RED, GREEN, BLUE, YELLOW]


def test_first_frame_of_animations() -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue", "lime")]
    for file_format in ("GIF", "PNG", "WEBP", "TIFF", "AVIF"):
        data = encoded(frames[0], file_format, save_all=True, append_images=frames[1:])
        np.testing.assert_allclose(pixels(open_picture(data))[4, 4], (255, 0, 0), atol=8)


@pytest.mark.parametrize("file_format", ["PNG", "TIFF"])
def test_sixteen_bit_grey_is_scaled(file_format: str) -> None:
    values = np.array([[0, 257, 32768, 65535]], dtype=np.uint16)
    picture = open_picture(encoded(Image.fromarray(values), file_format))
    assert pixels(picture)[0, :, 0].tolist() == [0, 1, 128, 255]


def test_sixteen_bit_grey_big_endian() -> None:
    picture = open_picture(encoded(Image.new("I;16B", (1, 1), 32768), "TIFF"))
    assert pixels(picture).tolist() == [[[128] * 3]]


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_start(width: int, height: int, bits: int, colour: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header)


def png16(channels: int, values: list[int], key: bytes = b"") -> bytes:
    """A one-row 16-bit PNG of grey (1), RGB (3) or RGBA (4) values."""
    start = png_start(len(values) // channels, 1, 16, {1: 0, 3: 2, 4: 6}[channels])
    row = b"\0" + struct.pack(f">{len(values)}H", *values)
    transparency = png_chunk(b"tRNS", key) if key else b""
    data = png_chunk(b"IDAT", zlib.compress(row))
    return start + transparency + data + png_chunk(b"IEND", b"")


def test_sixteen_bit_colour_is_scaled() -> None:
    found = pixels(open_picture(png16(3, [0, 32768, 65535, 65535, 257, 0])))
    np.testing.assert_allclose(found, [[[0, 128, 255], [255, 1, 0]]], atol=1)
    found = pixels(open_picture(png16(4, [0, 0, 65535, 65535, 0, 0, 0, 0])))
    np.testing.assert_allclose(found, [[[0, 0, 255], [255, 255, 255]]], atol=1)


def test_transparent_key_of_sixteen_bit_pictures() -> None:
    grey = pixels(open_picture(png16(1, [0, 40000, 65535], struct.pack(">H", 40000))))
    assert grey[0, :, 0].tolist() == [0, 255, 255]
    rgb = png16(3, [0, 0, 0, 40000, 40000, 40000], struct.pack(">3H", 40000, 40000, 40000))
    assert pixels(open_picture(rgb)).tolist() == [[[0] * 3, [255] * 3]]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([[0.0, 0.5, 1.0]], np.float32), [0, 128, 255]),
        (np.array([[0.0, 100.0, 255.0]], np.float32), [0, 100, 255]),
        (np.array([[-1.0, 0.0, 1.0]], np.float32), [0, 128, 255]),
        (np.array([[0.0, 1e30, np.nan]], np.float32), [0, 255, 0]),
        (np.array([[np.inf, 0.0, 1.0]], np.float32), [0, 0, 255]),
        (np.array([[0.0, 0.0, 0.0]], np.float32), [0, 0, 0]),
        (np.array([[0, 100, 255]], np.int32), [0, 100, 255]),
        (np.array([[0, 257, 65535]], np.int32), [0, 1, 255]),
        (np.array([[0, 2**30, 2**31 - 1]], np.int32), [0, 128, 255]),
        (np.array([[-(2**31), 0, 2**31 - 1]], np.int32), [0, 128, 255]),
    ],
)
def test_wide_grey_is_scaled_not_clipped(values: NDArray[Any], expected: list[int]) -> None:
    picture = open_picture(encoded(Image.fromarray(values), "TIFF"))
    np.testing.assert_allclose(pixels(picture)[0, :, 0], expected, atol=1)


def test_cmyk() -> None:
    for file_format, atol in (("TIFF", 0), ("JPEG", 6)):
        image = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
        found = pixels(open_picture(encoded(image, file_format)))
        np.testing.assert_allclose(found[8, 8], (255, 0, 0), atol=atol)


def test_colour_profile_is_converted_to_srgb() -> None:
    plain = encoded(Image.new("RGB", (4, 4), (200, 100, 50)), "PNG")
    linear = encoded(Image.new("RGB", (4, 4), (200, 100, 50)), "PNG", icc_profile=linear_profile())
    brighter = pixels(open_picture(linear))[0, 0] - pixels(open_picture(plain))[0, 0]
    np.testing.assert_allclose(brighter, [27, 69, 74], atol=3)  # the sRGB curve of x / 255


def linear_profile() -> bytes:
    """sRGB's own profile with its tone curves replaced by straight lines."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    (count,) = struct.unpack_from(">I", profile, 128)
    for index in range(count):
        name, offset, _size = struct.unpack_from(">4sII", profile, 132 + 12 * index)
        if name in {b"rTRC", b"gTRC", b"bTRC"}:
            profile[offset : offset + 12] = b"curv" + bytes(8)
        if name == b"desc":
            start = profile.index("sRGB".encode("utf-16-be"), offset)
            profile[start : start + 8] = "line".encode("utf-16-be")
    return bytes(profile)


def test_srgb_profile_changes_nothing_and_an_unusable_one_is_ignored() -> None:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    image = photo_like()
    expected = np.asarray(image)
    for profile in (srgb, b"not a profile", srgb[:200]):
        found = pixels(open_picture(encoded(image, "PNG", icc_profile=profile)))
        np.testing.assert_array_equal(found, expected)
    grey = encoded(image.convert("L"), "PNG", icc_profile=srgb)
    np.testing.assert_array_equal(
        pixels(open_picture(grey))[..., 0], np.asarray(image.convert("L"))
    )


def refused(source: Path | bytes, limits: Limits | None = None) -> str:
    with pytest.raises(UnreadableImage) as caught:
        open_picture(source, limits or Limits())
    return str(caught.value)


def test_missing_folder_and_special_files(tmp_path: Path) -> None:
    assert "no such file" in refused(tmp_path / "none.jpg")
    assert "folder" in refused(tmp_path)
    fifo = tmp_path / "fifo.jpg"
    os.mkfifo(fifo)
    assert "not a regular file" in refused(fifo)
    assert "cannot be read" in refused(Path("nul\0byte.jpg"))
    assert "cannot be read" in refused(Path("x" * 5000))
    loop = tmp_path / "loop.jpg"
    loop.symlink_to(loop)
    assert str(loop) in refused(loop)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    path = tmp_path / "private.jpg"
    path.write_bytes(b"")
    path.chmod(0)
    assert "may not be read" in refused(path)


def test_empty_text_and_foreign_files(tmp_path: Path) -> None:
    path = tmp_path / "notes.jpg"
    path.write_bytes(b"")
    assert "0 bytes" in refused(path)
    path.write_text("dear diary", encoding="utf-8")
    message = refused(path)
    assert str(path) in message
    assert "dear dia" in message
    assert "PNG" in message
    assert "not a picture" in refused(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    assert "not a picture" in refused(encoded(colour_test(), "PPM"))
    film(tmp_path / "trip.mp4", 0, seconds=0.2)
    (tmp_path / "trip.mp4").rename(path)
    assert "notes.jpg: holds a video and no picture; give it, with the ending .mp4" in refused(path)


def test_limits_name_value_limit_and_remedy(tmp_path: Path) -> None:
    path = tmp_path / "wide.png"
    path.write_bytes(encoded(Image.new("RGB", (200, 100)), "PNG"))
    size = path.stat().st_size
    message = refused(path, Limits(max_bytes=size - 1))
    assert f"{size:,}" in message
    assert f"{size - 1:,}" in message
    assert "MRAG_MAX_IMAGE_BYTES" in message
    assert f"{size:,}" in refused(path.read_bytes(), Limits(max_bytes=size - 1))
    message = refused(path, Limits(max_pixels=19_999))
    assert "200 x 100 = 20,000" in message
    assert "19,999" in message
    assert "MRAG_MAX_IMAGE_PIXELS" in message
    assert open_picture(path, Limits(size, 20_000)).width == 200


def test_a_bomb_is_refused_by_its_header() -> None:
    assert "3,600,000,000 pixels" in refused(
        png_start(60_000, 60_000, 1, 0) + png_chunk(b"IDAT", b"")
    )


def test_a_bomb_that_pillow_sees_first_is_refused() -> None:
    """A WebP whose header says 16,384 x 16,384: its reader looks before it is asked."""
    data = encoded(colour_test(), "WEBP", lossless=True)
    size = data.index(b"VP8L") + 9  # twice 14 bits, then the alpha bit
    bomb = data[:size] + b"\xff\xff\xff\x0f" + data[size + 4 :]
    message = refused(bomb)
    assert "268435456 pixels" in message
    assert "100,000,000" in message


def test_limits_beyond_pillows_own_are_kept() -> None:
    """Pillow itself refuses more than 179 million pixels, for the whole process."""
    cut_short = png_start(20_000, 10_000, 1, 0) + png_chunk(b"IDAT", b"")
    message = refused(cut_short, Limits(max_pixels=200_000_000))
    assert "damaged" in message
    assert "exceeds" not in message


def test_zero_size_is_refused() -> None:
    flat = bytearray(encoded(Image.new("L", (3, 3)), "GIF"))
    flat[6:8] = bytes(2)
    flat[flat.index(b",") + 5 : flat.index(b",") + 7] = bytes(2)
    refused(bytes(flat))
    bmp = bytearray(encoded(colour_test(), "BMP"))
    bmp[18:22] = bytes(4)
    refused(bytes(bmp))


ENCODINGS: dict[str, Callable[[Image.Image], bytes]] = {
    "jpeg": lambda image: encoded(image, "JPEG", quality=90),
    "progressive jpeg": lambda image: encoded(image, "JPEG", quality=90, progressive=True),
    "png": lambda image: encoded(image, "PNG"),
    "webp": lambda image: encoded(image, "WEBP"),
    "lossless webp": lambda image: encoded(image, "WEBP", lossless=True),
    "gif": lambda image: encoded(image, "GIF"),
    "tiff": lambda image: encoded(image, "TIFF"),
    "deflated tiff": lambda image: encoded(image, "TIFF", compression="tiff_deflate"),
    "lzw tiff": lambda image: encoded(image, "TIFF", compression="tiff_lzw"),
    "bmp": lambda image: encoded(image, "BMP"),
    "avif": lambda image: encoded(image, "AVIF"),
    "heif": lambda image: encoded(image, "HEIF"),
}


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("name", ENCODINGS)
def test_cut_short_is_refused_or_whole_never_half_grey(name: str) -> None:
    data = ENCODINGS[name](photo_like())
    whole = pixels(open_picture(data))
    cuts = sorted(
        {*range(0, len(data), max(1, len(data) // 60)), *range(len(data) - 12, len(data))}
    )
    opened = 0
    for cut in cuts:
        try:
            picture = open_picture(data[:cut])
        except UnreadableImage:
            continue
        opened += 1
        np.testing.assert_array_equal(pixels(picture), whole)
    assert opened <= len(cuts) // 4


SEEDS = [encode(photo_like((24, 16))) for encode in ENCODINGS.values()]


def opens_or_is_refused(data: bytes) -> None:
    try:
        picture = open_picture(data, Limits(max_pixels=1_000_000))
    except UnreadableImage:
        return
    assert picture.image.mode == "RGB"
    assert picture.image.size == (picture.width, picture.height)


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@settings(max_examples=200, deadline=None)
@given(data=st.binary(max_size=200), start=st.sampled_from(SEEDS), kept=st.integers(0, 64))
def test_random_bytes_never_raise_anything_else(data: bytes, start: bytes, kept: int) -> None:
    opens_or_is_refused(start[:kept] + data)


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@settings(max_examples=300, deadline=None)
@given(
    seed=st.sampled_from(SEEDS),
    changes=st.lists(st.tuples(st.integers(0, 2**16), st.integers(0, 255)), min_size=1, max_size=8),
    head=st.booleans(),
)
def test_damaged_files_never_raise_anything_else(
    seed: bytes, changes: list[tuple[int, int]], head: bool
) -> None:
    damaged = bytearray(seed)
    for position, value in changes:
        damaged[position % (min(len(seed), 128) if head else len(seed))] = value
    opens_or_is_refused(bytes(damaged))


@pytest.mark.skipif(not PHOTOS.is_dir(), reason=f"{PHOTOS} is not here")
def test_real_photos_equal_pillows_reading() -> None:
    paths = sorted(PHOTOS.glob("*.jpg"))
    assert len(paths) == 120
    for path in paths[::10]:
        with Image.open(path) as expected:
            if "icc_profile" not in expected.info:
                found = pixels(open_picture(path))
                np.testing.assert_array_equal(found, np.asarray(expected.convert("RGB")))
    with ThreadPoolExecutor(4) as pool:
        pictures = list(pool.map(open_picture, paths))
    assert all(picture.image.mode == "RGB" for picture in pictures)
    assert len({picture.sha256 for picture in pictures}) == 120
