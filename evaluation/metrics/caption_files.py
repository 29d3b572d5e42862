"""Reads captions and references from files that this program did not write."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.errors import InvalidInput, SourceError
from mrag_client.files import open_regular

_ID_KEYS = ("image_id", "image", "id")
_TEXT_KEYS = ("caption", "captions", "references")


@dataclass(frozen=True)
class Scorable:
    """Captions beside their references, in the order of the captions' file.

    `left_out` counts the pictures of the references that no caption is of.
    """

    image_ids: tuple[str, ...]
    captions: tuple[str, ...]
    references: tuple[tuple[str, ...], ...]
    left_out: int


def read_scorable(captions: Path, references: Path) -> Scorable:
    """Pair a file of captions, one a picture, with a file of references, one or more a picture.

    Files are JSON (a list of objects, COCO's object with `annotations`, or an object from picture
    to text) or JSON Lines. An object names its picture by `image_id`, `image` or `id`, and what
    is said of it by `caption` (a text), `captions` or `references` (a list of texts).

    Raises SourceError for a file that cannot be read so, InvalidInput where the files do not pair.
    """
    written, said = _read(captions), _read(references)
    several = next((image_id for image_id, texts in written.items() if len(texts) != 1), None)
    if several is not None:
        raise InvalidInput(
            f"{captions} has {len(written[several])} captions of picture {several!r}; one is scored"
        )
    alone = [image_id for image_id in written if not said.get(image_id)]
    if alone:
        raise InvalidInput(
            f"{references} has no references of {len(alone):,} of the {len(written):,} pictures in "
            f"{captions}, the first is {alone[0]!r}; are both of the same pictures and ids?"
        )
    return Scorable(
        tuple(written),
        tuple(text for (text,) in written.values()),
        tuple(tuple(said[image_id]) for image_id in written),
        len(said.keys() - written.keys()),
    )


def _read(path: Path) -> dict[str, list[str]]:
    """The texts of each picture, in the order of the file."""
    try:
        with open_regular(path) as file:
            text = file.read().decode("utf-8-sig")
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise SourceError(f"{path} is not UTF-8 text: {error}") from error
    found: dict[str, list[str]] = {}
    for image_id, said in _entries(text, path):
        found.setdefault(image_id, []).extend(said)
    if not found:
        raise SourceError(f"{path} holds no captions")
    return found


def _entries(text: str, path: Path) -> Iterator[tuple[str, Sequence[str]]]:
    data = _parsed(text, path)
    if isinstance(data, Mapping):
        if not isinstance(data.get("annotations"), list):
            yield from ((image_id, _texts(said, image_id, path)) for image_id, said in data.items())
            return
        data = data["annotations"]
    for number, row in enumerate(data, 1):
        yield _entry(row, number, path)


def _parsed(text: str, path: Path) -> Any:
    """One JSON value, or the list of those that lines hold."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as whole:
        try:
            return [json.loads(line) for line in text.split("\n") if line.strip()]
        except (ValueError, RecursionError):
            raise SourceError(f"{path} is neither JSON nor JSON Lines: {whole}") from whole
    if isinstance(data, Mapping) and _named(data, _TEXT_KEYS) and _named(data, _ID_KEYS):
        return [data]  # JSON Lines of one line
    if not isinstance(data, list | Mapping):
        raise SourceError(f"{path} holds {data!r:.50}, and no list or object of captions")
    return data


def _entry(row: Any, number: int, path: Path) -> tuple[str, Sequence[str]]:
    image_key = _named(row, _ID_KEYS) if isinstance(row, Mapping) else ""
    text_key = _named(row, _TEXT_KEYS) if isinstance(row, Mapping) else ""
    if not image_key or not text_key:
        raise SourceError(
            f"{path}, entry {number}, names no picture and what is said of it; it needs one of "
            f"{', '.join(_ID_KEYS)} and one of {', '.join(_TEXT_KEYS)}: {row!r:.100}"
        )
    image_id = row[image_key]
    if isinstance(image_id, bool) or not isinstance(image_id, str | int):
        raise SourceError(f"{path}, entry {number}: {image_id!r:.50} is no id of a picture")
    return str(image_id), _texts(row[text_key], str(image_id), path)


def _named(row: Mapping[str, Any], keys: Sequence[str]) -> str:
    return next((key for key in keys if key in row), "")


def _texts(said: Any, image_id: str, path: Path) -> Sequence[str]:
    texts = [said] if isinstance(said, str) else said
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise SourceError(f"{path}: what is said of {image_id!r} is no text: {said!r:.100}")
    return texts
