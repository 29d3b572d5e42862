"""Finds which pictures of a collection are copies of one sight: looked at once, compared once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from math import inf
from pathlib import Path
from threading import Lock
from time import monotonic
from typing import Protocol

import numpy as np

from corpus.sights import Sight, Sights
from engine.collection import CollectionFolder
from engine.errors import UnreadableImage
from engine.images import Picture, open_picture
from engine.progress import OnProgress, Progress, check_cancelled, silent
from engine.search.copies import write_copies
from engine.search.sight import Known, as_words, sight_of
from engine.settings import Settings
from engine.store import picture_id
from engine.types import ImageHit
from engine.video.address import file_at
from ingest.decoding import opened_in_order

_TOGETHER = 16
"""Pictures that are compared with all others at once; see `Known`."""

_KEPT_TOGETHER = 256
_AHEAD = 8


class Seen:
    """Sights of pictures that are decoded for a fill anyway, by several threads."""

    def __init__(self, folder: CollectionFolder) -> None:
        self._path = folder.sights
        self._lock = Lock()
        self._seen: dict[str, Sight] = {}

    def see(self, picture: Picture) -> None:
        """Look at a picture."""
        sight = Sight(sight_of(picture.image), picture.width * picture.height)
        with self._lock:
            self._seen[picture_id(picture.sha256)] = sight
            enough = len(self._seen) >= _KEPT_TOGETHER
        if enough:
            self.keep()

    def keep(self) -> None:
        """Write down what was seen."""
        with self._lock:
            seen, self._seen = self._seen, {}
        if seen:
            with Sights.open(self._path) as sights:
                sights.put(seen)


class Pictures(Protocol):
    """What is asked of an index of pictures."""

    def ids(self) -> Iterable[str]:
        """All of them."""

    def get(self, ids: Sequence[str]) -> list[ImageHit]:
        """What is stored of some."""


@dataclass(frozen=True)
class Outlook:
    """What is still to be done: pictures to look at, and to compare; `missing` have no file."""

    unseen: int
    uncompared: int
    missing: int

    @property
    def waiting(self) -> int:
        """How much is to be done before all is known."""
        return self.unseen + self.uncompared


def find_copies(
    folder: CollectionFolder,
    images: Pictures,
    settings: Settings,
    *,
    seconds: float = inf,
    look: bool = True,
    on_progress: OnProgress = silent,
) -> Outlook:
    """Bring what is known of copies level with the index, as far as that goes in some seconds.

    Pictures that a fill did not look at are decoded. Stopped at any moment, it goes on where it
    was. Groups are written to `folder.copies`, for searches. A push, which alone knows that the
    index has all pictures, does not `look`, and forgets those that are there no longer.
    """
    with Sights.open(folder.sights) as sights:
        finding = _Finding(sights, images, settings, monotonic() + seconds, on_progress)
        unseen = finding.unseen(forget=not look)
        left = finding.look_at(unseen) if look else len(unseen)
        uncompared = finding.compare()
        write_copies(folder.copies, sights.groups())
        return Outlook(left, uncompared, len(sights.missing()))


class _Finding:
    """One run over a collection."""

    def __init__(
        self,
        sights: Sights,
        images: Pictures,
        settings: Settings,
        deadline: float,
        on_progress: OnProgress,
    ) -> None:
        self._sights = sights
        self._images = images
        self._settings = settings
        self._deadline = deadline
        self._on_progress = on_progress

    def unseen(self, *, forget: bool) -> list[str]:
        """Pictures of the index that were not looked at."""
        living, known = set(self._images.ids()), self._sights.ids()
        if forget:
            self._sights.forget(known - living)
        back = [hit.id for hit in self._hits(self._sights.missing()) if file_at(hit.uri).is_file()]
        self._sights.forget(back)
        return sorted(living - known) + back

    def look_at(self, unseen: Sequence[str]) -> int:
        """Look at pictures until all is seen or the time is over; how many are left."""
        left = len(unseen)
        seen: dict[str, Sight] = {}
        opened = opened_in_order(
            self._hits(unseen),
            lambda hit, admit: open_picture(Path(hit.uri), self._settings.limits, admit),
            workers=self._settings.workers,
            ahead=_AHEAD,
        )
        try:
            for hit, picture in opened:
                check_cancelled()
                seen[hit.id] = _seen(hit, picture)
                left -= 1
                if len(seen) >= _KEPT_TOGETHER:
                    self._sights.put(seen)
                    seen = {}
                self._tell("look at pictures", len(unseen) - left, len(unseen))
                if monotonic() > self._deadline:
                    break
        finally:
            opened.close()
            self._sights.put(seen)
        return left

    def compare(self) -> int:
        """Compare what was not compared yet, as long as there is time; how many are left."""
        waiting = self._sights.uncompared()
        if not waiting:
            return 0
        ids, bits = self._sights.leaders()
        known = Known(as_words(bits))
        for start in range(0, len(waiting), _TOGETHER):
            check_cancelled()
            self._tell("compare pictures", start, len(waiting))
            if start and monotonic() > self._deadline:  # at least a few, so that it comes to an end
                return len(waiting) - start
            part = waiting[start : start + _TOGETHER]
            self._sights.lead(self._led(part, ids, known))
        self._tell("compare pictures", len(waiting), len(waiting))
        return 0

    def _led(self, part: Sequence[str], ids: list[str], known: Known) -> dict[str, str]:
        """Which picture leads each of a few; those that none leads are known from now on."""
        bits = self._sights.bits(part)
        parts, words = list(bits), as_words(list(bits.values()))
        led = known.nearest(words)
        before, own = len(known), Known(words[:0])
        for at in np.flatnonzero(led < 0).tolist():
            (among,) = own.nearest(words[at : at + 1]).tolist()
            if among < 0:  # none of these few that came before leads it either
                led[at] = len(ids)
                ids.append(parts[at])
                own.add(words[at])
                known.add(words[at])
            else:
                led[at] = before + among
        return {id_: ids[number] for id_, number in zip(parts, led.tolist(), strict=True)}

    def _hits(self, ids: Sequence[str]) -> Iterator[ImageHit]:
        rest = iter(ids)
        while batch := list(islice(rest, _KEPT_TOGETHER)):
            yield from self._images.get(batch)

    def _tell(self, stage: str, done: int, total: int) -> None:
        self._on_progress(Progress(stage, done, total))


def _seen(hit: ImageHit, opened: Picture | UnreadableImage) -> Sight:
    """What is known of a picture whose file was opened, or could not be."""
    pixels = hit.payload["width"] * hit.payload["height"]
    if isinstance(opened, UnreadableImage):
        return Sight(b"", pixels, missing=not file_at(hit.uri).is_file())
    return Sight(sight_of(opened.image), pixels)
