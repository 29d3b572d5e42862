"""What a file holds by its first bytes, whatever its name says."""

from __future__ import annotations

import re

SIGNATURE = 16
"""So many bytes are looked at."""

_PICTURES = {
    ".jpg": rb"\xff\xd8\xff", ".png": rb"\x89PNG\r\n\x1a\n", ".gif": rb"GIF8[79]a",
    ".webp": rb"RIFF.{4}WEBP", ".tif": rb"II\*\0|MM\0\*", ".bmp": rb"BM.{8}",
    ".avif": rb".{4}ftypavi[fs]", ".heic": rb".{4}ftyp(?:hei[cxms]|hev[cxms]|mif1|msf1)",
}  # fmt: skip
_VIDEOS = {
    ".mp4": rb".{4}ftyp(?!avi[fs]|hei|hev|mif1|msf1|M4A)", ".mkv": rb"\x1aE\xdf\xa3",
    ".avi": rb"RIFF.{4}AVI ", ".mpg": rb"\0\0\x01[\xb3\xba]", ".flv": rb"FLV\x01",
    ".wmv": rb"0&\xb2u\x8ef\xcf\x11",
}  # fmt: skip


def picture_ending(begins: bytes) -> str:
    """The ending of a picture that begins so; empty where it does not look like one."""
    return _ending(_PICTURES, begins)


def video_ending(begins: bytes) -> str:
    """The ending of a video that begins so; empty where it does not look like one."""
    return _ending(_VIDEOS, begins)


def _ending(signatures: dict[str, bytes], begins: bytes) -> str:
    fits = (end for end, begin in signatures.items() if re.match(begin, begins, re.DOTALL))
    return next(fits, "")
