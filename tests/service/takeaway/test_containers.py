"""XMP inside of pictures: what is compressed, and all that others put there, stays."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageCms
from PIL.MpoImagePlugin import MpoImageFile

from service.takeaway.containers import NoPlace, opened
from tests.service.takeaway.conftest import Exiftool

PACKET = b'<x:xmpmeta xmlns:x="adobe:ns:meta/">%s</x:xmpmeta>'
WRAPPED = b'<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?>' + PACKET + b'<?xpacket end="w"?>'
ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def noise(width: int, height: int) -> Image.Image:
    values = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(values)


def picture(form: str, mode: str = "RGB", **options: Any) -> bytes:
    exif = Image.Exif()
    exif[0x010F] = "Canon"
    image = noise(40, 30).convert(mode)
    out = BytesIO()
    image.save(out, form, exif=exif, icc_profile=ICC, **options)
    return out.getvalue()


def several() -> bytes:
    """Pictures behind a picture, as phones make them."""
    first, second = (noise(side, side) for side in (40, 20))
    out = BytesIO()
    first.save(out, "MPO", save_all=True, append_images=[second])
    return out.getvalue()


FILES: dict[str, Callable[[], bytes]] = {
    "jpeg": lambda: picture("JPEG"),
    "progressive": lambda: picture("JPEG", progressive=True),
    "grey": lambda: picture("JPEG", "L"),
    "film behind": lambda: picture("JPEG") + b"\0\0\0\x18ftypmp42" * 50,
    "png": lambda: picture("PNG"),
    "png behind": lambda: picture("PNG", "RGBA") + b"behind",
    "webp": lambda: picture("WEBP"),
    "lossless": lambda: picture("WEBP", lossless=True),
    "alpha": lambda: picture("WEBP", "RGBA", lossless=True),
    "webp behind": lambda: picture("WEBP") + b"behind",
}


def plain_webp(mode: str, **options: Any) -> bytes:
    out = BytesIO()
    noise(41, 30).convert(mode).save(out, "WEBP", **options)
    assert b"VP8X" not in out.getvalue()[:16]
    return out.getvalue()


FILES["simple webp"] = lambda: plain_webp("RGB")
FILES["simple lossless"] = lambda: plain_webp("RGB", lossless=True)
FILES["simple alpha"] = lambda: plain_webp("RGBA", lossless=True)


def pixels(data: bytes) -> bytes:
    image = Image.open(BytesIO(data))
    return f"{image.mode} {image.size}".encode() + image.tobytes()


@pytest.mark.parametrize("kind", FILES)
def test_pixels_exif_colours_and_what_lies_behind_stay(kind: str) -> None:
    before = FILES[kind]()
    parts = opened(before)
    assert parts.xmp == b""
    small, large = PACKET % b"", PACKET % b"<!-- more -->" * 9
    once = parts.with_xmp(small)
    for packet, after in ((small, once), (large, opened(once).with_xmp(large))):
        assert opened(after).xmp == packet
        assert pixels(after) == pixels(before)
        assert Image.open(BytesIO(after)).info.get("xmp") == packet
        assert Image.open(BytesIO(after)).getexif() == Image.open(BytesIO(before)).getexif()
        assert Image.open(BytesIO(after)).info.get("icc_profile") == Image.open(
            BytesIO(before)
        ).info.get("icc_profile")
        behind = b"behind" if "behind" in kind and "film" not in kind else b""
        assert after.endswith(behind if before[8:12] == b"WEBP" else before[-99:])
    assert opened(opened(once).with_xmp(large)).with_xmp(small) == once


@pytest.mark.parametrize("kind", FILES)
def test_exiftool_finds_nothing_wrong(kind: str, tmp_path: Path, exiftool: Exiftool) -> None:
    data = FILES[kind]()
    path = tmp_path / f"a.{Image.open(BytesIO(data)).format or 'x'}".lower()
    packet = WRAPPED % (
        b'<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description '
        b'xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:format>image</dc:format>'
        b"</rdf:Description></rdf:RDF>"
    )
    path.write_bytes(data)
    before = exiftool("-validate", "-warning", "-error", "-a", path)
    path.write_bytes(opened(data).with_xmp(packet))
    after = exiftool("-validate", "-warning", "-error", "-XMP-dc:Format", "-a", path)
    assert after == before + f"{'Format':32}: image\n"


def test_pictures_behind_a_picture_are_still_found() -> None:
    before = several()
    after = opened(before).with_xmp(PACKET % b"")
    longer = opened(after).with_xmp(PACKET % b"<!-- longer -->")
    moved = _xmp_last(longer)
    for data in (after, longer, moved, opened(moved).with_xmp(PACKET % b"")):
        with Image.open(BytesIO(data)) as image, Image.open(BytesIO(before)) as plain:
            assert image.format == "MPO"
            for number in (0, 1):
                image.seek(number)
                plain.seek(number)
                assert image.tobytes() == plain.tobytes()
            assert isinstance(image, MpoImageFile)
            assert image.mpinfo is not None
            first, second = image.mpinfo[0xB002][:2]
            assert first["Size"] + second["Size"] == len(data)


def _xmp_last(data: bytes) -> bytes:
    """The same file with its XMP behind the index of its pictures."""
    parts = opened(data)
    (length,) = struct.unpack_from(">H", data, len(parts.before) + 2)
    segment = data[len(parts.before) : len(parts.before) + 2 + length]
    place = parts.after.index(b"\xff\xe2", 0)
    (size,) = struct.unpack_from(">H", parts.after, place + 2)
    end = place + 2 + size
    whole = bytearray(parts.before + parts.after[:end] + segment + parts.after[end:])
    # The index stands so many bytes further ahead of the others than it did.
    index = whole.index(b"MPF\0") + 4
    order = "<" if whole[index : index + 2] == b"II" else ">"
    (table,) = struct.unpack_from(f"{order}I", whole, index + 4)
    for at in range(struct.unpack_from(f"{order}H", whole, index + table)[0]):
        tag, _, _, value = struct.unpack_from(f"{order}HHII", whole, index + table + 2 + 12 * at)
        if tag == 0xB002:
            (offset,) = struct.unpack_from(f"{order}I", whole, index + value + 16 + 8)
            struct.pack_into(f"{order}I", whole, index + value + 16 + 8, offset + len(segment))
    return bytes(whole)


def test_compressed_xmp_of_a_png_is_read() -> None:
    data = picture("PNG")
    text = zlib.compress(PACKET % b"")
    body = b"iTXtXML:com.adobe.xmp\0\x01\0\0\0" + text
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    parts = opened(data[:33] + chunk + data[33:])
    assert parts.xmp == PACKET % b""
    assert parts.with_xmp(PACKET % b"") == opened(data).with_xmp(PACKET % b"")


def extended(data: bytes, content: bytes) -> bytes:
    segment = b"http://ns.adobe.com/xmp/extension/\0" + b"0" * 40 + content
    return data[:2] + struct.pack(">BBH", 0xFF, 0xE1, len(segment) + 2) + segment + data[2:]


def test_extended_xmp_stays_unless_the_description_lies_there() -> None:
    data = extended(picture("JPEG"), b"<crs:mask/>" * 99)
    after = opened(data).with_xmp(PACKET % b"")
    assert b"<crs:mask/>" * 99 in after
    assert pixels(after) == pixels(data)
    with pytest.raises(NoPlace, match="--xmp"):
        opened(extended(data, b"<dc:description>"))


def test_what_a_jpeg_cannot_hold_is_refused() -> None:
    with pytest.raises(NoPlace, match="65,504"):
        opened(picture("JPEG")).with_xmp(b"x" * 65_505)
    assert opened(opened(picture("JPEG")).with_xmp(b"x" * 65_504)).xmp == b"x" * 65_504


@pytest.mark.parametrize("form", ["TIFF", "GIF", "BMP", "AVIF"])
def test_other_formats_are_refused_with_the_remedy(form: str) -> None:
    out = BytesIO()
    Image.new("RGB", (4, 4)).save(out, form)
    with pytest.raises(NoPlace, match="--xmp"):
        opened(out.getvalue())


@given(st.data())
def test_damaged_files_are_refused_or_kept(data: st.DataObject) -> None:
    whole = FILES[data.draw(st.sampled_from(sorted(FILES)))]()
    cut = whole[: data.draw(st.integers(0, len(whole)))]
    try:
        parts = opened(cut)
        after = parts.with_xmp(PACKET % b"")
    except NoPlace:
        return
    assert opened(after).xmp == PACKET % b""
