"""Descriptions in the picture files themselves: in copies, or in place with a backup."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from itertools import count
from pathlib import Path

from engine.limits import DEFAULT_LIMITS
from engine.xmp import NotXmp
from mrag_client.files import open_regular
from mrag_client.models import Description, MadeWith
from service.takeaway import packet
from service.takeaway.containers import Embedded, NoPlace, opened
from service.takeaway.outputs import Claims, Sweeper, Untaken, put, refusal
from service.takeaway.packet import Mode

_BEGIN = b'<?xpacket begin="\xef\xbb\xbf" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'
_END = b'<?xpacket end="w"?>'
_BACKUP = "_original"
_ENDINGS = (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".webp")


class InFiles:
    """XMP inside of picture files; see `packet.merged` for what is kept of what is there.

    `into`: copies are written there, under the places that pictures have in `roots`, and the
    pictures stay as they are. None: they are changed, and what they were is kept beside them as
    photo.jpg_original, which is never replaced.
    """

    compares = True

    def __init__(
        self,
        mode: Mode,
        into: Path | None = None,
        roots: Sequence[Path] = (),
        max_bytes: int = DEFAULT_LIMITS.max_bytes,
    ) -> None:
        self._mode: Mode = mode
        self._into = into
        self._roots = [root.absolute() for root in roots]
        self._max_bytes = max_bytes
        self._claims = Claims()
        self._sweeper = Sweeper(*_ENDINGS)

    def wants(self, picture: Path, now: MadeWith | None) -> bool:
        """Whether the file lacks what the mode would write, or its copy is not there yet."""
        parts = self._parts(picture)
        target = self._target(picture)
        self._sweeper.sweep(target.parent)
        if self._into is not None and self._mode == "skip" and target.exists():
            return False
        if self._into is not None and not target.exists():
            self._merged(picture, parts, None)
            return True
        source = parts if self._into is None else self._parts(target)
        try:
            return packet.read(source.xmp).wants(self._mode, now)
        except NotXmp as error:
            raise _unread(picture, error) from error

    def write(self, picture: Path, told: Description) -> None:
        """Write the file with the description in it, or its copy."""
        parts = self._parts(picture)
        whole = self._merged(picture, parts, told)
        target = self._target(picture)
        if self._into is None and whole is not None:
            _back_up(picture)
            put(picture, whole)
        elif self._into is not None:
            put(target, whole if whole is not None else _read(picture, self._max_bytes))

    def close(self, *, done: bool) -> None:
        """Nothing is left open."""

    def _parts(self, picture: Path) -> Embedded:
        if self._into is None and picture.is_symlink():
            raise Untaken(f"{picture} is a link; name the picture that it leads to")
        if self._into is None and not (os.access(picture, os.W_OK) or not picture.exists()):
            raise Untaken("it may not be written; give yourself the right, or use --embed-to")
        try:
            return opened(_read(picture, self._max_bytes))
        except NoPlace as error:
            raise Untaken(f"nothing is written into it: {error}") from error

    def _merged(self, picture: Path, parts: Embedded, told: Description | None) -> bytes | None:
        """The file with the description in it; None where it would stay as it is."""
        try:
            if told is None:
                packet.read(parts.xmp)
                return None
            new = packet.merged(parts.xmp, told, self._mode)
            if new == parts.xmp:
                return None
            if b"<?xpacket" not in new:
                new = _BEGIN + new + _END
            return parts.with_xmp(new)
        except NotXmp as error:
            raise _unread(picture, error) from error
        except NoPlace as error:
            raise Untaken(f"nothing is written into it: {error}") from error

    def _target(self, picture: Path) -> Path:
        """Where the picture is written; raises Untaken where another one's copy goes there."""
        if self._into is None:
            return picture
        place = picture.absolute()
        root = next(
            (one for one in self._roots if place.is_relative_to(one) and one != place), None
        )
        target = self._into / (place.relative_to(root) if root else place.name)
        self._claims.claim(target, picture, "describe them into different folders")
        if target.absolute() == place:
            raise Untaken("the copy would take its place; name another folder, or use --embed")
        return target


def _unread(picture: Path, error: NotXmp) -> Untaken:
    return Untaken(f"the XMP in {picture.name} {error}; left alone")


def _read(picture: Path, most: int) -> bytes:
    try:
        with open_regular(picture) as file:
            content = file.read(most + 1)
    except OSError as error:
        raise Untaken(f"cannot be read: {error.strerror or error}") from error
    if len(content) > most:
        raise Untaken(f"has more than {most:,} bytes (MRAG_MAX_IMAGE_BYTES)")
    return content


def _back_up(picture: Path) -> None:
    """Keep the file as it is under a name of its own; whatever bears such a name stays."""
    for number in count(1):
        backup = picture.with_name(f"{picture.name}{_BACKUP}{number if number > 1 else ''}")
        try:
            # Another name of the same bytes: the picture then gets new ones, in one step.
            os.link(picture, backup)
        except FileExistsError:
            if not backup.samefile(picture):  # else a killed run has made it
                continue
        except OSError:
            _copied(picture, backup)
        return


def _copied(picture: Path, backup: Path) -> None:
    """As a copy, where the file system knows no second names."""
    try:
        if backup.exists():
            raise Untaken(f"{backup} is there already, and is not replaced")
        shutil.copy2(picture, backup)
    except OSError as error:
        raise refusal(backup, error) from error
