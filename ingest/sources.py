"""Which sources a collection knows: where its pictures and captions come from, and what of them."""

from __future__ import annotations

import json
import os
from array import array
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from operator import length_hint
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from corpus.entry import key_of
from corpus.records import CaptionRecord, ImageRecord, Record, Skipped
from corpus.tables import loose_key, path_key
from engine.collection import CollectionFolder
from engine.files import remove_partials, write_whole
from ingest.jobs.roots import check_links, only_inside
from ingest.readers import open_captions, open_source, pictures_of
from ingest.whereabouts import Placing

Origin = Literal["place", "upload", "sample", "public"]
"""`place`: a folder or file of this machine, which can be read again. The others never change:
what was sent to the web, what comes with the program, and public captions."""

Keys = NDArray[np.int64]


@dataclass(frozen=True)
class Source:
    """A source as it was ingested, and what of it is taken.

    `name` is what its user calls it, "" where that is the place's own name. `images` is the folder
    that a file's pictures lie in. `captions_only`: no pictures are looked for. `root`: nothing
    outside this folder may be read, as the owner of this machine did not name the source. `unread`
    parts of it could not be read when it was last read whole. `started`: when a video began.
    """

    path: str
    origin: Origin = "place"
    name: str = ""
    images: str = ""
    splits: tuple[str, ...] = ()
    limit: int | None = None
    image_column: str = ""
    caption_column: str = ""
    captions_only: bool = False
    root: str = ""
    unread: int = 0
    started: str = ""

    @property
    def key(self) -> str:
        """The same for what is the same source, by whatever way it is named."""
        said = (self.image_column, self.caption_column, *sorted(self.splits))
        place = os.path.realpath(self.path)
        return f"{key_of(self.origin, place, str(self.captions_only), *said):016x}"

    @property
    def shown(self) -> str:
        """What it is called."""
        return self.name or Path(self.path).name or self.path

    @property
    def can_sync(self) -> bool:
        """Whether it may change and can be read again."""
        return self.origin == "place"

    def records(self) -> Iterator[Record]:
        """What it holds now; raises as `ingest.readers.open_source` does."""
        path, splits = Path(self.path), frozenset(self.splits)
        if self.captions_only:
            column = self.caption_column
            return open_captions(path, split=splits, limit=self.limit, caption_column=column)
        records = open_source(
            path,
            images=Path(self.images) if self.images else None,
            split=splits,
            limit=self.limit,
            image_column=self.image_column,
            caption_column=self.caption_column,
            started=self.started,
        )
        if not self.root:
            return records
        if path.is_dir():
            check_links(Path(self.root), path)
        return only_inside(records, Path(self.root))


_SOURCES = TypeAdapter(list[Source])


class Sources:
    """The sources of one collection; who changes them holds its lock (`corpus.lock.writing`).

    Of files that list pictures or captions is kept what they have given, as keys (`path_key`,
    `loose_key`): so it is known what a line stood for that is there no longer.
    """

    def __init__(self, folder: CollectionFolder) -> None:
        self._file = folder.path / "sources.json"
        self._given = folder.path / "sources"

    def known(self) -> list[Source]:
        """All of them, the first ingested first; none where nothing was noted, or it is damaged."""
        try:
            return _SOURCES.validate_python(json.loads(self._file.read_bytes()))
        except (OSError, ValueError, ValidationError):
            return []

    def note(self, source: Source) -> Source:
        """Know a source from now on; gives it as it is known.

        Ingested again it is still one, of which the most is taken that ever was.
        """
        noted = replace(source, images=source.images or _pictures(source))
        known = {one.key: one for one in self.known()}
        if old := known.get(noted.key):
            limits = (old.limit, noted.limit)
            limit = None if None in limits else max(filter(None, limits), default=None)
            images = noted.images or old.images
            noted = replace(noted, path=old.path, images=images, limit=limit, unread=old.unread)
        self._write({**known, noted.key: noted})
        return noted

    def update(self, source: Source) -> None:
        """Replace what is known of a source."""
        self._write({one.key: one for one in self.known()} | {source.key: source})

    def sweep(self) -> None:
        """Remove what a killed process had begun to write; for whoever alone may write."""
        remove_partials(self._file.parent, of=self._file.name)
        remove_partials(self._given)

    def given(self, source: Source) -> Keys:
        """The keys of what a file has given and that has not been let go of since, ascending."""
        try:
            content = self._path(source).read_bytes()
        except OSError:
            return np.empty(0, np.int64)
        return np.frombuffer(content[: len(content) // 8 * 8], "<i8").astype(np.int64)

    def keep_given(self, source: Source, keys: Keys) -> None:
        """Keep the keys, ascending, of what a file has given."""
        if not np.array_equal(keys, self.given(source)):
            write_whole(self._path(source), keys.astype("<i8").tobytes())

    def _path(self, source: Source) -> Path:
        return self._given / f"{source.key}.keys"

    def _write(self, known: dict[str, Source]) -> None:
        values = list(known.values())
        if values != self.known():
            write_whole(self._file, json.dumps(list(map(asdict, values)), indent=2) + "\n")


@contextmanager
def noted(
    records: Iterable[Record], source: Source | None, folder: CollectionFolder
) -> Iterator[Iterable[Record]]:
    """The records of a source, which the collection knows from now on; None: of nothing it keeps.

    What a file gives is kept however far it is read: a run that is stopped leaves nothing in the
    collection of which nobody knows where it came from.
    """
    if source is None:
        yield records
        return
    sources = Sources(folder)
    known = sources.note(source)
    if not source.can_sync or Path(source.path).is_dir():
        yield records
        return
    noting = Noting(records)
    try:
        yield noting
    finally:
        sources.keep_given(known, np.union1d(sources.given(known), noting.keys()))
        if noting.whole:
            sources.update(replace(known, unread=noting.unread))


class Noting(Iterator[Record]):
    """Records as they stream, of which the keys are noted."""

    def __init__(self, records: Iterable[Record]) -> None:
        self._records = iter(records)
        self._place = Placing()
        self._keys = array("q")
        self.unread = 0
        self.whole = False

    def __next__(self) -> Record:
        try:
            record = next(self._records)
        except StopIteration:
            self.whole = True
            raise
        if isinstance(record, ImageRecord):
            self._keys.append(path_key(str(self._place(record.path))))
        elif isinstance(record, CaptionRecord):
            self._keys.append(loose_key(record))
        elif isinstance(record, Skipped):
            self.unread += record.what == "part"
        return record

    def __length_hint__(self) -> int:
        return length_hint(self._records)

    def keys(self) -> Keys:
        """The keys of what was given so far."""
        return np.unique(np.frombuffer(self._keys, np.int64))


def _pictures(source: Source) -> str:
    """The folder that a file's pictures were found in: they are looked for there from now on."""
    if not source.can_sync or source.captions_only:
        return ""
    found = pictures_of(Path(source.path))
    return "" if found is None else str(found)
