"""Reads what sources hold now, and holds it against what a collection knows; opens no picture."""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import monotonic

import numpy as np

from corpus.entry import key_of
from corpus.ledger import Ledger
from corpus.records import CaptionRecord, ImageRecord, Skipped
from corpus.tables import loose_key, path_key
from corpus.videos import Videos
from engine.collection import CollectionFolder
from engine.errors import InvalidInput, SourceError
from engine.metadata.sidecars import Sidecars
from engine.progress import OnProgress, Progress, check_cancelled
from engine.video.address import file_at, is_video
from ingest.embed import Job
from ingest.given import Given, GivenFile, State
from ingest.sources import Keys, Source, Sources
from ingest.video.watching import known_shots
from ingest.whereabouts import Placing, holds_anything
from mrag_client.files import is_regular

_EVERY_SECONDS = 0.1
_EXAMPLES = 3
_NO_KEYS = np.empty(0, np.int64)


@dataclass
class SourceState:
    """How a source was found.

    `base`: the folder that its pictures lie in. `trouble`: why nothing of it leaves, "" where it
    was read as it should be. `whole`: all of a file was read, so that what it gives no longer was
    taken out of it. `gave`: what a file gave before, as keys; nothing of a folder, whose pictures
    are known by where they lie; `gives`: what it gives now. `unread` as in `Source`; what was
    `skipped` could not be read, a few of which are `examples`.
    """

    source: Source
    base: Path
    is_folder: bool
    gave: Keys
    gives: Keys = field(default_factory=lambda: _NO_KEYS)
    trouble: str = ""
    whole: bool = False
    unread: int = 0
    skipped: int = 0
    examples: list[Skipped] = field(default_factory=list)


class Looker:
    """Looks at one source after the other."""

    def __init__(
        self, folder: CollectionFolder, ledger: Ledger, given: Given, on_progress: OnProgress
    ) -> None:
        self._sources = Sources(folder)
        self._ledger = ledger
        self._given = given
        self._on_progress = on_progress
        self._place = Placing()
        self._sidecars = Sidecars()
        self._videos = Videos.open(folder.videos)
        self._bad, self._bad_since = _known_bad(folder)
        self._looked, self._told = 0, 0.0

    def look(self, number: int, source: Source) -> SourceState:
        """Read a source, the first of which has number 0."""
        gave = self._sources.given(source)
        path = Path(source.path)
        is_folder = path.is_dir() or not (len(gave) or path.is_file())
        base = path if is_folder else Path(source.images or path.parent)
        state = SourceState(source, base.resolve(), is_folder, _NO_KEYS if is_folder else gave)
        state.trouble = _not_there(source, is_folder, base)
        if not state.trouble:
            try:
                self._read(number, state)
            except (SourceError, InvalidInput, OSError) as error:
                state.trouble = f"cannot be read ({error}): nothing of it leaves"
        return state

    def _read(self, number: int, state: SourceState) -> None:
        """Take what a source gives; notes whether that is all of it."""
        ids, gives, before = set[int](), array("q"), ""
        for record in state.source.records():
            self._tell()
            if isinstance(record, ImageRecord):
                kept = before == "captions"
                for one in self._shots(record):
                    if (key := self._take(number, one, ids, keep_words=kept)) is not None:
                        gives.append(key)
            elif isinstance(record, CaptionRecord):
                gives.append(self._take_caption(number, record))
            elif isinstance(record, Skipped):
                _note(state, record)
            before = record.what if isinstance(record, Skipped) else ""
        more = state.unread - state.source.unread
        if state.is_folder or state.trouble:
            return
        state.gives = np.unique(np.frombuffer(gives, np.int64))
        if not gives:
            state.trouble = "holds nothing any more: nothing of it leaves"
        elif more > 0:
            state.trouble = (
                f"{more:,} of its entries cannot be read that could be before: nothing of it leaves"
            )
        else:
            state.whole = state.source.limit is None

    def _shots(self, record: ImageRecord) -> Iterator[ImageRecord]:
        """The shots of a video that is as it was watched; it, or a picture, as it is."""
        if not is_video(record.path):
            yield record
            return
        with suppress(OSError, ValueError):
            path = self._place(record.path)
            found = known_shots(self._videos, record, path)
            yield from [record] if found is None else found

    def _take(
        self, number: int, record: ImageRecord, ids: set[int], *, keep_words: bool
    ) -> int | None:
        """Take a picture, unless its id was given before or its file is out of reach; its key.

        `keep_words`: what is said of it cannot be read now, which takes nothing back.
        """
        with suppress(OSError, ValueError):
            path = self._place(record.path)
            id_key = key_of(record.image_id)
            if id_key in ids:
                return None
            ids.add(id_key)
            job = Job.of(record, path, self._sidecars)
            key = path_key(str(path))
            known = self._ledger.said_at(key)
            own = known is not None and known.id_key == id_key
            state = State.NEW
            if known is not None:
                same = keep_words or known.said == job.name.said
                state = State.SAME if same else State.LESS
                if state == State.LESS and (own or job.record.captions):
                    state = State.SAID
                if (known.size, known.mtime_ns) != (job.size, job.mtime_ns):
                    state = State.CHANGED
            if state in (State.NEW, State.CHANGED) and self._is_bad(job):
                state = State.BAD
            told = job.record if state == State.SAME else replace(job.record, path=path)
            self._given.add(GivenFile(key, number, state, job.size, told, own))
            return key
        return None

    def _is_bad(self, job: Job) -> bool:
        """Whether a file could not be read by the last run, and is still the same."""
        if job.record.uri not in self._bad:
            return False
        status = file_at(job.path).stat()
        return max(status.st_mtime_ns, status.st_ctime_ns) < self._bad_since

    def _take_caption(self, number: int, caption: CaptionRecord) -> int:
        known, key = self._ledger.has_loose(caption), loose_key(caption)
        self._given.add_caption(key, number, None if known else caption)
        return key

    def _tell(self) -> None:
        check_cancelled()
        self._looked += 1
        now = monotonic()
        if now - self._told >= _EVERY_SECONDS:
            self._told = now
            self._on_progress(Progress("look", self._looked))


def _note(state: SourceState, skipped: Skipped) -> None:
    """Note what could not be read of a source."""
    state.skipped += 1
    state.unread += skipped.what == "part"
    if len(state.examples) < _EXAMPLES:
        state.examples.append(skipped)
    if skipped.what == "rest":
        state.trouble = f"{skipped.reason}: nothing of it leaves"


def _not_there(source: Source, is_folder: bool, base: Path) -> str:
    """Why a source cannot be read: it, or the disk with its pictures, may not be mounted."""
    path, stays = Path(source.path), "nothing of it leaves, as it may not be mounted"
    for folder in [path] if is_folder else [base] if source.images else []:
        whose = "" if is_folder else f"has its pictures in {folder}, which "
        if not folder.is_dir():
            return f"{whose}is not there: {stays}"
        if not holds_anything(folder):
            return f"{whose}is empty or cannot be read: {stays}"
    try:
        if not is_folder and not is_regular(path):
            return f"is not there: {stays}"
    except OSError as error:
        return f"cannot be read ({error}): nothing of it leaves"
    return ""


def _known_bad(folder: CollectionFolder) -> tuple[Mapping[str, str], int]:
    """What the last run could not read, and when that was."""
    try:
        since = folder.skipped.stat().st_mtime_ns
        lines = map(json.loads, folder.skipped.read_text(encoding="utf-8").splitlines())
        bad = {one["uri"]: one["kind"] for one in lines}
    except (OSError, ValueError, KeyError, TypeError):
        return {}, 0
    return {uri: kind for uri, kind in bad.items() if kind in ("unreadable", "not finite")}, since
