"""Tells what kind of source a path is, from its suffix and a look at its head."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Literal

import ijson

from engine.errors import SourceError
from engine.video.address import is_video
from ingest.readers.lines import encoding_of
from ingest.readers.tables import is_table_header
from mrag_client.files import open_regular

Kind = Literal["folder", "coco", "karpathy", "csv", "jsonl", "json", "text", "video"]

KINDS = (
    "a folder of pictures and videos, a video, captions in COCO's or Karpathy's JSON, a table "
    "(.csv, .tsv, .jsonl, .json) with columns for picture and caption, or a .txt file of captions, "
    "one a line"
)
_BY_SUFFIX: dict[str, Kind] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".tab": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
}
_HEAD = 64 * 2**10


def detect(path: Path, *, any_text: bool = False) -> Kind:
    """The kind of a source; with `any_text`, text of no known suffix is read like .txt.

    Raises SourceError where it cannot be read or is of no known kind.
    """
    try:
        if path.is_dir():
            return "folder"
        with open_regular(path) as file:
            head = file.read(_HEAD)
    except (OSError, ValueError) as error:
        raise SourceError(f"{path} cannot be read: {error}. A source is {KINDS}") from error
    suffix = path.suffix.lower()
    kind = "video" if is_video(path) else _BY_SUFFIX.get(suffix)
    if suffix == ".json":
        kind = _json_kind(head)
    elif suffix == ".txt" or (any_text and kind is None):
        kind = _text_kind(head)
    if kind is None:
        raise SourceError(f"{path} is of no kind that can be read. A source is {KINDS}")
    return kind


def _text_kind(head: bytes) -> Kind | None:
    """Some public sets of captions are tables named .txt."""
    encoding = encoding_of(head)
    if b"\0" in head and encoding == "utf-8-sig":
        return None
    lines = head.decode(encoding, "replace").splitlines()
    return "csv" if lines and is_table_header(lines[0]) else "text"


def _json_kind(head: bytes) -> Kind | None:
    keys = _keys(head)
    if "images.item.sentences" in keys:
        return "karpathy"
    if keys & {"images.item.file_name", "annotations.item.caption", "annotations.item.image_id"}:
        return "coco"
    if any(key.startswith("item.") for key in keys):
        return "json"
    return "jsonl" if _is_object(head.partition(b"\n")[0]) else None


def _keys(head: bytes) -> set[str]:
    keys: set[str] = set()
    try:
        for prefix, event, value in ijson.parse(io.BytesIO(head.removeprefix(b"\xef\xbb\xbf"))):
            if event == "map_key":
                keys.add(f"{prefix}.{value}")
    except (ijson.JSONError, ValueError):
        pass  # the head is cut somewhere
    return keys


def _is_object(line: bytes) -> bool:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return False
    return isinstance(value, dict) and bool(value)
