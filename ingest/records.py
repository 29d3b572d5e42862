"""What readers give and the rest of `ingest` takes: one record for each thing in a source."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ImageRecord:
    """A picture file, with the captions that its source has for it.

    `image_id` is stable from one read of the source to the next; `uri` is what a search shows.
    """

    image_id: str
    uri: str
    path: Path
    captions: tuple[str, ...] = ()
    split: str = ""
    tags: tuple[str, ...] = ()


@dataclass(frozen=True)
class CaptionRecord:
    """A caption without a picture file; `image_id` says which picture it was written for."""

    text: str
    image_id: str = ""
    split: str = ""


@dataclass(frozen=True)
class Skipped:
    """Something in a source that could not be read: where it stands, and why."""

    uri: str
    reason: str


@dataclass(frozen=True)
class WholeFolder:
    """Comes last: all pictures in this folder and below it have been given."""

    folder: Path


Record = ImageRecord | CaptionRecord | Skipped | WholeFolder
