"""The XMP inside of picture files: found, and replaced, with all other bytes as they were.

JPEG keeps it in a segment before the picture, PNG and WebP in a chunk. What is compressed there is
never touched, nor what lies behind a picture (a film, a larger one, a map of brightness).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from engine.errors import InvalidInput
from engine.xmp import MOST_BYTES

_SIDECAR = "write a sidecar instead, with --xmp"


class NoPlace(InvalidInput):
    """A file that no XMP is written into; the message says why, and what helps."""


@dataclass(frozen=True)
class Embedded:
    """A picture file in parts: XMP goes between `before` and `after`; `xmp` is what is there.

    `kind` is the format, `replaced` how many bytes of the file go with the XMP that is there, and
    `trailing` what others have put behind the picture.
    """

    kind: str
    before: bytes
    xmp: bytes
    after: bytes
    replaced: int = 0
    trailing: bytes = b""

    def with_xmp(self, packet: bytes) -> bytes:
        """The file with another packet, or its first."""
        return _WRITERS[self.kind](self, packet)


def opened(data: bytes) -> Embedded:
    """A picture file as what XMP is written into; raises NoPlace where that cannot be done well."""
    try:
        if data.startswith(b"\xff\xd8\xff"):
            return _jpeg(data)
        if data.startswith(_PNG):
            return _png(data)
        if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
            return _webp(data)
    except (struct.error, IndexError, zlib.error) as error:
        raise NoPlace(f"it is damaged or cut short ({error}); copy or export it again") from error
    raise NoPlace(f"only JPEG, PNG and WebP are written into; {_SIDECAR}")


# JPEG

_XMP, _MORE_XMP = b"http://ns.adobe.com/xap/1.0/\0", b"http://ns.adobe.com/xmp/extension/\0"
_EXIF, _MPF = b"Exif\0", b"MPF\0"
_APP0, _APP1, _APP2 = 0xE0, 0xE1, 0xE2
_MOST_IN_SEGMENT = 65_533
_OURS = (b"AltTextAccessibility", b"dc:description")


class _Segment(NamedTuple):
    """A marker segment: where it begins and ends in the file, with its marker and content."""

    start: int
    end: int
    marker: int
    content: bytes


def _segments(data: bytes) -> Iterator[_Segment]:
    """The segments before the compressed picture."""
    at = 2
    while True:
        start = at
        if data[at] != 0xFF:
            raise NoPlace(f"its header is damaged at byte {at:,}; export it again")
        while data[at] == 0xFF:  # fill bytes may come before a marker
            at += 1
        marker = data[at]
        if marker in {0xDA, 0xD9}:
            yield _Segment(start, start, marker, b"")
            return
        (length,) = struct.unpack_from(">H", data, at + 1)
        end = at + 1 + length
        if length < 2 or end > len(data):
            raise NoPlace("it is cut short; copy it again")
        yield _Segment(start, end, marker, data[at + 3 : end])
        at = end


def _jpeg(data: bytes) -> Embedded:
    segments = list(_segments(data))
    extended = [one.content for one in segments if one.marker == _APP1]
    if any(one.startswith(_MORE_XMP) and any(name in one for name in _OURS) for one in extended):
        raise NoPlace(f"its description lies in extended XMP; {_SIDECAR}")
    found = [one for one in segments if one.marker == _APP1 and one.content.startswith(_XMP)]
    if len(found) > 1:
        raise NoPlace(f"it has {len(found)} packets of XMP; {_SIDECAR}")
    if found:
        one = found[0]
        xmp = one.content[len(_XMP) :].rstrip(b"\0")
        return Embedded("JPEG", data[: one.start], xmp, data[one.end :], one.end - one.start)
    first = 2
    for one in segments:  # JFIF and EXIF stand first
        is_exif = one.marker == _APP1 and one.content.startswith(_EXIF)
        if one.marker != _APP0 and not is_exif:
            break
        first = one.end
    return Embedded("JPEG", data[:first], b"", data[first:])


def _jpeg_with(parts: Embedded, packet: bytes) -> bytes:
    content = _XMP + packet
    if len(content) > _MOST_IN_SEGMENT:
        raise NoPlace(
            f"its XMP would have {len(packet):,} bytes, a JPEG holds "
            f"{_MOST_IN_SEGMENT - len(_XMP):,} together; {_SIDECAR}"
        )
    segment = struct.pack(">BBH", 0xFF, _APP1, len(content) + 2) + content
    return _moved(parts, segment, len(segment) - parts.replaced)


def _moved(parts: Embedded, segment: bytes, grown: int) -> bytes:
    """The file put together; where more pictures lie in it, their index is brought level."""
    whole = bytearray(parts.before + segment + parts.after)
    for one in _segments(bytes(whole)):
        if one.marker == _APP2 and one.content.startswith(_MPF):
            is_behind = one.start >= len(parts.before) + len(segment)
            _grow_first_picture(whole, one.end - len(one.content) + len(_MPF), grown, is_behind)
    return bytes(whole)


def _grow_first_picture(whole: bytearray, at: int, grown: int, is_behind: bool) -> None:
    """Tell the index of a Multi-Picture file (CIPA DC-007), which begins at a byte, what has grown.

    Sizes and places of the pictures in it: the first is the file's own, and the places of the
    others count from the index, so that they change only where what grew lies behind it.
    """
    order = {b"II": "<", b"MM": ">"}.get(bytes(whole[at : at + 2]))
    if order is None:
        raise NoPlace(f"its index of several pictures is damaged; {_SIDECAR}")
    (table,) = struct.unpack_from(f"{order}I", whole, at + 4)
    (count,) = struct.unpack_from(f"{order}H", whole, at + table)
    for number in range(count):
        tag, _, size, value = struct.unpack_from(
            f"{order}HHII", whole, at + table + 2 + 12 * number
        )
        if tag != 0xB002:
            continue
        for entry in range(at + value, at + value + size, 16):
            length, place = struct.unpack_from(f"{order}II", whole, entry + 4)
            if entry == at + value:
                struct.pack_into(f"{order}I", whole, entry + 4, length + grown)
            elif place and not is_behind:
                struct.pack_into(f"{order}I", whole, entry + 8, place + grown)


# PNG

_PNG = b"\x89PNG\r\n\x1a\n"
_KEYWORD = b"XML:com.adobe.xmp\0"
_IN_OLD_FORM = b"Raw profile type xmp\0"


def _png(data: bytes) -> Embedded:
    at, after_header, found = len(_PNG), 0, []
    while True:
        length, kind = struct.unpack_from(">I4s", data, at)
        end = at + 12 + length
        if end > len(data):
            raise NoPlace("it is cut short; copy it again")
        content = data[at + 8 : end - 4]
        if kind == b"IHDR":
            after_header = end
        elif kind == b"iTXt" and content.startswith(_KEYWORD):
            found.append((at, end, _itxt(content)))
        elif kind in {b"tEXt", b"zTXt"} and content.startswith(_IN_OLD_FORM):
            raise NoPlace(f"its XMP is in the form of an old program; {_SIDECAR}")
        elif kind == b"IEND":
            break
        at = end
    if len(found) > 1:
        raise NoPlace(f"it has {len(found)} packets of XMP; {_SIDECAR}")
    if found:
        start, end, xmp = found[0]
        return Embedded("PNG", data[:start], xmp, data[end:])
    return Embedded("PNG", data[:after_header], b"", data[after_header:])


def _itxt(content: bytes) -> bytes:
    """The text of a chunk, which may be compressed."""
    compressed, rest = content[len(_KEYWORD)], content[len(_KEYWORD) + 2 :]
    text = rest.split(b"\0", 2)[2]
    if not compressed:
        return text
    unpacker = zlib.decompressobj()
    text = unpacker.decompress(text, MOST_BYTES)
    if unpacker.unconsumed_tail:
        raise NoPlace(f"its XMP has more than {MOST_BYTES:,} bytes; {_SIDECAR}")
    return text


def _png_with(parts: Embedded, packet: bytes) -> bytes:
    body = b"iTXt" + _KEYWORD + b"\0\0\0\0" + packet
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    return parts.before + chunk + parts.after


# WebP

_HAS_XMP, _HAS_ALPHA = 0x04, 0x10


def _webp(data: bytes) -> Embedded:
    (size,) = struct.unpack_from("<I", data, 4)
    end = 8 + size
    if end > len(data):
        raise NoPlace("it is cut short; copy it again")
    at, xmp, start, behind = 12, b"", end, end
    while at + 8 <= end:
        kind, length = struct.unpack_from("<4sI", data, at)
        after = at + 8 + length + length % 2
        if kind == b"XMP ":
            xmp, start, behind = data[at + 8 : at + 8 + length], at, after
        at = after
    return Embedded("WebP", data[:start], xmp, data[behind:end], behind - start, data[end:])


def _webp_with(parts: Embedded, packet: bytes) -> bytes:
    chunk = b"XMP " + struct.pack("<I", len(packet)) + packet + b"\0" * (len(packet) % 2)
    inside = _extended(parts.before[12:]) + chunk + parts.after
    return b"RIFF" + struct.pack("<I", 4 + len(inside)) + b"WEBP" + inside + parts.trailing


def _extended(chunks: bytes) -> bytes:
    """The chunks with the header of an extended file, which says that there is XMP."""
    kind, width, height = chunks[:4], 0, 0
    if kind == b"VP8X":
        return chunks[:8] + bytes([chunks[8] | _HAS_XMP]) + chunks[9:]
    alpha = 0
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", chunks, 9)
        width, height = bits & 0x3FFF, bits >> 14 & 0x3FFF
        alpha = _HAS_ALPHA if bits >> 28 & 1 else 0
    elif kind == b"VP8 ":
        width, height = ((side & 0x3FFF) - 1 for side in struct.unpack_from("<HH", chunks, 14))
    else:
        raise NoPlace(f"it begins with an unknown part ({kind!r}); {_SIDECAR}")
    header = struct.pack("<B3x", _HAS_XMP | alpha)
    sides: bytes = width.to_bytes(3, "little") + height.to_bytes(3, "little")
    return b"VP8X" + struct.pack("<I", 10) + header + sides + chunks


_WRITERS: dict[str, Callable[[Embedded, bytes], bytes]] = {
    "JPEG": _jpeg_with,
    "PNG": _png_with,
    "WebP": _webp_with,
}
