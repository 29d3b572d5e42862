"""What a reader finds before it is known whether the picture is there."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Annotation:
    """What a source says of one picture, or of captions without one (`image` is empty).

    `where` names the place in the source for messages ("row 7"). `image` is the picture as
    written there, `elsewhere` a second place to look for it.
    """

    where: str = ""
    image: str = ""
    captions: tuple[str, ...] = ()
    image_id: str = ""
    split: str = ""
    tags: tuple[str, ...] = ()
    elsewhere: str = ""


def one_line(text: str) -> str:
    """The text as one line: a caption is a line, whatever it was quoted in."""
    return " ".join(text.replace("\0", " ").split())


def printable(name: str) -> str:
    """A file name as text that can be stored and shown: undecodable bytes become `\\udcNN`."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")
