"""Descriptions in files beside the pictures: XMP, and plain text."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from engine.xmp import MOST_BYTES, NotXmp
from mrag_client.models import Description, MadeWith
from service.takeaway import packet
from service.takeaway.outputs import Claims, Sweeper, Untaken, check_writable, put, read_beside
from service.takeaway.packet import Mode

SidecarName = Literal["full", "adobe"]
"""`full`: photo.jpg.xmp, as darktable and digiKam have it. `adobe`: photo.xmp."""

_MOST_TEXT = 2**20


class _Beside:
    """Files beside pictures, one for each."""

    def __init__(self, ending: str, *, full: bool, remedy: str) -> None:
        self._ending, self._full, self._remedy = ending, full, remedy
        self._claims = Claims()
        self._sweeper = Sweeper(ending)

    def of(self, picture: Path) -> Path:
        """The file of a picture; raises Untaken where it is another one's."""
        called = picture.name if self._full else picture.stem
        place = picture.with_name(called + self._ending)
        self._claims.claim(place, picture, self._remedy)
        self._sweeper.sweep(picture.parent)
        return place


class XmpSidecars:
    """An XMP file beside each picture; what others wrote in it stays."""

    compares = True

    def __init__(self, mode: Mode, named: SidecarName = "full") -> None:
        self._mode: Mode = mode
        remedy = "leave --sidecar-name adobe out, or give one of them another name"
        self._beside = _Beside(".xmp", full=named == "full", remedy=remedy)

    def wants(self, picture: Path, now: MadeWith | None) -> bool:
        """Whether the sidecar lacks what the mode would write; see `packet.Read.wants`."""
        place = self._beside.of(picture)
        try:
            wanted = packet.read(read_beside(place, MOST_BYTES)).wants(self._mode, now)
        except NotXmp as error:
            raise Untaken(f"{place} {error}; left alone") from error
        if wanted:
            check_writable(place)
        return wanted

    def write(self, picture: Path, told: Description) -> None:
        """Merge a description into the sidecar as it is by now."""
        place = self._beside.of(picture)
        before = read_beside(place, MOST_BYTES)
        try:
            after = packet.merged(before, told, self._mode)
        except NotXmp as error:
            raise Untaken(f"{place} {error}; left alone") from error
        if after != before:
            put(place, after)

    def close(self, *, done: bool) -> None:
        """Nothing is left open."""


class TextSidecars:
    """photo.txt beside photo.jpg, as taggers and trainers of models read it.

    skip: only where there is no text yet; append: one more line; overwrite: in place of all.
    """

    compares = False

    def __init__(self, mode: Mode) -> None:
        self._mode: Mode = mode
        self._beside = _Beside(".txt", full=False, remedy="give one of them another name")

    def wants(self, picture: Path, now: MadeWith | None) -> bool:
        """Whether there is no text yet, or the mode adds to it or replaces it."""
        del now
        place = self._beside.of(picture)
        if self._lines(place) and self._mode == "skip":
            return False
        check_writable(place)
        return True

    def write(self, picture: Path, told: Description) -> None:
        """Write a description as a line."""
        place = self._beside.of(picture)
        lines, new = self._lines(place), " ".join(told.caption.split())
        if self._mode == "skip" and lines:
            return
        kept = lines if self._mode == "append" else []
        after = kept if new in kept else [*kept, new]
        if after != lines:
            put(place, "".join(f"{line}\n" for line in after).encode())

    def close(self, *, done: bool) -> None:
        """Nothing is left open."""

    def _lines(self, place: Path) -> list[str]:
        content = read_beside(place, _MOST_TEXT)
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            if self._mode == "overwrite":
                return [""]
            raise Untaken(f"{place} is not UTF-8; save it as UTF-8, or left alone") from error
        return text.splitlines() if text.strip() else []
