"""Corrections followed up in the background of a process that answers: one thread, newest wins."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from threading import Condition, Thread
from time import monotonic

from corpus.corrections import waiting
from engine.app import Engine
from engine.errors import MragError, StoreLocked
from engine.progress import Cancellation, Cancelled
from ingest.corrections import learn, level, take_in
from ingest.differing import Looked, describe_differing, look

_LOG = logging.getLogger(__name__)
_AGAIN_S = 0.5
"""How long a collection that another writes is left alone."""

_SHORT_S, _REST = 2.0, 4.0
"""What takes longer than the first waits so many times as long as it took: it keeps the machine
busy a fifth of the time at most, however fast corrections come."""


@dataclass(frozen=True)
class Following:
    """What is done about a collection's corrections: `state`, "" where nothing is.

    `trouble` is what the last step ended in. `looked` says which other descriptions would differ.
    """

    state: str = ""
    trouble: str = ""
    looked: Looked | None = None


@dataclass
class _Wanted:
    """What is to be done for a collection; `differing`: describe again what a look finds."""

    taken: bool = False
    labelled: bool = False
    learned: bool = False
    looked: bool = False
    differing: bool = False
    described: tuple[str, ...] = ()
    not_before: float = 0.0
    learn_not_before: float = 0.0
    now: Following = field(default_factory=Following)

    @property
    def any(self) -> bool:
        return self.taken or self.labelled or self.learned or self.looked or bool(self.described)


class Learner:
    """Takes corrections in, and lets the map learn from them, of all collections of an engine.

    Each is found by search at once; the map and an index under it follow when no newer correction
    waits. While another process or job writes the collection all of it waits: nothing is lost, as
    corrections are on disk before this is told of them. Safe to share between threads.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._wanted: dict[str, _Wanted] = {}
        self._changed = Condition()
        self._thread: Thread | None = None
        self._running = Cancellation()
        self._closing = False

    def follow(self, name: str) -> None:
        """There is a new correction in a collection."""
        self._want(name, taken=True)

    def label(self, name: str) -> None:
        """There is a new tagging in a collection, or one less."""
        self._want(name, labelled=True)

    def look(self, name: str) -> None:
        """See which other descriptions of a collection would differ now."""
        self._want(name, looked=True)

    def describe_differing(self, name: str) -> None:
        """Describe those again that would differ, by a look that comes after all that waits."""
        self._want(name, looked=True, differing=True)

    def following(self, name: str) -> Following:
        """What is being done about a collection's corrections."""
        with self._changed:
            one = self._wanted.get(name, _Wanted())
            return one.now if one.now.state or not one.any else replace(one.now, state=_WAITS)

    def settled(self, name: str, seconds: float) -> bool:
        """Wait until corrections are taken in and found; whether they are."""
        ends = monotonic() + seconds
        with self._changed:
            while (one := self._wanted.get(name)) is not None and one.taken:
                if not self._changed.wait(max(0.0, ends - monotonic())):
                    return False
            return True

    def labelled(self, name: str, seconds: float) -> bool:
        """Wait until the index shows the labels of all taggings; whether it does."""
        ends = monotonic() + seconds
        with self._changed:
            while (one := self._wanted.get(name)) is not None and one.labelled:
                if not self._changed.wait(max(0.0, ends - monotonic())):
                    return False
            return True

    def rested(self, name: str, seconds: float) -> bool:
        """Wait until nothing is left to do for a collection; whether nothing is."""
        ends = monotonic() + seconds
        with self._changed:
            while (one := self._wanted.get(name)) is not None and (one.any or one.now.state):
                if not self._changed.wait(max(0.0, ends - monotonic())):
                    return False
            return True

    def close(self) -> None:
        """End what runs; what is left is done when it is next asked for."""
        with self._changed:
            self._closing = True
            self._running.ask()
            self._changed.notify_all()
            thread = self._thread
        if thread is not None:
            thread.join(5.0)

    def _want(self, name: str, **wanted: object) -> None:
        with self._changed:
            if self._closing:
                return
            one = self._wanted.setdefault(name, _Wanted())
            for key, value in wanted.items():
                setattr(one, key, value)
            one.now = replace(one.now, trouble="")
            if self._thread is None:
                self._thread = Thread(target=self._work, name="corrections", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def _work(self) -> None:
        while (turn := self._next()) is not None:
            name, step = turn
            try:
                with self._running.watched():
                    self._do(name, step)
            except StoreLocked:
                self._later(name)
            except Cancelled:
                pass
            except MragError as error:
                self._failed(name, step, str(error))
            except OSError as error:
                self._failed(name, step, f"{error}; check that the disk has space")
            except Exception as error:
                _LOG.exception("corrections of %s", name)
                self._failed(name, step, f"this is a bug: {type(error).__name__}: {error}")

    def _next(self) -> tuple[str, str] | None:
        """The collection and the step whose turn it is: what is found at once comes first."""
        with self._changed:
            while not self._closing:
                at, soonest = monotonic(), None
                for step in ("taken", "labelled", "described", "learned", "looked"):
                    for name, one in self._wanted.items():
                        if not getattr(one, step):
                            continue
                        due = one.not_before
                        if step == "learned":
                            due = max(due, one.learn_not_before)
                        if due <= at:
                            one.now = replace(one.now, state=_STATES[step])
                            return name, step
                        soonest = due if soonest is None else min(soonest, due)
                self._changed.wait(None if soonest is None else soonest - at)
            return None

    def _do(self, name: str, step: str) -> None:
        collection = self._engine.open(name)
        folder, settings = collection.folder, self._engine.settings
        if step == "taken":
            encoder = collection.encoder
            while waiting(folder.corrections):
                take_in(folder, encoder)
                level(folder, collection.card, settings)
            self._done(name, taken=bool(waiting(folder.corrections)), learned=True)
        elif step == "labelled":
            level(folder, collection.card, settings)
            self._done(name, labelled=False)
        elif step == "learned":
            started = monotonic()
            learn(folder, collection.card, settings)
            took = monotonic() - started
            rest = _REST * took if took > _SHORT_S else 0.0
            self._done(name, learned=False, looked=True, learn_not_before=monotonic() + rest)
        elif step == "looked":
            looked = look(collection)
            again = self._wanted[name].differing
            described = tuple(one.sha256 for one in looked.differing) if again else ()
            self._done(name, looked=False, differing=False, described=described, found=looked)
        else:
            describe_differing(collection, settings, self._wanted[name].described)
            self._done(name, described=(), looked=True)

    def _done(self, name: str, found: Looked | None = None, **noted: object) -> None:
        with self._changed:
            one = self._wanted[name]
            for key, value in noted.items():
                setattr(one, key, value)
            looked = found or one.now.looked
            one.now = Following("", "", looked)
            self._changed.notify_all()

    def _later(self, name: str) -> None:
        with self._changed:
            one = self._wanted[name]
            one.not_before = monotonic() + _AGAIN_S
            told = "waits until what else is written to the collection is done"
            one.now = replace(one.now, state=told)
            self._changed.notify_all()

    def _failed(self, name: str, step: str, trouble: str) -> None:
        with self._changed:
            one = self._wanted[name]
            setattr(one, step, () if step == "described" else False)
            one.now = replace(one.now, state="", trouble=trouble)
            self._changed.notify_all()


_WAITS = "waits for its turn"
_STATES = {
    "taken": "takes the correction in",
    "labelled": "gives pictures their labels",
    "learned": "learns from it",
    "looked": "looks what else would be described otherwise",
    "described": "describes pictures again",
}
