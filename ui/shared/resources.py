"""What all sessions share: the engine, its background jobs, and models warmed up once."""

from __future__ import annotations

import logging
from threading import Thread
from typing import TYPE_CHECKING

import streamlit as st

from engine.app import Collection, Engine, build_engine
from engine.errors import MragError
from engine.search.thumbnails import Thumbnails
from engine.settings import read_settings

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


@st.cache_resource(show_spinner=False)
def warm_up(name: str) -> None:
    """Begin to load what the collection's answers need, in the background and once for all."""
    Thread(target=_load, args=(engine().open(name),), name=f"warm {name}", daemon=True).start()


def _load(collection: Collection) -> None:
    """Load models, map and indexes; what goes wrong is told to those who ask for an answer."""
    try:
        collection.captioner()
    except MragError as error:
        _LOG.warning("%s cannot describe yet: %s", collection.card.name, error)
