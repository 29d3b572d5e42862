"""What the sources of a collection hold now, and what a sync would do for it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Literal

import numpy as np

from corpus.ledger import Ledger
from corpus.records import Leaving, NextSource, Record
from engine.collection import CollectionFolder
from engine.errors import NothingToSync
from engine.progress import OnProgress, silent
from ingest.building import StoredPictures
from ingest.given import Given, State
from ingest.leaving import Lost, find_lost, joined
from ingest.looking import Looker, SourceState
from ingest.sources import Source, Sources

NAMED = 5
"""So many of each kind are named."""

MOST_SHARE, FEW = 0.1, 3
"""More than this share of a collection, and more than so many, leave only if somebody says so."""

Kind = Literal["new", "changed", "moved", "gone", "captions"]
_STATES: Mapping[Kind, tuple[State, ...]] = {
    "new": (State.NEW,),
    "changed": (State.CHANGED, State.SAID),
}


@dataclass
class Survey:
    """What would be done.

    Of pictures `new`, `changed` (bytes or words), `moved` and `gone` are counted, of captions that
    stand alone `captions_new` and `captions_gone`, of those of pictures `captions_lost`; `examples`
    names the first of each kind. `held` are folders that are there but out of reach, with the
    files that stay for it. `bad` files could not be read before, and are still the same.
    """

    states: Sequence[SourceState]
    pictures: int
    captions: int
    unchanged: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    captions_new: int = 0
    captions_gone: int = 0
    captions_lost: int = 0
    bad: int = 0
    held: Mapping[Path, int] = field(default_factory=dict)
    examples: Mapping[str, list[str]] = field(default_factory=dict)
    leaving: Leaving = field(default_factory=Leaving)

    @property
    def changes(self) -> bool:
        """Whether there is anything to do."""
        return bool(self.leaving.files or self.leaving.captions) or not self.only_leaves

    @property
    def to_embed(self) -> int:
        """How many pictures and captions have to be looked at closely."""
        kinds = ("new", "changed", "moved")
        return sum(self.counts[kind] for kind in kinds) + self.bad + self.captions_new

    @property
    def only_leaves(self) -> bool:
        """Whether nothing comes in or changes."""
        return self.to_embed == self.bad

    @property
    def trouble(self) -> bool:
        """Whether something could not be looked at as it should be."""
        skipped = any(state.trouble or state.skipped for state in self.states)
        return bool(self.held or self.bad or skipped)

    @property
    def too_much(self) -> bool:
        """Whether so much would leave that somebody has to say so."""
        gone, lost = self.counts["gone"], self.captions_gone + self.captions_lost
        everything = 0 < gone == self.pictures
        return everything or _is_much(gone, self.pictures) or _is_much(lost, self.captions)


def _is_much(leaving: int, of: int) -> bool:
    return leaving > max(MOST_SHARE * of, FEW)


def sources_to_sync(folder: CollectionFolder) -> list[Source]:
    """The sources of a collection that may change; raises NothingToSync where none is known."""
    folder.read_card()
    known = Sources(folder).known()
    found = [source for source in known if source.can_sync]
    if found:
        return found
    if known:
        raise NothingToSync(
            f"collection {folder.name!r} has no source that could change: it was made of "
            f"{', '.join(source.shown for source in known)}"
        )
    raise NothingToSync(
        f"collection {folder.name!r} knows no source yet; make it known by ingesting it once more, "
        f"which embeds nothing again: mrag ingest SOURCE --collection {folder.name}"
    )


def survey(
    folder: CollectionFolder,
    ledger: Ledger,
    given: Given,
    on_progress: OnProgress = silent,
) -> Survey:
    """Look at all sources of a collection; what they give is collected in `given`.

    Raises NothingToSync where no source is known.
    """
    looker = Looker(folder, ledger, given, on_progress)
    states = [looker.look(at, source) for at, source in enumerate(sources_to_sync(folder))]
    lost = find_lost(ledger, given, states)
    for state in states:
        _forget_strangers(ledger, state)
    _take_over(given, states)
    found = Survey(states, ledger.pictures(), ledger.captions())
    found.leaving = Leaving(lost.files, tuple(lost.captions))
    found.held = lost.held()
    found.bad = given.count(State.BAD)
    found.unchanged = given.count(State.SAME, State.LESS)
    found.captions_new, found.captions_gone = given.count_captions(), len(lost.captions)
    found.captions_lost = sum(_captions_lost(ledger, given))
    found.counts = Counter({kind: given.count(*states) for kind, states in _STATES.items()})
    found.counts["moved"] = given.count(State.MOVED)
    found.counts["gone"] = len(lost.leaving())
    found.examples = {kind: list(islice(_named(kind, given, lost), NAMED)) for kind in _KINDS}
    return found


_KINDS: tuple[Kind, ...] = ("new", "changed", "moved", "gone", "captions")


def records_of(given: Given) -> Iterator[Record]:
    """What is to be embedded, source by source."""
    before = 0
    states = (State.NEW, State.CHANGED, State.SAID, State.MOVED, State.BAD)
    for file in given.files(*states):
        if file.source != before:
            yield NextSource()
            before = file.source
        yield file.record
    for _, caption in given.new_captions():
        yield caption


def _forget_strangers(ledger: Ledger, state: SourceState) -> None:
    """Forget what a file gave before, gives no longer and the collection does not have."""
    if state.whole:
        before = np.setdiff1d(state.gave, state.gives, assume_unique=True)
        strangers = [key for key in before.tolist() if not ledger.has_key(key)]
        state.gave = np.setdiff1d(state.gave, strangers)


def _take_over(given: Given, states: Sequence[SourceState]) -> None:
    """Find the files that a source had said more of, which says nothing of them any longer.

    What nobody knows the source of is left as it was said.
    """
    whole = joined(state.gave for state in states if state.whole)
    others = joined(state.gave for state in states if not state.whole)
    released = np.setdiff1d(whole, others, assume_unique=True)
    for file in list(given.files(State.LESS, State.CHANGED)):
        less = not (file.own or file.record.captions)
        if less and (file.known or np.isin(file.key, released)):
            taken = replace(file, record=replace(file.record, takes_over=True))
            given.put(taken, State.SAID if file.state == State.LESS else file.state)


def _captions_lost(ledger: Ledger, given: Given) -> Iterator[int]:
    """How many captions leave pictures that stay."""
    stored = StoredPictures(ledger)
    for file in given.files(State.SAID):
        known = ledger.file_at(file.record.path)
        if known is not None:
            entry = stored.item(known.picture).entry
            said = [name.captions for name in entry.names if name.path == str(file.record.path)]
            yield len(set().union(*said) - set(file.record.captions))


def _named(kind: Kind, given: Given, lost: Lost) -> Iterator[str]:
    """What is of a kind, by name."""
    if kind == "moved":
        for picture in lost.pictures:
            if picture.moved_to:
                yield f"{picture.entry.uri} -> {picture.moved_to}"
    elif kind == "gone":
        yield from (picture.entry.uri for picture in lost.leaving())
    elif kind == "captions":
        yield from (caption.text for caption in lost.captions)
    else:
        yield from (file.record.uri for file in given.files(*_STATES[kind]))
