"""Describes the picture files that a person hands in, and does nothing twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from cachetools import LRUCache
from PIL.Image import Image

from engine.app import Collection
from engine.describe.captioner import DescribeOptions, each_described
from engine.errors import MragError, UnreadableImage
from engine.images import Picture, open_picture
from engine.limits import Limits
from engine.search.thumbnails import shrunk
from engine.stages.trace import Step
from engine.store import picture_id
from engine.timing import Stopwatch
from engine.types import CaptionResult, Encoder, Vector
from service.outlining import frame_means

_TOGETHER = 4
"""Files described in one batch after the first: a batch is quicker, a small one answers soon."""
PREVIEW = 640
"""Width and height, at most, of the picture that is shown beside its description."""


@dataclass(frozen=True)
class Given:
    """A picture file that was handed in; `id` tells it from all others.

    `read` gives its bytes, or the path of a file on this machine.
    """

    id: str
    name: str
    size: int
    read: Callable[[], bytes | Path]


@dataclass(frozen=True)
class Described:
    """A file and its description, or the trouble with it.

    `preview` is WebP. `known` are the captions that the collection has of this very picture,
    which is `picture` there; "" where it has it not.
    """

    given: Given
    preview: bytes = b""
    result: CaptionResult | None = None
    known: tuple[str, ...] = ()
    trouble: str = ""
    picture: str = ""


def admitted(given: Sequence[Given], *, max_files: int, max_bytes: int) -> tuple[list[Given], str]:
    """The first files that are within the limits, and what to say of the others."""
    total = 0
    for count, item in enumerate(given):
        total += item.size
        if count == max_files or total > max_bytes:
            return list(given[:count]), (
                f"{len(given) - count} of {len(given)} files are left out: at most {max_files:,} "
                f"files and {max_bytes:,} bytes are taken together; give them after these, or "
                "raise MRAG_MAX_UPLOAD_FILES and MRAG_MAX_UPLOAD_BYTES"
            )
    return list(given), ""


@dataclass(frozen=True)
class _Opened:
    """What is remembered of a file that could be read."""

    sha256: str
    preview: bytes
    vector: Vector
    timings_ms: dict[str, float]


class Describer:
    """Describes files over any collection; remembers vectors and results of the last `keep`.

    A change of options costs a retrieval and a writing, a change of collection with the same
    encoder no more. One session's: not to be shared between threads.
    """

    def __init__(self, limits: Limits, keep: int = 256) -> None:
        self._limits = limits
        self._opened: LRUCache[tuple[str, str], _Opened] = LRUCache(keep)
        self._troubles: LRUCache[str, str] = LRUCache(keep)
        self._results: LRUCache[tuple[object, ...], Described] = LRUCache(keep)

    def describe(
        self,
        given: Sequence[Given],
        collection: Collection,
        options: DescribeOptions,
        *,
        borrow_own: bool = False,
    ) -> Iterator[Described]:
        """The files' descriptions in order, each as soon as it is there.

        Captions that the collection has of the very same picture are not borrowed from, unless
        `borrow_own`. A file that cannot be read is given back with its trouble.
        """
        now = collection.current
        how = (collection.card, now.number, now.captions.count(), options, borrow_own)
        start, size = 0, 1
        while start < len(given):
            part = given[start : start + size]
            new = [item for item in part if (how, item.id) not in self._results]
            if new:
                for done in self._described(new, collection, options, borrow_own):
                    self._results[how, done.given.id] = done
            yield from (self._results[how, item.id] for item in part)
            start, size = start + size, _TOGETHER

    def _described(
        self,
        given: Sequence[Given],
        collection: Collection,
        options: DescribeOptions,
        borrow_own: bool,
    ) -> Iterator[Described]:
        opened = self._open(given, collection.encoder)
        files = list(opened.values())
        own = collection.excluded([file.sha256 for file in files], own=borrow_own)
        answers: list[CaptionResult | MragError] = []
        if files:
            vectors = np.stack([file.vector for file in files])
            captioner = collection.captioner(options)
            there = [item for item in given if item.id in opened]
            images = [self._seen(item) for item in there] if captioner.looks else None
            answers = each_described(
                lambda part: captioner.describe_vectors(
                    vectors[part], exclude=own and own[part], images=images and images[part]
                ),
                len(files),
            )
        written = dict(zip(opened, zip(files, answers, strict=True), strict=True))
        for item in given:
            if item.id not in written:
                yield Described(item, trouble=self._troubles[item.id])
                continue
            file, result = written[item.id]
            if isinstance(result, MragError):
                yield Described(item, file.preview, trouble=str(result))
                continue
            spent = file.timings_ms
            timed = replace(
                result,
                timings_ms={**spent, **result.timings_ms},
                trace=result.trace.after(
                    Step(
                        "open",
                        "opened and embedded the file",
                        sum(spent.values()),
                        0,
                        0,
                        parts_ms=spent,
                    )
                ),
            )
            known, picture = _known(collection, file.sha256)
            yield Described(item, file.preview, timed, known, picture=picture)

    def _seen(self, given: Given) -> Image | None:
        """A file that was opened before, once more; None where it has gone meanwhile."""
        try:
            return open_picture(given.read(), self._limits).image
        except (UnreadableImage, OSError):
            return None

    def _open(self, given: Sequence[Given], encoder: Encoder) -> dict[str, _Opened]:
        """The files that can be read, by id; the trouble with the others is remembered."""
        pictures: dict[str, tuple[Picture, float]] = {}
        for item in given:
            if (encoder.id, item.id) in self._opened or item.id in self._troubles:
                continue
            watch = Stopwatch()
            source = item.read()
            try:
                with watch.stage("open"):
                    picture = open_picture(source, self._limits)
                pictures[item.id] = picture, watch.timings_ms["open"]
            except UnreadableImage as error:
                named = "the given bytes" if isinstance(source, bytes) else str(source)
                self._troubles[item.id] = str(error).removeprefix(f"{named}: ")
        self._encode(pictures, encoder)
        return {
            item.id: self._opened[encoder.id, item.id]
            for item in given
            if (encoder.id, item.id) in self._opened
        }

    def _encode(self, pictures: dict[str, tuple[Picture, float]], encoder: Encoder) -> None:
        if not pictures:
            return
        watch = Stopwatch()
        with watch.stage("encode"):
            seen = [(picture.image, *picture.frames) for picture, _ in pictures.values()]
            vectors = frame_means(encoder, seen)
        spent = watch.timings_ms["encode"] / len(pictures)
        for (id_, (picture, opening)), vector in zip(pictures.items(), vectors, strict=True):
            timings = {"open": opening, "encode": spent}
            preview = shrunk(picture.image, PREVIEW)
            self._opened[encoder.id, id_] = _Opened(picture.sha256, preview, vector, timings)


def _known(collection: Collection, sha256: str) -> tuple[tuple[str, ...], str]:
    """What people wrote of the picture, and its id, if the collection has it."""
    hits = collection.images.get([picture_id(sha256)])
    written = [hit for hit in hits if hit.payload["source"] == "human"]
    said = tuple(caption for hit in written for caption in hit.captions)
    return said, next((hit.id for hit in hits), "")
