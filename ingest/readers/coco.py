"""Reads caption annotations in the JSON layouts of COCO and of Karpathy's splits."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from corpus.records import Skipped
from engine.errors import SourceError
from ingest.readers.annotation import Annotation, one_line
from ingest.readers.gathering import Gathering
from ingest.readers.jsonstream import items


def read_coco_captions(path: Path) -> Iterator[Annotation | Skipped]:
    """An entry without a picture for each caption of a COCO file, in the file's order."""
    for found in _annotations(path):
        if isinstance(found, Skipped):
            yield found
        else:
            where, image_id, caption = found
            yield Annotation(where=where, captions=(caption,), image_id=image_id)


def listed_pictures(path: Path) -> Iterator[Annotation]:
    """The pictures that COCO's or Karpathy's JSON lists, without captions."""
    for number, image in enumerate(items(path, "images.item"), start=1):
        if isinstance(image, dict) and (name := image.get("file_name") or image.get("filename")):
            folder = image.get("filepath") or ""
            whole = f"{folder}/{name}" if folder else str(name)
            yield Annotation(where=f"image {number}", image=whole, elsewhere=str(name))


def read_coco(path: Path) -> Iterator[Annotation | Skipped]:
    """An entry for each picture of a COCO file, with its captions.

    There is no split: COCO names it in the file name alone, and who reads one file means it.
    """
    with Gathering() as gathering:
        for number, image in enumerate(items(path, "images.item"), start=1):
            where = f"image {number}"
            try:
                key, name = str(image["id"]), str(image["file_name"])
            except (KeyError, TypeError):
                yield Skipped(str(path), f"{where} has no id or no file_name")
                continue
            gathering.add(key, Annotation(where=where, image=name, image_id=key))
        for found in _annotations(path):
            if isinstance(found, Skipped):
                yield found
            elif not gathering.add_caption(found[1], found[2]):
                yield Skipped(str(path), f"{found[0]} is of image {found[1]}, which is not listed")
        yield from gathering.entries()


def read_karpathy(path: Path) -> Iterator[Annotation | Skipped]:
    """An entry for each picture of a file of Karpathy's splits.

    `restval` is given as `train`, as all who train on these splits use it. The id is COCO's
    where there is one, else the file name.
    """
    for number, image in enumerate(items(path, "images.item"), start=1):
        where = f"image {number}"
        try:
            yield _karpathy_entry(where, image)
        except (KeyError, TypeError, AttributeError) as error:
            yield Skipped(str(path), f"{where} is not as in Karpathy's files: {error!r}")


def _karpathy_entry(where: str, image: Any) -> Annotation:
    name, split = str(image["filename"]), str(image.get("split") or "")
    folder = str(image.get("filepath") or "")
    captions = tuple(one_line(sentence["raw"]) for sentence in image["sentences"])
    return Annotation(
        where=where,
        image=f"{folder}/{name}" if folder else name,
        elsewhere=name,
        captions=tuple(filter(None, captions)),
        image_id=str(image.get("cocoid", name)),
        split="train" if split == "restval" else split,
    )


def _annotations(path: Path) -> Iterator[tuple[str, str, str] | Skipped]:
    """Where it stands, image id and text of each caption."""
    for number, annotation in enumerate(items(path, "annotations.item"), start=1):
        where = f"annotation {number}"
        try:
            text = one_line(annotation["caption"])
            image_id = str(annotation["image_id"])
        except (KeyError, TypeError, AttributeError):
            if number == 1:
                raise SourceError(
                    f"the annotations of {path} are no captions; COCO's captions are in files "
                    "named captions_train2017.json and captions_val2017.json"
                ) from None
            yield Skipped(str(path), f"{where} has no caption or no image_id")
            continue
        yield (where, image_id, text) if text else Skipped(str(path), f"{where} is empty")
