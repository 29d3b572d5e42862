"""Which things are the same picture: a picture is its content, whatever it is called."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from engine.sampling import name_hash
from engine.types import ImageHit


@dataclass(frozen=True)
class PictureIdentity:
    """What is known of which picture something is.

    `sha256`: of its file, "" where the content is not known. `names`: what sources call it.
    Without either it is no picture that anything is known of.
    """

    sha256: str = ""
    names: frozenset[str] = frozenset()

    @property
    def key(self) -> str:
        """What its captions are filed under, "" where nothing is known of it."""
        if self.sha256:
            return content_key(self.sha256)
        return name_key(min(self.names)) if self.names else ""

    @property
    def keys(self) -> frozenset[str]:
        """All that captions of it may be filed under.

        A name is among them even where the content is known: captions without a file have no
        other key. So `key` of something is in these exactly if both are the `same_picture`,
        unless that has a content which is not known here.
        """
        contents = {content_key(self.sha256)} if self.sha256 else set()
        return frozenset(contents | {name_key(name) for name in self.names if name})


UNKNOWN = PictureIdentity()
"""No picture that anything is known of."""


def same_picture(a: PictureIdentity, b: PictureIdentity) -> bool:
    """Whether both are one picture: by content where both are known, else by a shared name."""
    if a.sha256 and b.sha256:
        return a.sha256.lower() == b.sha256.lower()
    return not a.names.isdisjoint(b.names - {""})


class Pictures:
    """Pictures among which others are looked up by `same_picture`, however many there are."""

    def __init__(self, pictures: Iterable[PictureIdentity]) -> None:
        self._contents: set[str] = set()
        self._names: set[str] = set()
        self._names_alone: set[str] = set()
        for one in pictures:
            self._names |= one.names
            if one.sha256:
                self._contents.add(one.sha256.lower())
            else:
                self._names_alone |= one.names

    def __contains__(self, picture: object) -> bool:
        """Whether one of them is the same picture."""
        if not isinstance(picture, PictureIdentity):
            return False
        names = picture.names - {""}
        if not picture.sha256:
            return not names.isdisjoint(self._names)
        return picture.sha256.lower() in self._contents or not names.isdisjoint(self._names_alone)


def identity_of(hit: ImageHit) -> PictureIdentity:
    """Which picture was found."""
    return PictureIdentity(hit.payload["sha256"], frozenset(hit.payload["names"]))


def content_key(sha256: str) -> str:
    """The key of a picture by its content."""
    return f"sha256:{sha256.lower()}"


def name_key(name: str) -> str:
    """The key of a picture of which only a name is known, "" for no name."""
    return f"name:{name}" if name else ""


def shot_sha256(video: str, start_ms: int) -> str:
    """What stands for the content of a shot: the sha256 of its video, and where it begins."""
    return hashlib.sha256(f"{video.lower()}#t={start_ms}".encode()).hexdigest()


def content_number(sha256: str) -> int:
    """64 bits that follow from a content: they draw samples, and tell pictures apart in bulk."""
    return name_hash(sha256.lower())


def picture_number(key: str) -> int:
    """The number of the picture that a key is of: by its content where it has it; 0 for no key."""
    sha256 = key.removeprefix(content_key(""))
    return content_number(sha256) if sha256 != key else name_hash(key) if key else 0
