"""Reads a single video, whose shots are taken as pictures."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from engine.errors import InvalidInput
from ingest.readers.annotation import Annotation, printable
from ingest.readers.detect import Kind


def read_video(path: Path) -> Iterator[Annotation]:
    """An entry for the video: what takes it in finds its shots."""
    yield Annotation(image=path.name, image_id=printable(path.name))


def checked_start(started: str, path: Path, kind: Kind) -> str:
    """When a video began, as ISO 8601 has it, "" where nobody says; raises InvalidInput."""
    if not started:
        return ""
    if kind != "video":
        raise InvalidInput(
            f"a start was given for {path}, which is no video; leave it out, or name one video"
        )
    try:
        return datetime.fromisoformat(started.strip()).isoformat()
    except ValueError:
        raise InvalidInput(
            f"{started!r} is no moment; write when the video began like 2024-05-01T09:00"
        ) from None
