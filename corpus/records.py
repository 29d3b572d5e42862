"""What readers give and the rest of `ingest` takes: one record for each thing in a source."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from engine.identity import name_key


@dataclass(frozen=True)
class ImageRecord:
    """A picture file, with the captions that its source has for it.

    `image_id` is stable from one read of the source to the next; `uri` is what a search shows.
    `takes_over`: what another source said of the file before, that source says no longer.
    `started`: when a video began (ISO 8601), "" for when it says itself. Of a video its shots are
    taken, each of which has a record of its own, with its address (`engine.video`) as its path.
    """

    image_id: str
    uri: str
    path: Path
    captions: tuple[str, ...] = ()
    split: str = ""
    tags: tuple[str, ...] = ()
    takes_over: bool = False
    started: str = ""


@dataclass(frozen=True)
class CaptionRecord:
    """A caption without a picture file; `image_id` says which picture it was written for."""

    text: str
    image_id: str = ""
    split: str = ""

    @property
    def picture(self) -> str:
        """The key of the picture that it is of, "" for none."""
        return name_key(self.image_id)


@dataclass(frozen=True)
class Skipped:
    """Something in a source that could not be read: where it stands, and why.

    `what`: a part of it, such as a row; its `picture` alone, whose row is there; the `captions` of
    the picture that comes next; or the `rest`.
    """

    uri: str
    reason: str
    what: Literal["part", "picture", "captions", "rest"] = field(default="part", compare=False)


@dataclass(frozen=True)
class WholeFolder:
    """Comes last: all pictures in this folder and below it have been given."""

    folder: Path


@dataclass(frozen=True)
class NextSource:
    """From here on the records are of another source: its ids are its own."""


Record = ImageRecord | CaptionRecord | Skipped | WholeFolder | NextSource


@dataclass(frozen=True)
class Leaving:
    """What no source gives any longer: files, as they are placed, and captions without one."""

    files: tuple[str, ...] = ()
    captions: tuple[CaptionRecord, ...] = ()


def not_text(text: str) -> str:
    """What is wrong with a text that cannot be written as UTF-8; "" where nothing is.

    JSON may hold half of a character (`"\\ud83d"`), which no database or file of text takes.
    """
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        half = ascii(text[error.start])[1:-1]
        return f"holds half a character ({half}), which is no text: {text[:80]!a}"
    return ""


def unwritable(record: ImageRecord | CaptionRecord) -> str:
    """Why a record cannot be kept: the first of its texts that is none; "" where all are."""
    texts: dict[str, Iterable[str]] = {"the id": [record.image_id], "the split": [record.split]}
    if isinstance(record, ImageRecord):
        texts |= {"the address": [record.uri], "a tag": record.tags, "a caption": record.captions}
    else:
        texts |= {"the caption": [record.text]}
    for name, values in texts.items():
        for value in values:
            if trouble := not_text(value):
                return f"{name} {trouble}"
    return ""


class Counted(Iterator[Record]):
    """Records as they stream, whose number is known: `operator.length_hint` tells what is left.

    `count` gives the number of all of them and is called once, when that is first asked.
    """

    def __init__(self, records: Iterator[Record], count: Callable[[], int]) -> None:
        self._records = records
        self._count = count
        self._all: int | None = None
        self._given = 0

    def __next__(self) -> Record:
        record = next(self._records)
        self._given += 1
        return record

    def __length_hint__(self) -> int:
        if self._all is None:
            self._all = self._count()
        return max(0, self._all - self._given)
