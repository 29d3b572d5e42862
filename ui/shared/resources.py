"""What all sessions share: the engine, its background jobs, and models warmed up once."""

from __future__ import annotations

import logging
from threading import Event, Thread
from typing import TYPE_CHECKING

import streamlit as st

from engine.app import Collection, Engine, build_engine
from engine.errors import MragError
from engine.progress import Progress, told_to
from engine.search.thumbnails import Thumbnails
from engine.settings import read_settings
from service.readiness import shown_first

if TYPE_CHECKING:
    from ingest.jobs.background import Jobs

_LOG = logging.getLogger(__name__)
_THUMBNAIL_BYTES = 512 * 2**20


@st.cache_resource(show_spinner=False, on_release=Engine.close)
def engine() -> Engine:
    """The engine of the environment's settings, one for all sessions."""
    return build_engine(read_settings())


@st.cache_resource(show_spinner=False, on_release=lambda held: held.close())
def jobs() -> Jobs:
    """The background ingests, one list for all sessions."""
    from ingest.jobs.background import Jobs

    return Jobs(engine())


@st.cache_resource(show_spinner=False, on_release=Thumbnails.close)
def thumbnails() -> Thumbnails:
    """Small versions of the collections' pictures."""
    settings = engine().settings
    return Thumbnails(
        settings.home / "thumbnails",
        settings.limits,
        max_bytes=_THUMBNAIL_BYTES,
        workers=settings.workers,
    )


class WarmUp:
    """Loads in the background what a collection's answers need, and knows how far that is.

    What Search and Compare measure once for each map is measured last: nobody waits for it here.
    """

    def __init__(self, collection: Collection) -> None:
        self._collection = collection
        self._has_encoder = False
        self._encoder_tried, self._ended, self._measured = Event(), Event(), Event()
        self.progress: Progress | None = None
        self.error: MragError | None = None
        name = f"warm {collection.card.name}"
        Thread(target=self._load, name=name, daemon=True).start()

    def is_ready(self, seconds: float, *, writer: bool) -> bool:
        """Whether the encoder, or with `writer` all, is here so soon; raises what went wrong."""
        if not (self._ended if writer else self._encoder_tried).wait(seconds):
            return False
        if self.error and (writer or not self._has_encoder):
            raise self.error
        return True

    def is_measured(self, seconds: float) -> bool:
        """Whether that has been tried so soon which is measured once for each map."""
        return self._measured.wait(seconds)

    def _load(self) -> None:
        try:
            with told_to(self._note):
                self._has_encoder = bool(self._collection.encoder.id)
                self._encoder_tried.set()
                self._collection.captioner()
        except MragError as error:
            _LOG.warning("%s cannot describe yet: %s", self._collection.card.name, error)
            self.error = error
        finally:
            self._encoder_tried.set()
            self._ended.set()
        if self._has_encoder:
            self._measure()

    def _measure(self) -> None:
        try:
            _ = self._collection.relevance
            self._collection.default_space()
            self._collection.gap()
        except Exception:  # a page that needs them asks again, and says what is wrong
            _LOG.debug("%s is not measured yet", self._collection.card.name, exc_info=True)
        finally:
            self._measured.set()

    def _note(self, progress: Progress) -> None:
        self.progress = progress


@st.cache_resource(show_spinner=False)
def _warm_up(name: str) -> WarmUp:
    return WarmUp(engine().open(name))


def warm_up(name: str) -> WarmUp:
    """Begin to load what the collection's answers need, once for all, or again where it failed."""
    if _warm_up(name).error:
        _warm_up.clear(name)
    return _warm_up(name)


def begin() -> None:
    """Load what the first visitor will need, before there is one."""
    if name := shown_first(engine()):
        warm_up(name)
