"""What all sessions share: the engine, its background jobs, and models warmed up once."""

from __future__ import annotations

import logging
from threading import Lock, Thread
from typing import TYPE_CHECKING

import streamlit as st

from engine.app import Collection, Engine, build_engine
from engine.errors import MragError
from engine.settings import read_settings
from engine.thumbnails import Thumbnails

if TYPE_CHECKING:
    from ingest.jobs import Jobs

_LOG = logging.getLogger(__name__)
_THUMBNAIL_BYTES = 512 * 2**20


@st.cache_resource(show_spinner=False, on_release=Engine.close)
def engine() -> Engine:
    """The engine of the environment's settings, one for all sessions."""
    return build_engine(read_settings())


@st.cache_resource(show_spinner=False)
def jobs() -> Jobs:
    """The background ingests, one list for all sessions."""
    from ingest.jobs import Jobs

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


class Warmth:
    """Loads the models of collections in the background, each collection's once."""

    def __init__(self) -> None:
        self._threads: dict[str, Thread] = {}
        self._lock = Lock()

    def start(self, collection: Collection) -> None:
        """Begin to load what the collection needs, unless that has begun."""
        name = collection.card.name
        with self._lock:
            if name not in self._threads:
                thread = Thread(target=_load, args=(collection,), name=f"warm {name}", daemon=True)
                self._threads[name] = thread
                thread.start()

    def ready(self, collection: Collection) -> bool:
        """Whether an answer need not wait for models to load."""
        thread = self._threads.get(collection.card.name)
        return thread is not None and not thread.is_alive()


@st.cache_resource(show_spinner=False)
def warmth() -> Warmth:
    """The models that are loaded or loading."""
    return Warmth()


def _load(collection: Collection) -> None:
    """Load encoder and generator; what goes wrong is told when they are asked for."""
    try:
        _ = collection.encoder
        _ = collection.generator
    except MragError as error:
        _LOG.warning("%s: models do not load yet: %s", collection.card.name, error)
